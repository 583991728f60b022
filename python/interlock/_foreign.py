"""What other ways to call C need: cffi, a compiler, another language in the same process."""

from __future__ import annotations

from . import _constants
from ._library import LIBRARY
from ._signatures import SIGNATURES


def get_library() -> str:
    """The path of the C library that this process uses; open that one, for another copy does not know our handles."""
    return LIBRARY._name


def get_declarations() -> str:
    """The C interface without comments or conditions, as cffi's `cdef` takes it: the constants and every function."""
    constants = [f"#define {name} {value}" for name, value in vars(_constants).items() if name.startswith("ILK_")]
    functions = [f"{result} {name}({', '.join(arguments) or 'void'});" for name, (result, arguments) in SIGNATURES.items()]
    return "\n".join([*constants, *functions, ""])
