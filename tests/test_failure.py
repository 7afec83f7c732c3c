"""What survivors see when a rank fails in a job that goes on."""

from __future__ import annotations

import pathlib
import re
import textwrap

import pytest
from conftest import run_ranks
from failurekit import PREFACE, check_survivors, run_program

REASONS = {
    "SIGKILL": "was killed by SIGKILL",
    "SIGSEGV": "was killed by SIGSEGV",
    "os._exit": "left without finishing its part of the job (os._exit?)",
    "os._exit(3)": "exited with code 3",
    "exception": "exited with code 1",
}


@pytest.mark.parametrize("how", REASONS)
def test_every_kind_of_wait_ends(tmp_path: pathlib.Path, how: str) -> None:
    text = f"""
    box = pygas.share([] if me == 1 else None, root=1)
    team = pygas.world.split(0)
    pygas.barrier()
    if me == 1:
        fall({how!r})
    await_fall(1)
    future = pygas.at(1).submit(stay)
    begin = time.monotonic()
    waits = [
        lambda: pygas.at(1).call(stay),
        pygas.barrier,
        lambda: team.broadcast(None, root=1),
        lambda: future.result(),
    ]
    error = expect(1, waits[me if me == 0 else me - 1])
    assert time.monotonic() - begin < 2, time.monotonic() - begin
    assert error.reason == {REASONS[how]!r}, error.reason
    assert pygas.failed_ranks() == {{1: {REASONS[how]!r}}}
    expect(1, future.result)
    assert isinstance(future.exception(), pygas.RankFailedError) and future.done()
    expect(1, lambda: box[0])
    expect(1, pygas.resolve, box)
    expect(1, pygas.at(1).new, list)
    expect(1, pygas.at(1).submit, stay)
    expect(1, lambda: pygas.async_(box).append(1))
    for collective in (
        pygas.barrier,
        lambda: pygas.broadcast(1),
        lambda: pygas.share([]),
        lambda: pygas.allreduce(1),
        lambda: pygas.world.allgather_async(1).result(),
        team.barrier,
    ):
        expect(1, collective)
    for other in set(range(ranks)) - {{1, me}}:
        assert pygas.at(other).call(pow, 2, 5) == 32
    print("well")
    """
    result = check_survivors(tmp_path, 4, text)
    notice = f"pygas: rank 1 of 4 {REASONS[how]}; the job goes on without it\n"
    assert notice in result.stderr


