#!/usr/bin/env python3
"""Kill launchers and ranks of jobs at random moments, and check what becomes of the jobs.

No job may hang, no process or file may be left, and the message and the exit code have to be right.

Usage: kill_test.py [--kills N] [--seed S] [--seconds S] [-v]
With --seconds it stops early when time is up. When something is wrong the seed of the job is shown:
`--seed THAT --kills 1` does it again.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from typing import NamedTuple

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "tests" / "kill_program.py"
PHASES = ("start", "collectives", "transfers", "calls", "mixed", "exit")
#: For how long after the ranks were forked a kill may come, by phase, in seconds.
SPANS = {"start": 0.6, "exit": 0.9}
SPAN = 1.1
LIMIT = 20.0
MARK = "PYGAS_KILL_TEST"


class Case(NamedTuple):
    """One job, and whom to kill when: a rank, or (-1) the launcher."""

    seed: int
    ranks: int
    phase: str
    go_on: bool
    victim: int
    delay: float


class Outcome(NamedTuple):
    """How it went: what is wrong (empty: nothing), and whether the kill met anybody."""

    wrong: str
    met: bool


def make_case(seed: int) -> Case:
    choice = random.Random(seed)
    ranks = choice.choice((2, 3, 4))
    phase = choice.choice(PHASES)
    go_on = choice.random() < 0.5
    victim = choice.choice((-1, *range(ranks), *range(ranks)))
    return Case(seed, ranks, phase, go_on, victim, choice.uniform(0, SPANS.get(phase, SPAN)))


def children(pid: int) -> list[int]:
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def is_alive(pid: int) -> bool:
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def marked(mark: str) -> list[int]:
    """The live processes that descend from a job."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark.encode() in pathlib.Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
    return found


def strike(launcher: int, case: Case) -> bool:
    """Wait for the ranks, then kill the victim; tell whether it was alive."""
    end = time.monotonic() + LIMIT
    while len(processes := children(launcher)) < case.ranks + 1:  # the first is the guard
        if time.monotonic() > end or not is_alive(launcher):
            return False
        time.sleep(0.001)
    time.sleep(case.delay)
    pid = launcher if case.victim < 0 else processes[1 + case.victim]
    alive = is_alive(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return alive


def judge(case: Case, met: bool, code: int, err: str) -> str:
    """What is wrong with how a job ended."""
    err = re.sub(r"\[.*UCX .*\n", "", err)  # the transport may notice and say so
    name = f"pygas: rank {case.victim} of {case.ranks} was killed by SIGKILL"
    if case.victim < 0:
        return "" if code == -signal.SIGKILL or not met else f"exit code {code}"
    if not met or (code, err) == (0, ""):  # it had ended, or was about to with nothing left to do
        return "" if (code, err) == (0, "") else f"not met, but exit code {code}: {err}"
    if not case.go_on:
        right = code == 137 and err == f"{name}\n"
    else:
        # Killed after it had finished its part it has met the others: then its code counts.
        right = code == 137 and err == f"{name}\n"
        right |= code == 0 and err == f"{name}; the job goes on without it\n"
    return "" if right else f"exit code {code}, message: {err}"


def run(case: Case) -> Outcome:
    mark = f"{MARK}={uuid.uuid4().hex}"
    environment = {**os.environ, MARK: mark.partition("=")[2]}
    command = [sys.executable, "-m", "pygas", "run", "-n", str(case.ranks)]
    command += ["--on-failure=continue"] if case.go_on else []
    command += [str(PROGRAM), case.phase]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            command, env=environment, stdout=out, stderr=err, cwd="/", process_group=0
        )
        met = strike(process.pid, case)
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            left = marked(mark)
            stacks = describe(left)
            for pid in [process.pid, *left]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            err.seek(0)
            return Outcome(f"it hangs: {err.read()}{stacks}", met)
        err.seek(0)
        wrong = judge(case, met, code, err.read())
    end = time.monotonic() + 5
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.01)
    if left:
        wrong += f" processes are left: {left}"
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    folders = f"/dev/shm/pygas-{process.pid}-*"
    while (files := glob.glob(folders)) and time.monotonic() < end:
        time.sleep(0.01)
    if files:
        wrong += f" files are left: {files}"
    return Outcome(wrong, met)


def describe(pids: list[int]) -> str:
    """Where processes that hang are, if there is a debugger."""
    text = ""
    for pid in pids:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            command = ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"]
            result = subprocess.run(command, capture_output=True, text=True, timeout=30)
            lines = [line[:150] for line in result.stdout.splitlines() if line[:1] in "#T"]
            text += f"\n--- process {pid}\n" + "\n".join(lines)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500, help="how many (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the first job (0)")
    parser.add_argument("--seconds", type=float, help="stop when they are over")
    parser.add_argument("-v", action="store_true", dest="verbose", help="show every job")
    options = parser.parse_args()
    begin = time.monotonic()
    done = met = wrong = 0
    for seed in range(options.seed, options.seed + options.kills):
        if options.seconds is not None and time.monotonic() - begin > options.seconds:
            break
        case = make_case(seed)
        outcome = run(case)
        done += 1
        met += outcome.met
        wrong += bool(outcome.wrong)
        if outcome.wrong or options.verbose:
            print(f"{case}: {outcome.wrong or 'well'}", flush=True)
    seconds = time.monotonic() - begin
    print(f"{done} jobs, {met} killed alive, {wrong} wrong, {seconds:.0f} s (seed {options.seed})")
    return 1 if wrong or not done else 0


if __name__ == "__main__":
    sys.exit(main())
