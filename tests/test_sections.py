"""Critical sections: with pygas.no_requests()."""

from __future__ import annotations

import os
import pathlib
import threading
import time
import warnings
from typing import Any

import pytest
from conftest import HERE, run_ranks

import pygas


class Account:
    """Two numbers that only a critical section may see unequal.

    `one_at_a_time`: requests of two threads, without an interpreter lock, exclude each other by it.
    """

    def __init__(self) -> None:
        self.one_at_a_time = threading.Lock()
        self.left = self.right = 0
        self.over = False
        self.running = 0

    def deposit(self) -> None:
        with self.one_at_a_time:
            assert self.left == self.right
            self.left += 1
            self.right += 1

    def finish(self) -> None:
        self.over = True

    def wait_for(self, proxy: Any) -> None:
        self.running += 1
        len(proxy)  # a request that its rank keeps waiting, in a section
        self.running += 1

    def sleep(self, seconds: float) -> None:
        self.running += 1
        time.sleep(seconds)
        self.running -= 1


class Signal:
    """Rank 1 waits until rank 0, in its section, tells it to begin."""

    def __init__(self) -> None:
        self.raised: list[int] = []
        self.there: Any = pygas.share(self.raised, 1)

    def send(self) -> None:
        self.there.append(1)

    def wait(self) -> None:
        while not self.raised:
            time.sleep(0.001)
        self.raised.pop()


@pytest.mark.ranks(2, 4)
def test_requests_and_sections_exclude_each_other() -> None:
    account = Account()
    proxy: Any = pygas.share(account)
    bound: Any = pygas.share(account, thread=True)
    pygas.barrier()
    count = 200
    if pygas.MYTHREAD == 0:
        sections = 0
        failures: list[BaseException] = []

        def work() -> None:
            nonlocal sections
            try:
                while account.left < 2 * count * (pygas.THREADS - 1):
                    with pygas.no_requests():
                        left, right = account.left, account.right
                        account.left = -1
                        sum(range(200))
                        assert account.right == right == left
                        account.left = left
                        sections += 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        assert not failures, failures
        assert sections > 10
        assert account.left == account.right == 2 * count * (pygas.THREADS - 1)
    else:
        for _ in range(count):
            proxy.deposit()
            bound.deposit()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_section_nests_and_ends_with_an_exception() -> None:
    account = Account()
    proxy: Any = pygas.share(account)
    begun = Signal()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        with pytest.raises(LookupError):
            fail_in_a_section(account, begun)
        end = time.monotonic() + 10
        while account.left == 0 and time.monotonic() < end:
            pass
        assert account.left == 1
        with pytest.raises(RuntimeError, match="in no section"):
            pygas.no_requests().__exit__(None, None, None)
    else:
        begun.wait()
        proxy.deposit()
    pygas.barrier()


def fail_in_a_section(account: Account, begun: Signal) -> None:
    with pygas.no_requests():
        begun.send()
        with pygas.no_requests(), pygas.no_requests():
            pass
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        time.sleep(0.1)
        pygas.progress()
        assert account.left == 0
        raise LookupError


