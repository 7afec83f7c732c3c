"""What requests may cost their owner: a share of its time if there are many, else nothing."""

from __future__ import annotations

import os
import pathlib
import resource
import threading
import time
from collections import deque
from typing import Any

import pytest
from conftest import HERE, locked, run_ranks

import pygas
from pygas import _attend, _core


class Target:
    def __init__(self) -> None:
        self.calls = 0
        self.over = False

    def work(self) -> None:
        """Take some tens of microseconds of the interpreter."""
        sum(range(2000))
        self.calls += 1

    def touch(self) -> None:
        self.calls += 1

    def take_long(self) -> None:
        """Take far more than a share of one per cent allows for."""
        compute(0.05)
        self.calls += 1

    def finish(self) -> None:
        self.over = True


def flood(target: Any, seconds: float) -> None:
    """Keep some hundred requests in flight."""
    flying: deque[Any] = deque()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        flying.append(pygas.async_(target).work())
        if len(flying) > 200:
            flying.popleft().result()
    for future in flying:
        future.result()


def compute(seconds: float) -> int:
    """Compute for so long; return how often something was done."""
    turns = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))
        turns += 1
    return turns


def thread_time(name: str) -> float:
    """Return the processor time of the thread of this process that has this name, in seconds."""
    for task in pathlib.Path("/proc/self/task").iterdir():
        if (task / "comm").read_text() == f"{name}\n":
            return int((task / "schedstat").read_text().split()[0]) * 1e-9
    raise LookupError(name)


class Interruptions:
    """Measures what requests take of the main thread's processor time, between two bytecodes."""

    def __init__(self) -> None:
        self.time = 0.0
        self.serve = _attend.between_bytecodes
        _attend.between_bytecodes = self  # type: ignore[assignment]

    def __call__(self) -> None:
        begin = time.thread_time()
        self.serve()
        self.time += time.thread_time() - begin


def share_a_processor() -> None:
    """Without an interpreter lock, have all threads of this rank run on one processor.

    On two of them requests run beside the program, and take nothing from it that could be told.
    """
    if not locked():
        one = {min(os.sched_getaffinity(0))}
        for task in pathlib.Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(task.name), one)


def flooded(thread: bool) -> None:
    """Print which part of the time of a flooded owner its program has.

    That is processor time: what other processes take is nobody's here. Requests take the
    executor's, and some of the main thread's if they belong to it. The progress thread's, which is
    the price of the messages, does not count.
    """
    if pygas.MYTHREAD == 0:
        share_a_processor()
    interruptions = Interruptions()
    target = Target()
    proxy: Any = pygas.share(target, thread=thread)
    own = time.thread_time()
    per_turn = compute(0.5)
    cost = (time.thread_time() - own) / per_turn
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        time.sleep(0.3)  # let it swell
        requests, taken = target.calls, interruptions.time
        main, executor = time.thread_time(), thread_time("pygas-executor")
        turns = compute(3)
        taken = interruptions.time - taken
        main = time.thread_time() - main - taken
        executor = thread_time("pygas-executor") - executor
        part = main / (main + executor + taken)
        print(f"requests {target.calls - requests} own {part:.3f} of {main:.3f} {executor:.3f}"
              f" {taken:.3f}; turns {turns * cost:.3f}")  # fmt: skip
    else:
        flood(proxy, 3.6)
    pygas.barrier()


def flooded_any() -> None:
    flooded(thread=False)


def flooded_main() -> None:
    flooded(thread=True)


def compute_nothing() -> None:
    pygas.init()


