"""References: Proxies and methods passed, stored and nested, and what comes back as a Proxy."""

from __future__ import annotations

import copy
import operator
import pickle

import make_things as things
import pytest
from proxykit import Point, last, make

import pygas


@pytest.mark.ranks(2)  # on the owner itself p.move is the object's own, which pickle copies
def test_a_bound_method_is_a_value() -> None:
    p = make(Point, 0)
    pygas.barrier()
    if last():
        move = p.move
        again = pickle.loads(pickle.dumps(move))
        assert move(1) == (1, 0)
        assert again(1, dy=1) == (2, 1)
        assert {"m": [move]}["m"][0](1) == (3, 1)
        assert pygas.at(0).call(operator.call, move, 1) == (4, 1)
        assert p.bound()(1) == (5, 1)
        assert p.x == 5
        assert pygas.at(0).call(getattr, p, "move")(1) == (6, 1)
    pygas.barrier()


@pytest.mark.ranks(1, 3)
def test_a_proxy_to_a_proxy() -> None:
    inner = pygas.share([1] if pygas.MYTHREAD == 0 else None)
    outer = pygas.share(pygas.Proxy(inner) if last() else None, pygas.THREADS - 1)
    outer.append(2)
    pygas.barrier()
    assert inner == [1] + [2] * pygas.THREADS
    assert outer[-1] == 2
    assert outer == inner
    pygas.barrier()


@pytest.mark.ranks(2, 3)
def test_proxies_inside_anything_stay_references() -> None:
    mine = pygas.Proxy([pygas.MYTHREAD])
    board = pygas.share({} if pygas.MYTHREAD == 0 else None)
    board[pygas.MYTHREAD] = (mine, {"again": mine})
    pygas.barrier()
    for rank in range(pygas.THREADS):
        first, second = board[rank][0], board[rank][1]["again"]
        assert pygas.owner(first) == rank
        assert pygas.is_local(first) == (rank == pygas.MYTHREAD)
        first.append(f"from {pygas.MYTHREAD}")
        assert second[0] == rank
    pygas.barrier()
    assert sorted(map(str, pygas.local(mine)[1:])) == [f"from {r}" for r in range(pygas.THREADS)]
    box = pygas.at(0).new(Point, mine)
    box.y = [mine]
    assert pygas.owner(box.x) == pygas.owner(box.y[0]) == pygas.MYTHREAD
    assert pygas.local(box.x) is pygas.local(mine)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_pickling_copies_the_reference_and_copy_the_object() -> None:
    p = make(list)
    pickle.loads(pickle.dumps(p)).append(pygas.MYTHREAD)
    pygas.barrier()
    for twin in (copy.copy(p), copy.deepcopy([p])[0]):
        assert type(twin) is list
        twin.append(7)
    assert sorted(pygas.resolve(p)) == [0, 1]
    pygas.barrier()


@pytest.mark.ranks(2, 4)
def test_ten_thousand_proxies() -> None:
    count = 10_000
    made = [[i] for i in range(count)] if pygas.MYTHREAD == 0 else []
    proxies = pygas.broadcast([pygas.Proxy(thing) for thing in made])
    for i in range(pygas.MYTHREAD, count, 7 * pygas.THREADS):
        proxies[i].append(pygas.MYTHREAD)
    passed = pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).call(list, proxies)
    assert [p[0] for p in passed[:: count // 50]] == list(range(0, count, count // 50))
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        extended = [i for i, thing in enumerate(made) if len(thing) > 1]
        ranks = range(pygas.THREADS)
        assert extended == sorted(i for r in ranks for i in range(r, count, 7 * pygas.THREADS))
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_cannot_be_copied_comes_as_a_proxy() -> None:
    if last():
        for maker in (things.generator, things.lock, things.file, things.socket, things.module):
            p = pygas.at(0).call(maker)
            assert isinstance(p, pygas.Proxy), maker
            assert pygas.owner(p) == 0
        assert pygas.at(0).call(things.generator).__next__() == 1
        assert pygas.at(0).call(things.file).readline().startswith('"""')
        lock = pygas.at(0).call(things.lock)
        assert lock.acquire(timeout=1)
        assert lock.locked()
        assert pygas.at(0).call(things.module).sqrt(4) == 2
        for value in (1, "s", None, [1], Point(1), Point, 1 + 2j, slice(1), range(3)):
            assert pygas.at(0).call(things.same, value) == value
        for maker in (things.lock, things.generator):
            with pytest.raises(TypeError, match="pickle"):
                pygas.resolve(pygas.at(0).call(maker))
        file = pygas.at(0).call(things.file)
        assert pygas.at(0).call(lambda f: f.readline(), file).startswith('"""')  # cloudpickle's way
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_made_up_reference_is_an_error() -> None:
    from pygas import _core

    job, _, _, *shape = _core.reduce_proxy(pygas.Proxy([]))[1]
    with pytest.raises(ReferenceError, match="has no shared object"):
        _core.rebuild_proxy(job, 1 - pygas.MYTHREAD, 12345 << 32 | 77, *shape)
    with pytest.raises(ReferenceError):
        _core.rebuild_proxy(job, 99, 1, *shape)
    with pytest.raises(ReferenceError):
        _core.rebuild_proxy(job, pygas.MYTHREAD, 12345, *shape)
    pygas.barrier()
