"""What a failed rank referred to comes back, and nothing that a survivor refers to is lost."""

from __future__ import annotations

import pathlib

import pytest
from conftest import HERE, run_ranks
from failurekit import check_survivors, run_program

pytestmark = pytest.mark.usefixtures("interpreter_lock")

THINGS = """
    import gc, weakref
    from pygas._job import core

    class Thing:
        gone = []

        def __init__(self, name):
            self.name = name

        def who(self):
            return self.name

        def __del__(self):
            Thing.gone.append((self.name, threading.get_ident()))

    refs, kept = {}, {}

    def make(name):
        thing = Thing(name)
        refs[name] = weakref.ref(thing, lambda ref: gone_refs.append(name))
        return pygas.Proxy(thing)

    gone_refs = []

    def keep(name, thing):
        kept[name] = thing

    def get(name, delay=0):
        time.sleep(delay)
        return kept.get(name)

    def drop(name):
        kept.pop(name, None)

    def alive():
        return sorted(name for name, ref in refs.items() if ref() is not None)

    def until(condition):
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.002)
        assert condition(), (alive(), core().exported())

    def await_failure(*ranks):
        await_fall(*ranks)
        while not set(ranks) <= set(pygas.failed_ranks()):
            time.sleep(0.005)

    def pid():
        return os.getpid()

    def stop(process):
        os.kill(process, signal.SIGSTOP)

        def state(task):
            return open(f"/proc/{process}/task/{task}/stat").read().rpartition(")")[2].split()[0]

        until(lambda: all(state(task) == "T" for task in os.listdir(f"/proc/{process}/task")))

    def say(text):
        open(mark(text), "w").close()

    def hear(text):
        while not os.path.exists(mark(text)):
            time.sleep(0.005)
"""


def check(tmp_path: pathlib.Path, count: int, text: str, **options: float) -> None:
    check_survivors(tmp_path, count, THINGS + text, **options)


@pytest.mark.parametrize("count", [3, 4, 6])
def test_what_only_the_dead_referred_to_is_freed(tmp_path: pathlib.Path, count: int) -> None:
    text = """
    dead = ranks - 1
    pygas.barrier()
    if me == 0:
        for name in "abcd":
            pygas.at(dead).call(keep, name, make(name))
        pygas.at(1).call(keep, "e", make("e"))
    pygas.barrier()
    if me == dead:
        pygas.at(1).call(keep, "b", kept["b"])   # passed on by the one that dies
    if me == 1:
        pygas.at(dead).call(keep, "e", kept["e"])  # given to it by a survivor
        pygas.at(dead).call(keep, "f", kept["e"])
    pygas.barrier()
    if me == 1:
        drop("e")
        c = pygas.at(dead).call(get, "c")        # asked of it
    pygas.barrier()
    if me == dead:
        fall("SIGKILL")
    await_failure(dead)
    if me == 0:
        until(lambda: alive() == ["b", "c"] and core().recounted())
        assert sorted(gone_refs) == ["a", "d", "e"]
        assert sorted(name for name, _ in Thing.gone) == ["a", "d", "e"]
        assert [row.object.name for row in pygas.objects()] == ["b", "c"]
        say("looked")
    hear("looked")
    if me == 1:
        assert kept["b"].who() == "b" and c.who() == "c"  # and both work
        drop("b")
        del c
    if me == 0:
        until(lambda: not alive() and not core().exported())
    print("well")
    """
    check(tmp_path, count, text)


