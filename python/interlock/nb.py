"""Every C function of the library for use in kernels compiled by Numba, under its C name.

A kernel refers to these by symbol and not by address, so it can be compiled with ``cache=True`` and loaded by another
process. `void *` is `intp` here: handles and addresses are plain integers, and NULL is 0.
"""

import ctypes

import llvmlite.binding
from numba.core import config, types
from numba.core.typing import signature

from ._constants import *
from ._library import LIBRARY, functions
from ._signatures import SIGNATURES

_TYPES = {"int": types.intc, "int64_t": types.int64, "void *": types.intp}


def _external(name, function):
    # LLVM must know the symbol before a cached kernel that needs it is loaded, or the process ends. Such a kernel's
    # module imports this one first. The address is given outright, not searched for: another copy of the library in
    # this process would not know our handles.
    llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    result, arguments = SIGNATURES[name]
    return types.ExternalFunction(name, signature(_TYPES[result], *(_TYPES[kind] for kind in arguments)))


# c_ssize_t: with NUMBA_DISABLE_JIT kernels run as Python, and there too NULL is to be 0.
_functions = functions(LIBRARY, pointer=ctypes.c_ssize_t)
if not config.DISABLE_JIT:
    _functions = {name: _external(name, function) for name, function in _functions.items()}
globals().update(_functions)
