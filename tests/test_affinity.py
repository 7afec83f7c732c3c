"""Objects that belong to a thread: Proxy(obj, thread=True)."""

from __future__ import annotations

import pathlib
import sqlite3
import sys
import tempfile
import threading
import time
from typing import Any

import pytest

import pygas


class Bound:
    """Insists on its thread, as a database connection or a window does."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.calls = 0
        self.over = False

    def touch(self) -> int:
        assert threading.get_ident() == self.thread
        self.calls += 1
        return self.calls

    def finish(self) -> None:
        self.over = True

    def call(self, function: Any, *args: Any) -> Any:
        assert threading.get_ident() == self.thread
        return function(*args)

    def child(self) -> Any:
        return pygas.local(pygas.Proxy(Bound())) if self.touch() else None

    def lock_and_self(self) -> tuple[Any, Any]:
        return threading.Lock(), self

    def __len__(self) -> int:
        return self.touch()

    def __add__(self, other: int) -> int:
        return self.touch() * 0 + other

    def __getitem__(self, key: int) -> int:
        self.touch()
        return key


@pytest.mark.ranks(1, 2, 4)
def test_an_sqlite_connection() -> None:
    """With its check of the thread, from several ranks and threads, whatever the owner does."""
    connection = sqlite3.connect(":memory:") if pygas.MYTHREAD == 0 else None
    db: Any = pygas.share(connection, thread=True)
    over: Any = pygas.share([])
    count, threads_each = 40, 2
    if pygas.MYTHREAD == 0:
        db.execute("create table t (rank int, thread int, i int)")
    pygas.barrier()

    def insert(thread: int) -> None:
        for i in range(count):
            cursor = db.execute("insert into t values (?, ?, ?)", (pygas.MYTHREAD, thread, i))
            assert cursor.rowcount == 1
        db.commit()

    threads = [threading.Thread(target=insert, args=(n,)) for n in range(threads_each)]
    for thread in threads:
        thread.start()
    if pygas.MYTHREAD == 0:
        while any(thread.is_alive() for thread in threads):
            sum(range(100))  # between bytecodes
    for thread in threads:
        thread.join()
    over.append(pygas.MYTHREAD)
    if pygas.MYTHREAD == 0:
        while len(over) < pygas.THREADS:
            time.sleep(0.001)
    pygas.barrier()
    rows = db.execute("select rank, thread, i from t").fetchall()
    assert len(rows) == pygas.THREADS * threads_each * count
    for rank in range(pygas.THREADS):
        for thread_number in range(threads_each):
            mine = [i for r, t, i in rows if (r, t) == (rank, thread_number)]
            assert mine == list(range(count))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        db.execute("select * from absent")
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_main_thread_that_waits_computes_or_sleeps_in_turns() -> None:
    bound = Bound()
    proxy: Any = pygas.share(bound, thread=True)
    for what in ("wait", "compute", "nap"):
        pygas.barrier()
        if pygas.MYTHREAD == 0:
            while not bound.over and what != "wait":
                if what == "nap":
                    time.sleep(0.001)
            bound.over = False
        else:
            before = proxy.calls
            for i in range(100):
                assert proxy.touch() == before + i + 1
            assert len(proxy) == before + 101
            assert proxy + 5 == 5
            assert proxy[7] == 7
            proxy.finish()
        pygas.barrier()
        bound.over = False


@pytest.mark.ranks(2)
def test_other_threads_of_the_owner_ask_its_thread() -> None:
    proxy: Any = pygas.share(Bound(), thread=True)
    failures: list[BaseException] = []

    def use() -> None:
        try:
            for _ in range(20):
                proxy.touch()
            assert proxy + 3 == 3
            assert isinstance(proxy.thread, int)
            assert pygas.is_local(proxy) == (pygas.MYTHREAD == 0)
            where = "another thread" if pygas.MYTHREAD == 0 else "lives on rank 0"
            with pytest.raises(ValueError, match=where):
                pygas.local(proxy)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    while thread.is_alive():
        sum(range(1000))
    assert not failures, failures
    pygas.barrier()
    assert proxy.calls == 2 * 21
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        assert pygas.local(proxy).touch() == 43
    pygas.barrier()


@pytest.mark.ranks(2)
def test_results_by_reference_belong_to_the_thread_too() -> None:
    bound = Bound()
    proxy: Any = pygas.share(bound, thread=True)
    pygas.barrier()
    if pygas.MYTHREAD == 1:
        itself = pygas.by_ref(proxy)
        assert itself.touch() == 1
        lock, again = pygas.by_ref(proxy).lock_and_self()
        assert again.touch() == 2
        assert lock.locked() == False  # noqa: E712  # a Proxy to False
        proxy.finish()
    else:
        while not bound.over:
            pass
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_thread_that_calls_progress_and_then_ends() -> None:
    box: Any = pygas.share({} if pygas.MYTHREAD == 0 else None)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        done = threading.Event()

        def serve() -> None:
            bound = Bound()
            box["proxy"] = pygas.Proxy(bound, thread=True)
            while not bound.over:
                pygas.progress()
                time.sleep(0.001)
            done.set()

        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
        assert done.is_set()
        box["ended"] = True
        with pytest.raises(RuntimeError, match=r"thread of rank 0 .* has ended"):
            box["proxy"].touch()
    else:
        while "proxy" not in box:
            time.sleep(0.001)
        proxy = box["proxy"]
        for i in range(30):
            assert proxy.touch() == i + 1
        futures = [pygas.async_(proxy).finish()] + [pygas.async_(proxy).touch() for _ in range(200)]
        while "ended" not in box:
            time.sleep(0.001)
        outcomes = [future.exception(timeout=20) for future in futures]
        assert outcomes[0] is None
        refused = [error for error in outcomes if error is not None]
        assert all("has ended" in str(error) for error in refused)
        with pytest.raises(RuntimeError, match=r"thread of rank 0 .* has ended"):
            proxy.touch()
    pygas.barrier()


@pytest.mark.ranks(3)
def test_threads_that_wait_are_woken_each_for_its_own() -> None:
    """Several threads of a rank sleep in waits; each serves its object, at once."""
    count = 4
    box: Any = pygas.share({} if pygas.MYTHREAD == 0 else None)
    if pygas.MYTHREAD == 0:
        over: pygas.Future[None] = pygas.Future()
        ready = threading.Barrier(count + 1)

        def wait(number: int) -> None:
            box[number] = pygas.Proxy(Bound(), thread=True)
            ready.wait()
            over.result()

        threads = [threading.Thread(target=wait, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        ready.wait()
        pygas.barrier()
        pygas.barrier()
        over.set_result(None)
        for thread in threads:
            thread.join()
    else:
        pygas.barrier()
        proxies = [box[n] for n in range(count)]
        begin = time.monotonic()
        for _ in range(50):
            time.sleep(0.002)  # so that they sleep
            for proxy in proxies:
                proxy.touch()
        assert time.monotonic() - begin < 10
        pygas.barrier()
    pygas.barrier()


def ask_back(proxy: Any, depth: int) -> int:
    """Call `proxy`'s rank, which calls this one, and so on."""
    if depth == 0:
        return 0
    result: int = (
        proxy.call(ask_back, there, depth - 1)
        if depth % 2
        else there.call(ask_back, proxy, depth - 1)
    )
    return result + 1


