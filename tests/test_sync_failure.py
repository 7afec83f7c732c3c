"""Locks, queues and their like when a rank fails: nobody hangs, and nobody is told a lie."""

from __future__ import annotations

import pathlib

import pytest
from failurekit import check_survivors

TOOLS = """
    import queue
    from threading import BrokenBarrierError

    def raises(kind, function, *args, **kwargs):
        try:
            result = function(*args, **kwargs)
        except kind as error:
            return error
        raise AssertionError(f"{function} returned {result!r}")

    def until(condition):
        end = time.monotonic() + 10
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        assert condition()

    def await_failure(rank):
        until(lambda: rank in pygas.failed_ranks())

    def meet(name):
        open(mark(f"{name}-{me}"), "w").close()
        for rank in range(ranks - 1):
            until(lambda: os.path.exists(mark(f"{name}-{rank}")))

    dead = ranks - 1

    def share(thing):
        return pygas.share(thing if me == 0 else None)

    def die_in(function, *args):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        function(*args)
        stay()
"""


def check(tmp_path: pathlib.Path, text: str, count: int = 4) -> None:
    check_survivors(tmp_path, count, TOOLS + text, timeout=40)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_the_holder_of_a_lock_fails(tmp_path: pathlib.Path, kind: str) -> None:
    text = f"""
    lock = share(pygas.{kind}())
    ledger = share([])
    if me == dead:
        lock.acquire()
    pygas.barrier()
    if me == dead:
        fall("SIGKILL")
    begin = time.monotonic()
    error = raises(pygas.RankFailedError, lock.acquire)     # they wait when it happens
    assert time.monotonic() - begin < 3
    assert error.rank == dead and error.reason == "was killed by SIGKILL", error
    assert "held this lock" in str(error) and "recover()" in str(error)
    raises(pygas.RankFailedError, lock.acquire, timeout=5)  # and come afterwards
    raises(pygas.RankFailedError, lock.acquire, False)
    raises(pygas.RankFailedError, lock.release)
    raises(pygas.RankFailedError, pygas.async_(lock).acquire().result)
    assert lock.locked()
    if me == 0:
        assert "has failed" in repr(pygas.local(lock))
    meet("known")
    if lock.recover():
        ledger.append("recovered")
        time.sleep(0.2)
        lock.release()
    with lock:
        ledger.append(me)
    meet("done")
    assert ledger[0] == "recovered" and sorted(ledger[1:]) == list(range(dead)), list(ledger)
    assert not lock.recover() and not lock.locked()
    print("well")
    """
    check(tmp_path, text)


def test_one_that_waits_for_a_lock_fails(tmp_path: pathlib.Path) -> None:
    text = """
    lock = share(pygas.Lock())
    if me == 0:
        lock.acquire()
    pygas.barrier()
    if me == dead:
        die_in(lock.acquire)
    if me == 0:
        await_failure(dead)
        time.sleep(0.3)
        lock.release()                  # does not go to it
    assert lock.acquire(timeout=10)
    lock.release()
    meet("done")
    assert not lock.locked()
    print("well")
    """
    check(tmp_path, text)


def test_a_lock_that_nobody_of_it_held_goes_on(tmp_path: pathlib.Path) -> None:
    text = """
    lock, semaphore, event = share(pygas.Lock()), share(pygas.Semaphore(1)), share(pygas.Event())
    if me == 0:
        lock.acquire()
    pygas.barrier()
    if me == dead:
        die_in(event.wait)
    waiting = [pygas.async_(lock).acquire() for _ in range(2)] if me == 1 else []
    flag = pygas.async_(event).wait()
    await_failure(dead)
    meet("known")
    assert not any(future.done() for future in waiting) and not flag.done()
    meet("looked")
    if me == 0:
        lock.release()
        event.set()
    assert flag.result()
    for future in waiting:
        assert future.result()
        lock.release()
    with semaphore:
        pass
    print("well")
    """
    check(tmp_path, text)


def test_the_owner_fails(tmp_path: pathlib.Path) -> None:
    text = """
    things = [pygas.Lock(), pygas.Semaphore(0), pygas.Event(), pygas.Queue(), pygas.Barrier(9)]
    lock, semaphore, event, tasks, barrier = [
        pygas.share(pygas.Proxy(thing) if me == dead else None, root=dead) for thing in things
    ]
    if me == dead:
        lock.acquire()
    pygas.barrier()
    if me == dead:
        for rank in range(dead):
            until(lambda: os.path.exists(mark(f"waits-{rank}")))
        fall("SIGKILL")
    waits = [pygas.async_(lock).acquire(), pygas.async_(semaphore).acquire(),
             pygas.async_(event).wait(), pygas.async_(tasks).get(), pygas.async_(tasks).get(),
             pygas.async_(barrier).wait()]
    open(mark(f"waits-{me}"), "w").close()
    for future in waits:
        expect(dead, future.result)
    for thing in (lock, semaphore):
        expect(dead, lambda: thing.acquire())
    for thing in (event, barrier):
        expect(dead, lambda: thing.wait())
    expect(dead, lambda: tasks.get())
    print("well")
    """
    check(tmp_path, text)