def test_the_lowest_rank_may_be_the_one(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 2:
        for rank in (0, 1):
            pygas.at(rank).call(keep, "x", make(f"of {rank}"))
        pygas.at(3).call(keep, "x", make("of 3"))
    pygas.barrier()
    if me in (0, 1):
        fall("SIGKILL", delay=0.3 + 0.02 * me)
    await_failure(0, 1)
    if me == 2:
        until(lambda: alive() == ["of 3"] and core().recounted())
        assert pygas.at(3).call(get, "x").who() == "of 3"
        pygas.at(3).call(drop, "x")
        until(lambda: not alive())
    say(f"done {me}")
    hear("done 2"), hear("done 3")
    print("well")
    """
    result = run_two_deaths(tmp_path, text)
    assert result.count("well") == 2


def run_two_deaths(tmp_path: pathlib.Path, text: str) -> str:
    result = run_program(tmp_path, 4, THINGS + text, "--on-failure=continue", timeout=40)
    assert result.returncode == 0, result
    return result.stdout


def test_weight_on_its_way_to_the_dead(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 0:
        pygas.at(1).call(keep, "b", make("b"))
        victim = pygas.at(2).call(pid)
    pygas.barrier()
    if me == 0:
        time.sleep(0.2)                          # it is in stay() by now
        stop(victim)
        future = pygas.at(2).submit(keep, "a", make("a"))
        say("stopped")
    if me == 1:
        hear("stopped")
        future = pygas.at(2).submit(keep, "b", kept["b"])
        drop("b")
        gc.collect()
        say("sent")
    if me == 2:
        open(mark(2), "w").close()
        stay()
    hear("sent")
    if me == 0:
        assert alive() == ["a", "b"]
        os.kill(victim, signal.SIGKILL)
    await_failure(2)
    if me == 0:
        until(lambda: not alive() and not core().exported())
    expect(2, future.result)
    print("well")
    """
    check(tmp_path, 3, text)


@pytest.mark.parametrize("what", ["reply", "request"])
def test_weight_on_its_way_from_the_dead(tmp_path: pathlib.Path, what: str) -> None:
    """A survivor is stopped while the one that dies passes something on to it."""
    text = f"""
    what = {what!r}
    pygas.barrier()
    if me == 0:
        pygas.at(2).call(keep, "a", make("a"))
        victim, listener = pygas.at(2).call(pid), pygas.at(1).call(pid)
    pygas.barrier()
    if me == 1:
        future = pygas.at(2).submit(get, "a", 0.6) if what == "reply" else None
        say("asked")
        time.sleep(1)
    if me == 0:
        hear("asked")
        time.sleep(0.2)
        stop(listener)
        say("stopped")
        time.sleep(1)
        assert alive() == ["a"]
        os.kill(victim, signal.SIGKILL)
        while 2 not in pygas.failed_ranks():
            time.sleep(0.005)
        time.sleep(0.3)
        assert alive() == ["a"] and not core().recounted()  # rank 1 has not said what it has
        os.kill(listener, signal.SIGCONT)
    if me == 2:
        hear("stopped")
        if what == "request":
            pygas.at(1).submit(keep, "a", kept["a"])
        stay()
    hear("stopped")
    while 2 not in pygas.failed_ranks():
        time.sleep(0.005)
    if me == 1 and what == "reply":
        thing = future.result()                  # it had arrived, so it counts
        assert thing.who() == "a"
        while not core().recounted():
            time.sleep(0.005)
        time.sleep(0.1)
        assert thing.who() == "a"
        del thing, future
    if me == 1 and what == "request":
        while not os.path.exists(mark("gone")):  # the request was dropped, or had begun
            drop("a")
            time.sleep(0.005)
    if me == 0:
        until(lambda: not alive() and not core().exported())
        say("gone")
    hear("gone")
    print("well")
    """
    if what == "request":
        text = text.replace("        time.sleep(1)\n    if me == 0", "    if me == 0", 1)
    check(tmp_path, 3, text)


def test_a_member_that_finishes_does_not_keep_collect_waiting(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 2:
        fall("SIGKILL")
    await_failure(2)
    if me == 0:
        try:
            pygas.collect()
        except RuntimeError as error:
            assert "rank 1 has finished its program" in str(error), error
        else:
            raise AssertionError("collected without rank 1")
    print("well")
    """
    check(tmp_path, 3, text)


@pytest.mark.parametrize(
    ("count", "seed", "victims"), [(4, 1, "3"), (4, 2, "0 2"), (5, 3, "0 3"), (3, 4, "1")]
)
def test_in_the_end_nothing_is_left(count: int, seed: int, victims: str) -> None:
    result = run_ranks(
        count,
        "--on-failure=continue",
        HERE / "reclaim_stress.py",
        str(seed),
        *victims.split(),
        timeout=60,
    )
    assert result.returncode == 0, result
    assert result.stdout.count("well") == count - len(victims.split()), result


CYCLES = """
    import random

    class Node:
        alive = 0

        def __init__(self):
            Node.alive += 1
            self.links = []

        def link(self, *others):
            self.links.extend(others)

        def __del__(self):
            Node.alive -= 1

    node = Node()
    nodes = [pygas.share(node if me == rank else None, root=rank) for rank in range(ranks)]
    pygas.barrier()
    node.link(*nodes)                            # every cycle there can be
    pygas.barrier()
"""


def test_collect_after_a_failure(tmp_path: pathlib.Path) -> None:
    text = """
    if me == 1:
        fall("SIGKILL")
    await_failure(1)
    assert pygas.collect() == 0 and Node.alive == 1  # everybody uses them
    del node, nodes
    gc.collect()
    assert pygas.collect() == ranks - 1
    assert Node.alive == 0 and not core().exported()
    assert pygas.collect() == 0
    print("well")
    """
    check(tmp_path, 4, CYCLES + text)


@pytest.mark.parametrize("seed", range(4))
def test_a_rank_dies_in_collect(tmp_path: pathlib.Path, seed: int) -> None:
    text = f"""
    del node, nodes
    gc.collect()
    if me == 1:
        moment = random.Random({seed}).uniform(0, 0.03)
        threading.Timer(moment, os.kill, (os.getpid(), signal.SIGKILL)).start()
    from pygas import cycles

    class Meeting(cycles._Meeting):
        def __init__(self):
            super().__init__()
            known.append(self.failures)          # by which the ranks take part together

    cycles._Meeting = Meeting
    known = []
    survived = False
    while not survived:
        try:
            pygas.collect()
            survived = known[-1] == 1
        except pygas.RankFailedError as error:
            assert error.rank == 1 and known[-1] == 0
    assert Node.alive == 0 and not core().exported()
    print("well")
    """
    check(tmp_path, 4, CYCLES + text)