@pytest.mark.parametrize("thread", [False, True], ids=["any", "main"])
@pytest.mark.parametrize("share", [10, 50, 90])
def test_a_flood_leaves_the_owner_its_share(
    share: int, thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYGAS_REQUEST_SHARE", str(share))
    function = flooded_main if thread else flooded_any
    result = run_ranks(4, HERE / "rankmain.py", __file__, function.__name__, timeout=50)
    assert result.returncode == 0, result.stderr
    words = result.stdout.split()
    requests, own = int(words[1]), float(words[3])
    print(result.stdout)
    assert requests > 100
    # Standing aside for the executor costs the program, too: about 50 us for each millisecond.
    assert own > (1 - share / 100) * 0.8


def flooded_worker() -> None:
    """Print the processor time of a thread of a flooded owner, and of the executor."""
    target = Target()
    proxy: Any = pygas.share(target)
    spent: list[float] = []

    def work() -> None:
        begin = time.thread_time()
        compute(3)
        spent.append(time.thread_time() - begin)

    pygas.barrier()
    if pygas.MYTHREAD == 0:
        time.sleep(0.3)  # let it swell
        requests, before = target.calls, thread_time("pygas-executor")
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
        used = thread_time("pygas-executor") - before
        print(f"requests {target.calls - requests} worker {spent[0]:.3f} executor {used:.3f}")
    else:
        flood(proxy, 3.6)
    pygas.barrier()


def test_a_flood_leaves_other_threads_of_the_owner_their_share() -> None:
    result = run_ranks(3, HERE / "rankmain.py", __file__, "flooded_worker", timeout=50)
    assert result.returncode == 0, result.stderr
    words = result.stdout.split()
    requests, worker, executor = int(words[1]), float(words[3]), float(words[5])
    print(result.stdout)
    assert requests > 100
    assert worker > 0.4 * (worker + executor)


def in_debt(asleep: bool) -> None:
    """Print how long the request after a long one takes."""
    target = Target()
    proxy: Any = pygas.share(target)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while target.calls < (1 if asleep else 2):
            sum(range(100))
        if asleep:
            time.sleep(2)
    else:
        proxy.take_long()
        time.sleep(0.2)
        begin = time.monotonic()
        proxy.touch()
        print(f"took {time.monotonic() - begin:.3f}")
    pygas.barrier()


def in_debt_asleep() -> None:
    in_debt(asleep=True)


def in_debt_computing() -> None:
    in_debt(asleep=False)


def test_a_debt_is_paid_while_the_program_computes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is about one second here. A program that sleeps has no use for it.

    Without an interpreter lock a long request runs beside the program, which owes nothing then.
    """
    monkeypatch.setenv("PYGAS_REQUEST_SHARE", "1")
    took = {}
    for function in (in_debt_asleep, in_debt_computing):
        result = run_ranks(2, HERE / "rankmain.py", __file__, function.__name__)
        assert result.returncode == 0, result.stderr
        took[function] = float(result.stdout.split()[1])
    print(took)
    assert took[in_debt_asleep] < 0.4
    assert (took[in_debt_computing] > 0.6) == locked()


def test_a_share_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0", "101", "half"):
        monkeypatch.setenv("PYGAS_REQUEST_SHARE", value)
        result = run_ranks(1, HERE / "rankmain.py", __file__, "compute_nothing")
        assert result.returncode == 1
        assert "PYGAS_REQUEST_SHARE is " in result.stderr


@pytest.mark.ranks(4)
def test_a_busy_sender_wakes_its_owner_rarely() -> None:
    """Not once for each message."""
    target = Target()
    proxy: Any = pygas.share(target)
    count = 5000
    pygas.barrier()
    calls, rousings = _core.wakeups()
    if pygas.MYTHREAD == 0:
        while target.calls < 3 * count:
            sum(range(1000))
        more_calls, more_rousings = _core.wakeups()
        print(f"{3 * count} requests: {more_calls - calls} calls between bytecodes,"
              f" {more_rousings - rousings} times roused")  # fmt: skip
        assert more_calls - calls < count
        assert more_rousings - rousings < count
    else:
        futures = [pygas.async_(proxy).touch() for _ in range(count)]
        for future in futures:
            future.result()
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_what_a_rank_asks_of_itself_does_not_interrupt_it() -> None:
    """Not once for each request: it is about to wait, and runs them then."""
    target = Target()
    mine: Any = pygas.async_(pygas.Proxy(target))
    count = 2000
    begin = time.monotonic()
    calls, rousings = _core.wakeups()
    for _ in range(count // 10):
        for future in [mine.touch() for _ in range(10)]:
            future.result()
    more_calls, more_rousings = _core.wakeups()
    ticks = (time.monotonic() - begin) / 200e-6  # where it takes long it is seen to meanwhile
    print(more_calls - calls, more_rousings - rousings, ticks)
    assert target.calls == count
    assert more_calls - calls < 100 + ticks
    assert more_rousings - rousings < 100 + ticks


def test_what_a_rank_asks_of_itself_is_done_while_it_computes() -> None:
    result = run_ranks(1, HERE / "rankmain.py", __file__, "ask_itself_and_compute")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("done\n")


def ask_itself_and_compute() -> None:
    target = Target()
    future = pygas.async_(pygas.Proxy(target)).touch()  # type: ignore[attr-defined]
    end = time.monotonic() + 20
    while not target.calls and time.monotonic() < end:
        sum(range(100))
    print("done" if target.calls else "never done")
    future.result()


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.ranks(1, 2, 4)
def test_a_rank_without_traffic_costs_nothing() -> None:
    """Asleep; and computing, beyond what its program uses."""
    pygas.barrier()
    time.sleep(0.2)
    begin, wall = used(), time.monotonic()
    time.sleep(2)
    idle = (used() - begin) / (time.monotonic() - wall)
    begin, wall, own = used(), time.monotonic(), time.thread_time()
    while time.monotonic() < wall + 1:
        pass
    computing = (used() - begin - (time.thread_time() - own)) / (time.monotonic() - wall)
    print(f"pid {os.getpid()}: idle {idle:.3%}, computing {computing:.3%}")
    assert idle < 0.01
    assert computing < 0.01
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_wait_under_a_flood_ends_soon() -> None:
    """Requests that run in a wait stop when what it waits for is there."""
    target = Target()
    proxy: Any = pygas.share(target)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        box: Any = pygas.share([], 1)
        times = []
        while not target.over:
            begin = time.monotonic()
            len(box)
            times.append(time.monotonic() - begin)
        print(f"{len(times)} calls under the flood, median {sorted(times)[len(times) // 2]:.6f} s")
        assert len(times) > 10
    else:
        pygas.share([], 1)
        flood(proxy, 1.5)
        proxy.finish()
    pygas.barrier()
