"""Load the extension, and before it the UCX libraries that it stands on.

Which UCX: the system's, if the dynamic linker finds one (a cluster's own build knows its network);
else the one of the ``libucx`` wheel, loaded as that wheel documents. ``PYGAS_UCX=system`` and
``PYGAS_UCX=wheel`` insist on one of them.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pathlib
from types import ModuleType

# UCX reads these when its libraries are loaded. Its own crash handler would hide Python's
# faulthandler, and its messages belong on stderr, not in the program's output. Its warnings are
# about operations that were still open when a rank left, which is nobody's concern by then.
_UCX_DEFAULTS = {
    "UCX_HANDLE_ERRORS": "none",
    "UCX_LOG_FILE": "stderr",
    "UCX_LOG_LEVEL": "error",
    # Hooks into malloc and mmap, for caches of registered memory that shared memory does not need.
    # To try them out UCX makes System V segments, which a rank that is killed then would leave.
    "UCX_MEM_EVENTS": "n",
}

#: The oldest UCX that will do.
UCX_MINIMUM = (1, 13)

_prepared = False


def _load_system() -> bool:
    try:
        library = ctypes.CDLL("libucp.so.0")
    except OSError:
        return False
    numbers = [ctypes.c_uint() for _ in range(3)]
    library.ucp_get_version(*(ctypes.byref(number) for number in numbers))
    return (numbers[0].value, numbers[1].value) >= UCX_MINIMUM


def _load_wheel() -> bool:
    try:
        libucx = importlib.import_module("libucx")
    except ImportError:
        return False
    libucx.load_library()
    return True


def _load_ucx() -> None:
    choice = os.environ.get("PYGAS_UCX", "auto")
    loaders = {
        "auto": (_load_system, _load_wheel),
        "system": (_load_system,),
        "wheel": (_load_wheel,),
    }
    if choice not in loaders:
        raise ImportError(f"PYGAS_UCX is {choice!r}: use auto, system or wheel")
    if not any(load() for load in loaders[choice]):
        raise ImportError(
            "no UCX library of version 1.13 or newer was found: install it with the system's "
            "package manager (Debian: libucx0), or with `pip install libucx-cu12`"
        )


def load_core() -> ModuleType:
    """Return the extension module ``pygas._core``, for which `prepare` is called on the way.

    Raises
    ------
    ImportError
        If there is no usable UCX, or no compiled extension.
    """
    try:
        return importlib.import_module("pygas._core")
    except ModuleNotFoundError as error:
        package = pathlib.Path(__file__).resolve().parent
        if error.name == "pygas._core" and (package.parent / "meson.build").exists():
            raise ImportError(
                f"this is PyGAS's source tree ({package}), which has no compiled extension: run "
                "the program from another directory, or install with `pip install -e . "
                "--no-build-isolation`"
            ) from error
        raise


def prepare() -> None:
    """Load the UCX libraries that the extension stands on, unless they have been.

    Raises
    ------
    ImportError
        If there is no usable UCX.
    """
    global _prepared
    if _prepared:
        return
    added = {name: text for name, text in _UCX_DEFAULTS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        _load_ucx()
        _prepared = True
    finally:
        for name in added:
            os.environ.pop(name, None)
