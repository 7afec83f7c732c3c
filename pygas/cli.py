"""The ``pygas`` command.

Each subcommand is one entry of `COMMANDS` and one module with two functions::

    def configure(parser: argparse.ArgumentParser) -> None   # adds its arguments
    def main(arguments: argparse.Namespace) -> int           # returns the exit code

The module is imported only if its subcommand is used.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

_INTERRUPTED = 130


class Command(NamedTuple):
    """A subcommand: its name, one line of help, and the module that has the rest."""

    name: str
    help: str
    module: str


COMMANDS = (
    Command("run", "run a program on several ranks of this host", "pygas.launch.command"),
    Command(
        "bench", "measure what PyGAS and its peers cost on this machine", "pygas.bench.command"
    ),
    Command("info", "show version, configuration and what was found", "pygas.info"),
)


class _CommandModule(Protocol):
    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def main(self, arguments: argparse.Namespace) -> int: ...


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("pygas"))
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        module, parsed = _parse(arguments)
        return module.main(parsed)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parse(arguments: Sequence[str]) -> tuple[_CommandModule, argparse.Namespace]:
    """Return the module of the chosen subcommand, and what its parser has found."""
    parser = argparse.ArgumentParser(
        prog="pygas", description="A partitioned global address space for Python."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="command", required=True)
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    module: _CommandModule | None = None
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name, help=command.help, description=command.help.capitalize() + "."
        )
        if command.name == name:
            module = cast(_CommandModule, importlib.import_module(command.module))
            module.configure(subparser)
    parsed = parser.parse_args(arguments)
    if module is None:
        parser.error("no such command")
    return module, parsed
