"""The command line of ``pygas run``."""

from __future__ import annotations

import argparse
import os
import sys

from pygas.launch.job import CannotStart, JobOptions, run_job
from pygas.launch.output import OutputOptions

_USAGE = """pygas run [-n N] [options] program.py [argument ...]
       pygas run [-n N] [options] -m module [argument ...]"""

_EPILOG = """\
The ranks' lines are kept whole (lines of more than 1 MiB may be cut). Standard input goes to
rank 0. The exit code is that of the first rank that fails, 128 + s if it was killed by signal s,
124 after a timeout, 2 if the job could not be started. With --on-failure=continue, ranks that fail
do not count unless all do: the code is 0 if the others finish with 0."""


class _UsageError(Exception):
    """The command line does not make sense."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``pygas run``."""
    parser.usage = _USAGE
    parser.epilog = _EPILOG
    parser.allow_abbrev = False
    parser.add_argument(
        "-n", dest="size", metavar="N", type=_rank_count, default=1, help="number of ranks (1)"
    )
    parser.add_argument(
        "--bind-to",
        choices=("none", "core"),
        default="none",
        help="where the system may run the ranks: anywhere (none, the default), or each on cores "
        "of its own, an equal part of those there are (core)",
    )
    parser.add_argument(
        "--tag-output", action="store_true", help="put the rank's number in front of each line"
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        help="write DIR/rank-R.out and DIR/rank-R.err instead of forwarding output",
    )
    parser.add_argument(
        "--on-failure",
        choices=("end", "continue"),
        default="end",
        help="what becomes of the job when a rank fails: it ends (end, the default), or the other "
        "ranks go on and get pygas.RankFailedError from what needs the one that failed (continue)",
    )
    parser.add_argument(
        "--hang-timeout",
        metavar="S",
        type=_seconds,
        help="when all ranks have waited for S seconds and nothing has moved, show once what each "
        "waits for and where its threads are (SIGUSR1 to the launcher shows it at any time)",
    )
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="end the job after S seconds")
    parser.add_argument(
        "-m",
        dest="module",
        nargs=argparse.REMAINDER,
        help="run a module; everything after it goes to the module",
    )
    parser.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        help="Python program; everything after it goes to the program",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run ``pygas run`` and return the exit code."""
    try:
        command = [*_interpreter(), *_program(arguments)]
        options = JobOptions(
            command=command,
            size=arguments.size,
            output=OutputOptions(tag=arguments.tag_output, directory=arguments.output_dir),
            timeout=arguments.timeout,
            hang_timeout=arguments.hang_timeout,
            go_on=arguments.on_failure == "continue",
            bind=arguments.bind_to == "core",
        )
        return run_job(options)
    except (CannotStart, _UsageError) as error:
        print(f"pygas: {error}", file=sys.stderr)
        return 2


def _program(arguments: argparse.Namespace) -> list[str]:
    module: list[str] | None = arguments.module
    if module is not None:
        if not module:
            raise _UsageError("-m needs the name of a module")
        return ["-m", *module]
    program: list[str] = arguments.program
    if program[:1] == ["--"]:
        program = program[1:]
    if not program:
        raise _UsageError("no program given; see pygas run --help")
    if program[0].startswith("-"):
        raise _UsageError(f"unknown option {program[0]}; see pygas run --help")
    if not os.path.exists(program[0]):
        raise _UsageError(f"no such program: {program[0]}")
    return program


def _interpreter() -> list[str]:
    if not sys.executable:
        raise _UsageError("the path of the Python interpreter is unknown")
    return [os.path.abspath(sys.executable)]


def _rank_count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text}") from None
    if count < 1:
        raise argparse.ArgumentTypeError("there must be at least 1 rank")
    return count


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a number: {text}") from None
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be a positive number of seconds")
    return seconds