def test_semaphores_get_back_what_it_had(tmp_path: pathlib.Path) -> None:
    text = """
    room, bounded = share(pygas.Semaphore(3)), share(pygas.BoundedSemaphore(3))
    if me == dead:
        for _ in range(3):
            room.acquire()
            bounded.acquire()
        room.release()
        room.acquire()
    pygas.barrier()
    if me == dead:
        die_in(room.acquire)
    assert room.acquire(timeout=20) and bounded.acquire(timeout=20)   # it had all of them
    meet("have")
    assert not room.acquire(False) and not bounded.acquire(False)
    meet("none more")
    room.release()
    bounded.release()
    meet("released")
    if me == 0:
        assert pygas.local(room)._value == pygas.local(bounded)._value == 3
    print("well")
    """
    check(tmp_path, text)


@pytest.mark.parametrize("moment", ["waits", "comes later", "has come before"])
def test_barriers_break(tmp_path: pathlib.Path, moment: str) -> None:
    text = f"""
    moment = {moment!r}
    barrier = share(pygas.Barrier(ranks + (moment == "waits")))
    other = share(pygas.Barrier(2))                 # in which it has no part
    if me in (0, 1):
        other.wait()
    if moment == "has come before":
        barrier.wait()
    pygas.barrier()
    if me == dead:
        if moment == "waits":
            die_in(barrier.wait)
        fall("SIGKILL")
    begin = time.monotonic()
    raises(BrokenBarrierError, barrier.wait)
    assert time.monotonic() - begin < 3
    raises(BrokenBarrierError, barrier.wait)
    assert barrier.broken and not other.broken
    if me in (0, 1):
        other.wait(timeout=10)
    meet("done")
    if me == 0:
        barrier.reset()
    meet("reset")
    assert not barrier.broken
    print("well")
    """
    check(tmp_path, text)


def test_a_holder_fails_while_others_wait_for_a_condition(tmp_path: pathlib.Path) -> None:
    text = """
    condition = share(pygas.Condition())
    pygas.barrier()
    if me == dead:
        time.sleep(0.7)
        condition.acquire()
        fall("SIGKILL")
    begin = time.monotonic()

    def wait():
        with condition:
            if me == 1:
                condition.wait_for(lambda: False)
            else:
                condition.wait(timeout=None if me else 30)

    error = raises(pygas.RankFailedError, wait)
    assert error.rank == dead
    assert time.monotonic() - begin < 10
    meet("known")
    if condition.recover():
        condition.notify_all()
        condition.release()
    with condition:
        pass
    print("well")
    """
    check(tmp_path, text)


def test_one_that_waits_for_a_condition_fails(tmp_path: pathlib.Path) -> None:
    text = """
    condition = share(pygas.Condition(pygas.Lock() if me == 0 else None))
    box = share([])
    pygas.barrier()

    def wait():
        with condition:
            condition.wait()

    if me == dead:
        die_in(wait)
    if me == 0:
        await_failure(dead)
        time.sleep(0.3)
        until(lambda: len(pygas.local(condition)._waiters) == ranks - 2)
        for _ in range(ranks - 2):
            with condition:
                condition.notify()      # none is for the dead
    else:
        wait()
    meet("done")
    assert condition.acquire(timeout=10)
    condition.release()
    meet("end")
    print("well")
    """
    check(tmp_path, text)


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])
def test_queues(tmp_path: pathlib.Path, kind: str) -> None:
    text = f"""
    tasks, full = share(pygas.{kind}()), share(pygas.{kind}(1))
    if me == dead:
        full.put(0)
        tasks.put(1), tasks.put(2)
        assert {{tasks.get(), tasks.get()}} == {{1, 2}}
    pygas.barrier()
    if me == dead:
        threading.Thread(target=full.put, args=(5,)).start()  # waits for room
        die_in(tasks.get)                                     # waits for an item
    if me == 0:
        error = raises(pygas.RankFailedError, tasks.join)     # what it took was not finished
        assert error.rank == dead and "2 items" in str(error), error
        tasks.join()
        for item in range(10, 10 + ranks - 1):
            tasks.put(item)                                   # none goes to the dead
    else:
        await_failure(dead)
    item = tasks.get(timeout=20)
    meet("have")
    if me == 0:
        assert tasks.empty() and full.get() == 0 and full.empty()
    tasks.task_done()
    tasks.join()
    print("well")
    """
    check(tmp_path, text)
