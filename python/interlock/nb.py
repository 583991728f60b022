"""Every C function of the library, under its C name, for kernels compiled by Numba.

A kernel refers to these by symbol and not by address, so it can be compiled with ``cache=True`` and loaded by another
process. `void *` is `intp` here: handles and addresses are plain integers, and NULL is 0. ``interlock.h`` describes the
functions and their error codes.

Examples
--------
>>> @numba.njit(nogil=True)
... def add(mutex, total):  # call it with a Mutex's `handle`
...     nb.ilk_mutex_lock(mutex)
...     total[0] += 1
...     nb.ilk_mutex_unlock(mutex)
"""

import ctypes

from numba.core import config
from numba.core.typing import signature

from ._constants import *
from ._library import LIBRARY, functions
from ._numba.calls import CFunction
from ._numba.symbols import TYPES
from ._signatures import SIGNATURES


def _external(name):
    result, arguments = SIGNATURES[name]
    return CFunction(name, signature(TYPES[result], *(TYPES[kind] for kind in arguments)))


if config.DISABLE_JIT:
    # c_ssize_t: kernels run as Python code, where NULL must be 0 too.
    globals().update(functions(LIBRARY, pointer=ctypes.c_ssize_t))
else:
    globals().update({name: _external(name) for name in SIGNATURES})
