"""Finds and loads the C library that belongs to this package."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _build
from ._signatures import SIGNATURES

CTYPES: dict[str, Any] = {"int": ctypes.c_int, "int64_t": ctypes.c_int64, "void *": ctypes.c_void_p}


def _candidates() -> Iterator[Path]:
    name = _build.LIBRARY
    # An editable install imports _build from the build directory, where the library was linked.
    yield Path(_build.__file__).with_name(name)
    # A wheel keeps its libraries beside the package. Where pure and platform files go to different directories (Fedora),
    # they are in another entry of the path.
    package = Path(__file__).parent
    for root in (package.parent, *map(Path, sys.path)):
        yield root / ".interlock.mesonpy.libs" / name


def _path() -> str:
    # INTERLOCK_LIBRARY names another build of the library: a sanitizer's, or the other wait backend.
    override = os.environ.get("INTERLOCK_LIBRARY")
    if override:
        return override
    for candidate in _candidates():
        if candidate.is_file():
            return str(candidate)
    # Installed by the system's package manager: the dynamic linker finds it.
    return _build.LIBRARY


def functions(library: ctypes.CDLL, pointer: Any = ctypes.c_void_p) -> dict[str, Any]:
    """Return every C function of the table, with its types set; `pointer` is the type for `void *`."""
    kinds = {**CTYPES, "void *": pointer}
    table = {}
    for name, (result, arguments) in SIGNATURES.items():
        function = library[name]  # a new object each time, whose types no other caller changes
        function.restype = kinds[result]
        function.argtypes = [kinds[argument] for argument in arguments]
        table[name] = function
    return table


_PATH = _path()
LIBRARY = ctypes.CDLL(_PATH)
BLOCKING = functions(LIBRARY)
# The same functions, called with the GIL held: for calls that cannot block and take less time than a release of the GIL.
QUICK = functions(ctypes.PyDLL(_PATH))
