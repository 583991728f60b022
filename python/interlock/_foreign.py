"""For other ways to call C: cffi, a compiler, another language in the same process."""

from __future__ import annotations

from . import _constants
from ._library import LIBRARY
from ._signatures import SIGNATURES


def get_library() -> str:
    """Return the path of the C library that this process uses.

    Open this file: another copy of the library does not accept this one's handles.

    Returns
    -------
    str
        The path, or a name that the dynamic linker finds.

    Examples
    --------
    >>> library = ctypes.CDLL(interlock.get_library())
    >>> library.ilk_version() == interlock.capi.ilk_version()
    True
    """
    return LIBRARY._name


def get_declarations() -> str:
    """Return the C interface, without comments and conditions, in the form of cffi's `cdef`.

    Returns
    -------
    str
        A ``#define`` for each constant, and a declaration of each function.

    Examples
    --------
    >>> "int ilk_version(void);" in interlock.get_declarations()
    True
    """
    constants = [f"#define {name} {value}" for name, value in vars(_constants).items() if name.startswith("ILK_")]
    functions = [f"{result} {name}({', '.join(arguments) or 'void'});" for name, (result, arguments) in SIGNATURES.items()]
    return "\n".join([*constants, *functions, ""])
