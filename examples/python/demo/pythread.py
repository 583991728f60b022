"""CPython's own lock, called from kernels by way of ctypes: what interlock is compared with.

Such a kernel cannot be cached, and a wrong handle ends the process.
"""

import ctypes
from typing import Any

# The interpreter's own symbols: in a library, or in the program itself. A CDLL, since a PyDLL would acquire the GIL.
_interpreter = ctypes.CDLL(ctypes.pythonapi._name, handle=ctypes.pythonapi._handle)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = _interpreter["PyThread_" + name]
    function.restype, function.argtypes = result, arguments
    return function


allocate_lock = _function("allocate_lock", ctypes.c_void_p)
free_lock = _function("free_lock", None, ctypes.c_void_p)
acquire_lock = _function("acquire_lock", ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
release_lock = _function("release_lock", None, ctypes.c_void_p)