there: Any = None


@pytest.mark.ranks(2)
def test_nested_calls_between_threads() -> None:
    """Two objects with affinity call each other; also from other threads of their ranks."""
    for depth in (1, 10, 60):
        nest(depth)


def nest(depth: int) -> None:
    global there
    mine = Bound()
    both = [pygas.share(mine, 0, thread=True), pygas.share(mine, 1, thread=True)]
    there = both[1 - pygas.MYTHREAD]
    pygas.barrier()
    failures: list[BaseException] = []

    def use() -> None:
        try:
            assert ask_back(both[0], depth) == depth
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    use()
    while any(thread.is_alive() for thread in threads):
        sum(range(100))
    assert not failures, failures
    pygas.barrier()


@pytest.mark.ranks(2)
def test_requests_to_a_thread_start_in_order() -> None:
    log: list[int] = []
    proxy: Any = pygas.share(log, thread=True)
    pygas.barrier()
    count = 3000
    if pygas.MYTHREAD == 1:
        futures = [pygas.async_(proxy).append(i) for i in range(count)]
        futures[-1].result()
    else:
        while len(log) < count:
            pass
        assert log == list(range(count))
    pygas.barrier()


@pytest.mark.ranks(2)
def test_an_exception_of_a_signal_handler_reaches_program_and_caller() -> None:
    """Ctrl-C while the main thread runs a request between two bytecodes."""
    bound = Bound()
    proxy: Any = pygas.share(bound, thread=True)
    pygas.barrier()
    if pygas.MYTHREAD == 0:
        with pytest.raises(KeyboardInterrupt):
            compute_for_ever(bound)
    else:
        while not proxy.over:  # it is not in its barrier any more
            time.sleep(0.001)
        with pytest.raises(KeyboardInterrupt):
            proxy.call(interrupt_myself)
    pygas.barrier()


def compute_for_ever(bound: Bound) -> None:
    while True:
        bound.over = True
        sum(range(100))


def interrupt_myself() -> None:
    import signal

    signal.raise_signal(signal.SIGINT)
    time.sleep(1)


@pytest.mark.ranks(2)
def test_the_last_reference_goes_in_the_thread() -> None:
    if pygas.MYTHREAD == 0:
        seen: list[int] = []

        class Mourned:
            def __del__(self) -> None:
                seen.append(threading.get_ident())

        box = [pygas.Proxy(Mourned(), thread=True)]
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            pass
        assert seen == [threading.get_ident()]
    pygas.barrier()


@pytest.mark.ranks(1)
def test_an_import_is_not_interrupted() -> None:
    """Requests between bytecodes wait while the main thread imports a module."""
    bound = Bound()
    proxy: Any = pygas.share(bound, thread=True)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "slow_module.py").write_text(
            "import time\nend = time.monotonic() + 0.3\nwhile time.monotonic() < end: pass\n"
        )
        sys.path.insert(0, folder)
        asking = threading.Timer(0.1, lambda: proxy.touch())
        asking.start()
        import slow_module  # type: ignore[import-not-found]

        assert bound.calls == 0, slow_module
        deadline = time.monotonic() + 10
        while bound.calls == 0 and time.monotonic() < deadline:
            pass
        asking.join()
    assert bound.calls == 1