def test_rank_zero_fails(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 0:
        fall("SIGKILL", 0)
    expect(0, pygas.barrier)
    print("well")
    """
    check_survivors(tmp_path, 2, text)


def test_the_policy_may_come_from_the_program(tmp_path: pathlib.Path) -> None:
    text = """
    if me == 2:
        pygas.on_failure("end")
        pygas.on_failure("raise")
    pygas.barrier()
    if me == 1:
        fall("exception")
    await_fall(1)
    expect(1, pygas.at(1).call, stay)
    print("well")
    """
    result = run_program(tmp_path, 3, text)
    assert (result.returncode, result.stdout.split()) == (0, ["well"] * 2), result
    assert "RuntimeError: the end" in result.stderr


@pytest.mark.ranks(1, 2)
def test_policies_that_do_not_exist() -> None:
    import pygas

    with pytest.raises(ValueError, match="there is no policy 'ignore'"):
        pygas.on_failure("ignore")  # type: ignore[arg-type]
    assert pygas.failed_ranks() == {}
    pygas.on_failure("raise")
    pygas.on_failure("end")
    pygas.barrier()


def test_the_program_may_take_it_back(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.on_failure("end")
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    pygas.barrier()
    """
    result = run_program(tmp_path, 2, text, "--on-failure=continue")
    assert result.returncode == 137
    assert result.stderr.endswith("pygas: rank 1 of 2 was killed by SIGKILL\n")


def test_several_fail_one_after_the_other(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me in (1, 3):
        fall("SIGKILL", 0.3 * me)
    await_fall(1, 3)
    for victim in (1, 3):
        expect(victim, pygas.at(victim).call, stay)
    assert set(pygas.failed_ranks()) == {1, 3}
    try:
        pygas.barrier()
    except pygas.RankFailedError as error:
        assert set(error.ranks) == {1, 3}, error.ranks
    assert pygas.at(2 - me).call(abs, -1) == 1
    print("well")
    """
    result = run_program(tmp_path, 4, text, "--on-failure=continue")
    assert (result.returncode, result.stdout.split()) == (0, ["well"] * 2), result


def test_if_all_fail_the_first_counts(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 1:
        os._exit(7)
    pygas.barrier()
    """
    result = run_program(tmp_path, 3, text, "--on-failure=continue")
    assert result.returncode == 7
    last = result.stderr.splitlines()[-1]
    assert last == "pygas: rank 1 of 3 exited with code 7", result.stderr
    assert "RankFailedError: rank 1 has failed: it exited with code 7" in result.stderr


def test_survivors_codes_count(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 1:
        os._exit(7)
    expect(1, pygas.barrier)
    sys.exit(me)
    """
    result = run_program(tmp_path, 3, text, "--on-failure=continue")
    assert result.returncode == 2
    assert result.stderr.endswith("pygas: rank 2 of 3 exited with code 2\n")


def test_calls_of_a_dead_rank(tmp_path: pathlib.Path) -> None:
    """What it asked for and has not started is dropped; what runs goes on; replies are dropped."""
    text = """
    log = []
    def note(item, seconds=0.0):
        time.sleep(seconds)
        log.append(item)
        return b"x" * 10_000_000
    pygas.barrier()
    if me == 1:
        first = pygas.at(0).submit(note, "started", 0.6)
        later = [pygas.at(0).submit(note, "never started") for _ in range(10)]
        large = pygas.at(0).submit(note, bytes(10_000_000))
        fall("SIGKILL", 0.2)
    await_fall(1)
    if me == 0:
        stay(1.0)
        assert log == ["started"], log
        assert pygas.at(2).call(abs, -3) == 3
    else:
        expect(1, pygas.at(1).call, stay)
        time.sleep(1)
    print("well")
    """
    result = check_survivors(tmp_path, 3, text)
    assert "Traceback" not in result.stderr


DROPPED = """
    import gc

    def deep():
        return pygas.at(1).call(stay)
    def note_call(future):
        called.append(future.done())
    def fall_when_asked():
        await_fall(0)  # rank 0 has left its mark
        fall("SIGKILL")
    def see(report):
        reports.append(f"{report.object}\\n{report.err_msg}\\n{report.exc_value}")
    if me == 1:
        threading.Thread(target=fall_when_asked).start()
    pygas.barrier()
    if me == 1:
        stay()
    if me == 0:
        called, reports = [], []
        sys.unraisablehook = see
        there = pygas.at(1)
        plain = there.submit(stay)
        mapped = there.submit(stay).then(lambda x: x)
        joined = pygas.gather(there.submit(stay), there.submit(stay))
        heard = there.submit(stay)
        heard.add_done_callback(note_call)
        late = [there.submit(stay) for _ in range(3)]
        through = pygas.at(2).submit(deep)
        HERE
        open(mark(0), "w").close()
        pygas.wait([plain, mapped, joined, heard, through, *late])
        while not called:
            pygas.progress()
        assert called == [True]
        assert not any(future.cancel() for future in late[:2])
        assert not late[2].cancelled()
        assert [future.done() for future in late] == [True] * 3
        THEN
        del plain, mapped, joined, heard, through, late
        gc.collect()
        END
        assert pygas.at(2).call(abs, -3) == 3
        assert len(reports) == COUNT, reports
    else:
        pygas.at(0).call(abs, 1)
        time.sleep(1)
    print("well")
"""


def dropped(**parts: str) -> str:
    """Return the program with something in the place of each name."""
    text = DROPPED
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


def test_dropped_futures_are_reported_once(tmp_path: pathlib.Path) -> None:
    """Work that a failed rank has not done is not lost without a word, nor with thousands."""
    end = """deadline = time.monotonic() + 10
        while not reports and time.monotonic() < deadline:
            pygas.progress()
        assert "dropped unasked" in reports[0] and "rank 1 has failed" in reports[0], reports
        pygas.progress()"""
    begin = "for _ in range(100): there.submit(stay)"
    text = dropped(HERE=begin, THEN="pass", END=end, COUNT="1")
    check_survivors(tmp_path, 3, text)


@pytest.mark.parametrize("how", ["expect(1, plain.result)", "pygas.failed_ranks()"])
def test_dropped_futures_are_silent(tmp_path: pathlib.Path, how: str) -> None:
    """Whatever was done with them, if the program knows of the failure."""
    result = check_survivors(
        tmp_path, 3, dropped(HERE="pass", THEN=how, END="pygas.progress()", COUNT="0")
    )
    assert "Error" not in result.stderr


def test_an_argument_that_dies_with_its_owner(tmp_path: pathlib.Path) -> None:
    """Fetching a large argument from a rank that has just been killed does not end the reader."""
    text = """
    log = []
    def note(data):
        log.append(len(data))
    def wait_here(pid):
        while open(f"/proc/{pid}/stat").read().split()[2] != "Z":
            pass
    pygas.barrier()
    pygas.at(1 - me).call(abs, 1) if me < 2 else None
    pygas.barrier()
    if me == 1:
        blocked = pygas.at(0).submit(wait_here, os.getpid())
        large = [pygas.at(0).submit(note, bytes(50_000_000)) for _ in range(3)]
        fall("SIGKILL", 0.1)
    if me == 0:
        await_fall(1)
        expect(1, pygas.at(1).call, stay)
        time.sleep(0.5)
        assert log == []
    print("well")
    """
    result = check_survivors(tmp_path, 2, text)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("policy", ["continue", "end"])
def test_large_transfers(tmp_path: pathlib.Path, policy: str) -> None:
    """A rank is killed while all the others read large objects from it."""
    text = """
    box = pygas.share(bytes(50_000_000) if me == 1 else None, root=1)
    assert len(pygas.resolve(box)) == 50_000_000
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    def read():
        while True:
            pygas.resolve(box)
    expect(1, read)
    print("well")
    """
    if policy == "continue":
        check_survivors(tmp_path, 4, text)
        return
    result = run_program(tmp_path, 4, text)
    assert (result.returncode, result.stdout) == (137, "")
    assert result.stderr.endswith("pygas: rank 1 of 4 was killed by SIGKILL\n")


def test_many_calls_to_a_rank_that_does_not_listen(tmp_path: pathlib.Path) -> None:
    """A queue full of requests, with large arguments that are let go of."""
    text = """
    import gc, weakref
    import numpy
    pygas.barrier()
    if me == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    if me == 0:
        time.sleep(0.2)
        large = numpy.zeros(1_000_000)
        gone = weakref.ref(large)
        futures = [pygas.at(1).submit(stay, large)]
        del large
        futures += [pygas.at(1).submit(stay, i) for i in range(3000)]
        os.kill(pygas_pid, signal.SIGKILL)
        begin = time.monotonic()
        for future in futures:
            expect(1, future.result)
        assert time.monotonic() - begin < 2
        end = time.monotonic() + 5
        while gone() is not None and time.monotonic() < end:
            pygas.progress()
            gc.collect()
        assert gone() is None
        used = time.process_time()
        time.sleep(1)
        assert time.process_time() - used < 0.3, time.process_time() - used
    print("well")
    """.replace(
        "    pygas.barrier()\n    if me == 1:",
        "    pygas_pid = pygas.at(1).call(os.getpid)\n    pygas.barrier()\n    if me == 1:",
    )
    check_survivors(tmp_path, 2, text)


def test_threads_that_wait(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    good = []
    def wait():
        expect(1, pygas.at(1).call, stay)
        good.append(1)
    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(5)
    assert len(good) == 8
    futures = pygas.async_
    print("well")
    """
    check_survivors(tmp_path, 2, text)


def test_the_error_travels(tmp_path: pathlib.Path) -> None:
    """Rank 0 asks rank 2, which asks rank 1, which has failed."""
    text = """
    def ask():
        return pygas.at(1).call(abs, 1)
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    expect(1, pygas.at(1).call, stay)
    if me == 0:
        error = expect(1, pygas.at(2).call, ask)
        assert "The traceback on rank 2" in error.__notes__[0]
    print("well")
    """
    check_survivors(tmp_path, 3, text)


def test_callbacks_and_groups_of_futures(tmp_path: pathlib.Path) -> None:
    text = """
    called = []
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    future = pygas.at(1).submit(stay)
    future.add_done_callback(called.append)
    chained = future.then(lambda result: result)
    done, rest = pygas.wait([future, chained], timeout=5)
    assert len(done) == 2 and not rest
    expect(1, chained.result)
    assert called == [future]
    gathered = pygas.gather(pygas.at(0).submit(abs, 1), future)
    expect(1, gathered.result)
    assert not future.cancel()
    print("well")
    """
    check_survivors(tmp_path, 2, text)


def test_dying_while_the_others_end(tmp_path: pathlib.Path) -> None:
    """The survivors have finished their programs, and serve the one that then dies."""
    text = """
    pygas.barrier()
    if me == 1:
        fall("SIGKILL", 0.5)
    print("well")
    """
    check_survivors(tmp_path, 4, text)


def test_dying_before_joining(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "prog.py"
    program.write_text(
        "import os, sys\n"
        "if ',rank:1,' in os.environ['PYGAS_BOOT']: sys.exit(5)\n"
        + PREFACE
        + textwrap.dedent("""
            assert pygas.world.size == 3
            expect(1, pygas.at(1).call, stay)
            assert pygas.at(2 - me).call(abs, -1) == 1
            print("well")
        """)
    )
    result = run_ranks(3, "--on-failure=continue", program, timeout=30)
    assert (result.returncode, result.stdout.split()) == (0, ["well"] * 2), result


def test_children_of_a_dead_rank_are_ended(tmp_path: pathlib.Path) -> None:
    text = """
    import subprocess
    pids = pygas.share([] if me == 0 else None)
    pygas.barrier()
    if me == 1:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
        pids.append(child.pid)
        fall("SIGKILL")
    await_fall(1)
    expect(1, pygas.at(1).call, stay)
    end = time.monotonic() + 5
    def lives(pid):
        try:
            return open(f"/proc/{pid}/stat").read().split()[2] != "Z"
        except FileNotFoundError:
            return False
    pid, = pygas.resolve(pids)
    while lives(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(pid)
    print("well")
    """
    check_survivors(tmp_path, 2, text)


def test_notices_go_to_stderr_beside_files(tmp_path: pathlib.Path) -> None:
    text = """
    pygas.barrier()
    if me == 1:
        fall("SIGKILL")
    await_fall(1)
    expect(1, pygas.barrier)
    """
    out = str(tmp_path / "out")
    result = run_program(tmp_path, 2, text, "--on-failure=continue", "--output-dir", out)
    assert result.returncode == 0
    assert re.fullmatch(
        "pygas: rank 1 of 2 was killed by SIGKILL; the job goes on without it\n", result.stderr
    )