@pytest.mark.ranks(2)
def test_waits_inside_a_section() -> None:
    """They wait for others as ever, and run nothing; what was held off runs afterwards."""
    account = Account()
    proxy: Any = pygas.share(account)
    other: Any = pygas.share([1, 2, 3], 1)
    begun = Signal()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        with pygas.no_requests():
            begun.send()
            for _ in range(50):
                assert other[1] == 2
                assert account.left == 0
            future = pygas.async_(other)[2]
            assert future.then(lambda value: value + 1).result(timeout=10) == 4
            assert account.left == 0
            with pytest.raises(RuntimeError, match="would wait for ever"):
                pygas.by_ref(proxy).deposit()
            with pytest.raises(RuntimeError, match="would wait for ever"):
                pygas.at(0).call(len, [])
        while account.left < 20:
            pass
    else:
        begun.wait()
        futures = [pygas.async_(proxy).deposit() for _ in range(20)]
        for future in futures:
            future.result()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_section_waits_for_a_request_that_runs() -> None:
    account = Account()
    proxy: Any = pygas.share(account)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while not account.running:
            time.sleep(0.001)
        with pygas.no_requests():
            assert account.running == 0  # it has ended
    else:
        proxy.sleep(0.3)
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_section_begins_while_a_request_waits() -> None:
    """The request goes on when the section has ended, not before."""
    account = Account()
    proxy: Any = pygas.share(account)
    there: Any = pygas.share([], 1)
    gate = pathlib.Path(os.environ["PYGAS_TEST_GATE"])
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        while not account.running:
            time.sleep(0.001)
        with pygas.no_requests():  # though the request has not ended
            gate.touch()
            time.sleep(0.3)
            assert account.running == 1
        while account.running < 2:
            time.sleep(0.001)
    else:
        asking = threading.Thread(target=lambda: proxy.wait_for(there))
        with pygas.no_requests():  # so that the request waits
            asking.start()
            while not gate.exists():
                time.sleep(0.001)
        asking.join()
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_section_within_a_request() -> None:
    global account_here
    account = account_here = Account()
    proxy: Any = pygas.share(account)
    pygas.barrier()

    def careful() -> int:
        with pygas.no_requests():
            before = account_here.left
            sum(range(1000))
            assert account_here.left == before
        return before

    if pygas.MYTHREAD == 1:
        futures = [pygas.async_(proxy).deposit() for _ in range(100)]
        for _ in range(20):
            pygas.at(0).call(careful_there)
        for future in futures:
            future.result()
        proxy.finish()
    else:
        assert careful() >= 0
        while not account.over:
            with pygas.no_requests():
                pass
    pygas.barrier()


account_here: Account


def careful_there() -> None:
    with pygas.no_requests():
        before = account_here.left
        sum(range(1000))
        assert account_here.left == before


@pytest.mark.ranks(2)
def test_a_long_section_is_reported() -> None:
    account = Account()
    proxy: Any = pygas.share(account)
    begun = Signal()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        for occupation in (spin_in_a_section, wait_in_a_section):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                occupation(caught, begun)
                end = time.monotonic() + 0.1
                while time.monotonic() < end:
                    pass  # nothing more comes
            assert len(caught) == 1, [str(one.message) for one in caught]
            text = str(caught[0].message)
            assert caught[0].category is RuntimeWarning
            assert "kept a request waiting" in text
            assert occupation.__name__ in text
            pygas.barrier()
    else:
        for _ in range(2):
            begun.wait()
            proxy.deposit()
            pygas.barrier()
    pygas.barrier()


def spin_in_a_section(caught: list[Any], begun: Signal) -> None:
    end = time.monotonic() + 30
    with pygas.no_requests():
        begun.send()
        while not caught and time.monotonic() < end:
            pass


def wait_in_a_section(caught: list[Any], begun: Signal) -> None:
    end = time.monotonic() + 30
    never: pygas.Future[None] = pygas.Future()
    with pygas.no_requests():
        begun.send()
        while not caught and time.monotonic() < end:
            pygas.wait([never], 0.1)


def hold_for_a_while() -> None:
    """Print how many warnings there are when a request has waited for half a second."""
    account = Account()
    proxy: Any = pygas.share(account)
    begun = Signal()
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pygas.no_requests():
                begun.send()
                end = time.monotonic() + 0.5
                while time.monotonic() < end or (LIMIT == "50" and not caught):
                    pass
        print(f"warnings {len(caught)}")
    else:
        begun.wait()
        proxy.deposit()
    pygas.barrier()


LIMIT = os.environ.get("PYGAS_SECTION_WARN_MS")


@pytest.mark.parametrize(("limit", "count"), [("50", 1), ("0", 0), ("60000", 0)])
def test_when_a_section_is_reported(
    limit: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYGAS_SECTION_WARN_MS", limit)
    result = run_ranks(2, HERE / "rankmain.py", __file__, "hold_for_a_while")
    assert result.returncode == 0, result.stderr
    assert f"warnings {count}\n" in result.stdout


@pytest.mark.ranks(1)
def test_a_section_is_cheap() -> None:
    section = pygas.no_requests()

    def empty() -> None:
        for _ in range(20_000):
            with section:
                pass

    def locked() -> None:
        for _ in range(20_000):
            with lock:
                pass

    lock = threading.RLock()
    times: dict[str, float] = {}
    for name, function in (("section", empty), ("RLock", locked)) * 5:
        begin = time.perf_counter()
        function()
        times[name] = min(times.get(name, 9.9), (time.perf_counter() - begin) / 20_000)
    print({name: f"{seconds * 1e9:.0f} ns" for name, seconds in times.items()})
    assert times["section"] < 10 * times["RLock"]
