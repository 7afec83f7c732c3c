"""Exceptions of requests: their type, their text, their traceback."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any

import numpy as np
import pytest
from futurekit import gate_file, until

import pygas


class Custom(Exception):
    """Takes more than its args."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint

    def __reduce__(self) -> Any:
        return _make_custom, (self.code, self.hint)


def _make_custom(code: int, hint: str) -> Custom:
    return Custom(code, hint=hint)


class Forgetful(Exception):
    """Can be pickled, but not be made again."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("only this")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Interrupting(Exception):
    def __reduce__(self) -> Any:
        raise SystemExit("while being pickled")


class Noteless(Exception):
    def add_note(self, note: str) -> None:
        raise ValueError("no notes")


class Stubborn:
    """Pickles into something that cannot be unpickled on rank `where`."""

    def __init__(self, where: int) -> None:
        self.where = where

    def __reduce__(self) -> Any:
        return _fail_on, (self.where,)


def _fail_on(rank: int) -> Stubborn:
    if rank == pygas.MYTHREAD:
        raise BufferError(f"not on rank {rank}")
    return Stubborn(rank)


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ArithmeticError("cannot be reduced")


def throw(exception: Any, *args: Any, **kwargs: Any) -> None:
    raise exception(*args, **kwargs)  # the line that the note names


def throw_with_lock() -> None:
    raise ValueError("has a lock", threading.Lock())


def throw_local() -> None:
    class Local(KeyError):
        pass

    raise Local("of its own")


def throw_chained() -> None:
    try:
        throw(OSError, 2, "no file")
    except OSError as error:
        raise RuntimeError("outer") from error


def throw_group() -> None:
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [TypeError("two")])])


def throw_along(ranks: int) -> None:
    """Let an exception cross many ranks."""
    if ranks == 0:
        throw(ValueError, "far away")
    pygas.at((pygas.MYTHREAD + 1) % pygas.THREADS).call(throw_along, ranks - 1)


def caught(function: Any, *args: Any, **kwargs: Any) -> BaseException:
    """Return what a call on the last rank raises."""
    try:
        pygas.at(pygas.THREADS - 1).call(function, *args, **kwargs)
    except BaseException as exception:
        return exception
    raise AssertionError("nothing was raised")


def notes(exception: BaseException) -> str:
    return "\n".join(exception.__notes__)


@pytest.mark.ranks(1, 2)
def test_the_type_is_kept_and_a_note_has_the_traceback() -> None:
    error = caught(throw, KeyError, "k")
    assert type(error) is KeyError
    assert error.args == ("k",)
    assert f"The traceback on rank {pygas.THREADS - 1}:" in notes(error)
    code = throw.__code__
    assert f'File "{code.co_filename}", line {code.co_firstlineno + 1}' in notes(error)
    assert "raise exception(*args, **kwargs)  # the line that the note names" in notes(error)
    assert "The traceback on rank" in "".join(traceback.format_exception(error))
    custom = caught(throw, Custom, 7, hint="h")
    assert isinstance(custom, Custom)
    assert (custom.code, custom.hint, str(custom)) == (7, "h", "code 7")
    pygas.barrier()


@pytest.mark.ranks(2)
def test_what_cannot_be_copied_is_a_remote_error() -> None:
    if pygas.MYTHREAD == 0:
        for function, args, text in (
            (throw_with_lock, (), "ValueError: ('has a lock', <unlocked _thread.lock"),
            (throw, (Forgetful, 1, 2), "Forgetful: only this"),
            (throw, (Interrupting, "x"), "Interrupting: x"),
        ):
            error = caught(function, *args)
            assert type(error) is pygas.RemoteError, error
            assert text in str(error)
            assert "line" in notes(error) or args[0] is Interrupting
        assert isinstance(pygas.RemoteError(), RuntimeError)
    pygas.barrier()


@pytest.mark.ranks(1, 2)
def test_peculiar_exceptions_arrive() -> None:
    local = caught(throw_local)
    assert type(local).__name__ == "Local"
    assert isinstance(local, KeyError)
    assert type(caught(throw, Unprintable)) is Unprintable
    assert type(caught(throw, Noteless)) is Noteless
    group = caught(throw_group)
    assert isinstance(group, ExceptionGroup)
    assert isinstance(group.exceptions[1].exceptions[0], TypeError)
    assert "ExceptionGroup: several" in notes(group)
    assert isinstance(caught(throw_chained), RuntimeError)
    assert "FileNotFoundError: [Errno 2] no file" in notes(caught(throw_chained))
    assert type(caught(throw, StopIteration, 3)) is StopIteration
    assert type(caught(throw, GeneratorExit)) is GeneratorExit
    assert len(str(caught(throw, ValueError, "x" * 10_000_000))) == 10_000_000
    assert type(caught(throw, UnicodeDecodeError, "utf-8", b"x", 0, 1, "why")) is UnicodeDecodeError
    error = caught(sys.exit, 3)
    assert isinstance(error, SystemExit)
    assert error.code == 3
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_keyboard_interrupt_reaches_both() -> None:
    if pygas.MYTHREAD == 0:
        assert type(caught(throw, KeyboardInterrupt)) is KeyboardInterrupt
        until(gate_file().exists)  # the reply may come before; a request would be interrupted, too
        pygas.barrier()
    else:
        with pytest.raises(KeyboardInterrupt):
            pygas.barrier()
        gate_file().touch()
        pygas.barrier()


@pytest.mark.ranks(2)
def test_errors_of_encoding_and_decoding() -> None:
    here, there = pygas.MYTHREAD, pygas.at(1 - pygas.MYTHREAD)
    with pytest.raises(ArithmeticError, match="cannot be reduced"):
        there.call(len, [Unpicklable()])
    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object"):
        there.call(len, [threading.Lock()])
    with pytest.raises(BufferError, match=f"not on rank {1 - here}") as caught_there:
        there.call(len, [Stubborn(1 - here)])
    assert "The traceback on rank" in notes(caught_there.value)
    with pytest.raises(BufferError, match=f"not on rank {here}"):
        there.call(Stubborn, here)
    future = there.submit(Stubborn, here)
    for _ in range(2):
        with pytest.raises(BufferError):
            future.result()
    assert pygas.owner(there.call(Unpicklable)) == 1 - here  # a result: by reference then
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        there.call(len, deep)
    assert there.call(len, "still works") == 11
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_result_that_does_not_fit_is_a_memory_error() -> None:
    if pygas.MYTHREAD == 0:
        with pytest.raises(MemoryError):
            pygas.at(1).call(np.zeros, 1 << 44, dtype="u1")
        with pytest.raises(MemoryError):
            pygas.at(1).call(bytes, 1 << 60)
        assert pygas.at(1).call(int) == 0
    pygas.barrier()


@pytest.mark.ranks(2)
def test_a_long_way_does_not_multiply_the_notes() -> None:
    error = None
    if pygas.MYTHREAD == 0:
        with pytest.raises(ValueError, match="far away") as caught_here:
            throw_along(30)
        error = caught_here.value
        assert 2 < len(error.__notes__) < 30
        assert len(notes(error)) < 50_000
    pygas.barrier()
