"""``pygas bench paper``: runs the sections, writes the report."""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import sys
import time

from pygas.bench.paper import lines, machine, plots, report, sections

NAMES = tuple(report.SECTIONS)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("evaluation"),
        metavar="DIR",
        help="where the report goes (default: evaluation)",
    )
    parser.add_argument(
        "--clone",
        type=pathlib.Path,
        default=pathlib.Path(),
        metavar="DIR",
        help="a clone of PyGAS, whose programs are run (default: this folder)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each section (default: 5)")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=None,
        metavar="N",
        help="matrices for Cannon's algorithm (default: 1024 2048 4096)",
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these sections")
    parser.add_argument("--quick", action="store_true", help="small sizes: does everything work?")
    parser.add_argument(
        "--cold",
        action="store_true",
        help="do not touch the memory before each program: on a virtual machine the host may "
        "have taken it back",
    )


def main(args: argparse.Namespace) -> int:
    """Run the sections in turn; each is written as soon as it is there."""
    clone, output = args.clone.resolve(), args.output.resolve()
    if not (clone / "benchmarks" / "cannon.c").exists():
        print(
            f"there are no programs in {clone}: give a clone of PyGAS with --clone", file=sys.stderr
        )
        return 2
    sizes = args.sizes or ([256] if args.quick else [1024, 2048, 4096])
    if args.rounds < 1 or any(size < 2 or size % 2 for size in sizes):
        print("give at least one round, and even sizes (the grid is 2 x 2)", file=sys.stderr)
        return 2
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.0f} s] {text}", file=sys.stderr, flush=True)

    if not plots.is_available():
        say("no plots: matplotlib is not installed (pip install 'pygas[evaluation]')")
    if lines.rule() is None:
        say("lines are not counted: pygount is not installed (pip install 'pygas[evaluation]')")
    plan = sections.Plan(clone, output, args.rounds, args.quick, args.cold, say)
    results: report.Data = {
        "command": shlex.join(["pygas", *sys.argv[1:]]),
        "machine": machine.describe(),
    }
    failures = 0
    for name in args.only:
        try:
            if name == "figure1":
                results[name] = sections.figure1(plan)
            elif name == "cannon":
                results[name] = sections.cannon(plan, sizes)
            elif name == "productivity":
                results[name] = sections.productivity(plan)
            else:
                results[name] = sections.start_and_end(plan)
        except RuntimeError as error:  # the other sections are worth having all the same
            print(f"{name}: {error}", file=sys.stderr)
            failures += 1
        results["note"] = f"{args.rounds} rounds in {(time.monotonic() - started) / 60:.0f} minutes"
        (output / "results.json").write_text(json.dumps(results, indent=1))
        (output / "report.md").write_text(report.write(results))
        if plots.is_available():
            plots.draw(results, output)
    say(f"report: {output / 'report.md'}" + (f"; {failures} sections failed" if failures else ""))
    return 1 if failures else 0
