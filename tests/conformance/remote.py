"""Run CPython's own tests of a class on Proxies: objects on rank 1, tests on rank 0.

`Remote` stands in the tests where the class would stand, and makes its objects on rank 1.
`check` runs the tests and compares what failed with a table: every test that cannot pass for a
reason of principle is in the table, with the reason; one in the table that passes fails the run.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import unittest
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

import pygas

# Reasons of principle, for the tables.
EXACT_TYPE = "asks for the exact type, type(x); that of a Proxy is its own"
C_EXACT = "passes the object to C code that insists on the exact type"
IDENTITY = "asks whether two results are one object, or for an address; results are copies"
ARGUMENT_IDENTITY = "looks for its own argument in the object; arguments are copies"
ARGUMENT_STATE = "changes an argument, or looks at it, after the operation, which got a copy"
RESULT_STATE = "changes a result and expects the object to change; results are copies"
PICKLE = "pickles an iterator over the object, which refers to another rank"
WARNING = "expects a warning, which is issued on the owner"
MEMORYVIEW = "passes a memoryview, which travels as bytes"
NEW_AGAIN = "passes an object that changes whenever it is made, also by pickle"


def _sendable(argument: Any) -> Any:
    """Give the constructor a reference to an iterator, as operations on a Proxy get it."""
    return pygas.Proxy(argument) if isinstance(argument, Iterator) else argument


class Remote:
    """Looks like a class, and makes its objects on rank 1."""

    def __init__(self, cls: type, *, plain_names: Sequence[str] = ()) -> None:
        self._cls = cls
        self._plain_names = plain_names
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__doc__ = cls.__doc__
        self.__dict__["__new__"] = cls.__new__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return pygas.at(1).new(self._cls, *map(_sendable, args), **kwargs)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cls, name)
        if isinstance(getattr(value, "__self__", None), type) and name not in self._plain_names:
            return lambda *args, **kwargs: pygas.at(1).new(value, *args, **kwargs)
        return value

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self._cls,)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._cls)

    def __subclasscheck__(self, cls: type) -> bool:
        return issubclass(cls, self._cls)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._cls

    def __hash__(self) -> int:
        return hash(self._cls)

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (sys.modules["builtins"], self._cls.__name__)


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip where CPython's test package is not installed (Debian: libpython3-testsuite)."""
    try:
        missing = [name for name in names if importlib.util.find_spec(name) is None]
    except ImportError:
        missing = list(names)
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} in this interpreter")


class _Result(unittest.TextTestResult):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ran: dict[str, str] = {}
        self.current = ""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.current = test._testMethodName
        self.ran[self.current] = ""

    def _note(self, text: str) -> None:
        self.ran[self.current] += text

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._note(self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._note(self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(self._exc_info_to_string(err, subtest))


def _run(cls: type[unittest.TestCase], excluded: Mapping[str, str]) -> list[str]:
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(cls)
    runner = unittest.TextTestRunner(io.StringIO(), resultclass=_Result, verbosity=0)
    result: Any = runner.run(suite)
    assert result.ran, f"{cls.__name__} has no tests"
    failed = {name: text for name, text in result.ran.items() if text}
    complaints = [
        f"{cls.__name__}.{name} failed:\n{text}"
        for name, text in failed.items()
        if name not in excluded
    ]
    complaints += [
        f"{cls.__name__}.{name} passes, but is in the table as: {excluded[name]}"
        for name in result.ran
        if name in excluded and name not in failed
    ]
    print(
        f"conformance: {cls.__name__}: {len(result.ran) - len(failed)} passed, "
        f"{len(failed)} cannot, {len(result.skipped)} skipped",
        flush=True,
    )
    return complaints


def check(tests: Mapping[type[unittest.TestCase], Mapping[str, str]]) -> None:
    """Run classes of tests on rank 0, each with its table of what cannot pass, and why."""
    if pygas.MYTHREAD == 0:
        complaints = [text for cls, excluded in tests.items() for text in _run(cls, excluded)]
        assert not complaints, "\n\n".join(complaints)
    pygas.barrier()
