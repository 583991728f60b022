"""Every C function of the library as a ctypes function, under its C name.

The result and argument types are set, so a function can be called from Python (which gives up the GIL meanwhile) and,
as a plain global, from a kernel compiled by Numba. A kernel that uses these cannot be cached: use `interlock.nb` there.
"""

from ._constants import *
from ._library import BLOCKING

globals().update(BLOCKING)

del BLOCKING
