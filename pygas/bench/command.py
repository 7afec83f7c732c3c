"""``pygas bench``: one subcommand for each benchmark."""

from __future__ import annotations

import argparse
import importlib
import os
from typing import NamedTuple


class Benchmark(NamedTuple):
    """A benchmark: its name, one line of help, and the module that has the rest."""

    name: str
    help: str
    module: str


BENCHMARKS = (
    Benchmark(
        "attentive",
        "a call to an owner that waits, computes or sleeps, against a wake-up of the machine",
        "pygas.bench.attentive",
    ),
    Benchmark(
        "call", "operations on a Proxy, against the conduit's round trip", "pygas.bench.call"
    ),
    Benchmark(
        "remote-read",
        "the bandwidth of reading a remote attribute: the paper's Figure 1",
        "pygas.bench.remote_read",
    ),
    Benchmark(
        "collectives",
        "collective operations: the table of algorithms, and mpi4py's",
        "pygas.bench.collectives",
    ),
    Benchmark(
        "paper", "the paper's evaluation, as a report with plots", "pygas.bench.paper.command"
    ),
    Benchmark("codec", "copying values, against pickle", "pygas.bench.codec"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each benchmark."""
    subparsers = parser.add_subparsers(metavar="benchmark", required=True)
    for benchmark in BENCHMARKS:
        subparser = subparsers.add_parser(benchmark.name, help=benchmark.help)
        module = importlib.import_module(benchmark.module)
        module.configure(subparser)
        subparser.set_defaults(benchmark=module)


def main(args: argparse.Namespace) -> int:
    """Run the chosen benchmark.

    The programs that it starts with ``python -m`` find PyGAS where it is installed, also if the
    current directory is a clone, whose package has no extension.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    code: int = args.benchmark.main(args)
    return code
