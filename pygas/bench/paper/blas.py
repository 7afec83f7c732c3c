"""The BLAS that NumPy uses, and a C program that uses the very same one.

NumPy's wheels bring an OpenBLAS of their own, whose functions have names of their own and take
64-bit integers; another NumPy uses the distribution's. A C program that is linked to another
library than NumPy compares libraries, not languages.
"""

from __future__ import annotations

import ctypes
import pathlib
import subprocess
from typing import NamedTuple

# Names of cblas_dgemm: prefix, suffix, are integers 64 bits wide.
_SPELLINGS = (
    ("scipy_", "64_", True),
    ("scipy_", "", False),
    ("", "64_", True),
    ("", "", False),
)


class Blas(NamedTuple):
    """A BLAS library: where it is, how its functions are spelled, and what it says of itself."""

    path: str
    prefix: str
    suffix: str
    wide: bool
    description: str


def numpy_blas() -> Blas | None:
    """Find the BLAS of the NumPy that is installed; None if it cannot be called from C."""
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    maps = pathlib.Path("/proc/self/maps").read_text().splitlines()
    paths = sorted(
        {line.split(maxsplit=5)[5] for line in maps if line.endswith(".so") or "/" in line}
    )
    for path in paths:
        if "blas" not in pathlib.Path(path).name.lower():
            continue
        library = ctypes.CDLL(path)
        for prefix, suffix, wide in _SPELLINGS:
            if hasattr(library, f"{prefix}cblas_dgemm{suffix}"):
                return Blas(path, prefix, suffix, wide, _describe(library, path, prefix, suffix))
    return None


def _describe(library: ctypes.CDLL, path: str, prefix: str, suffix: str) -> str:
    words = [pathlib.Path(path).name]
    for question in ("config", "corename"):
        function = getattr(library, f"{prefix}openblas_get_{question}{suffix}", None)
        if function is not None:
            function.restype = ctypes.c_char_p
            words.append(f"{question} {function().decode().strip()}")
    return ", ".join(words)


def compile_cannon(source: pathlib.Path, program: pathlib.Path, blas: Blas) -> str:
    """Compile the C program against `blas`; return the command.

    Raises
    ------
    subprocess.CalledProcessError
        If the compiler fails; with what it said.
    FileNotFoundError
        If there is no ``mpicc``.
    """
    command = ["mpicc", "-O3", "-march=native", "-o", str(program), str(source)]
    if blas.prefix or blas.suffix:
        command.append(f"-Dcblas_dgemm={blas.prefix}cblas_dgemm{blas.suffix}")
    if blas.wide:
        command.append("-DOPENBLAS_USE64BITINT")
    folder = pathlib.Path(blas.path).parent
    command += [blas.path, f"-Wl,-rpath,{folder}", "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return " ".join(command)
