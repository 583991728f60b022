"""Every C function of the library as a ctypes function, under its C name.

The result and argument types are set, so a function can be called from Python, which releases the GIL during the call. A
kernel compiled by Numba can call it as a plain global, but cannot be cached then: use `interlock.nb` there.
``interlock.h`` describes the functions and their error codes.

Examples
--------
>>> mutex = interlock.Mutex()
>>> capi.ilk_mutex_trylock(mutex.handle) == capi.ILK_OK
True
"""

from ._constants import *
from ._library import BLOCKING

globals().update(BLOCKING)

del BLOCKING
