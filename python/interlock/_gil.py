"""Has the library warn of a wait that keeps the GIL: the mistake of a kernel compiled without ``nogil=True``."""

from __future__ import annotations

import atexit
import ctypes

from ._library import QUICK


def install() -> None:
    api = getattr(ctypes, "pythonapi", None)
    # Python 3.13: this thread's state if it is attached, else NULL. An int has room for no more than the lower half of
    # the address, which is never 0. Right beside subinterpreters, and after Python has ended.
    holds_gil = getattr(api, "PyThreadState_GetUnchecked", None)
    if not holds_gil:
        # Answers 1 to every thread once there has been a subinterpreter, and when Python has ended.
        holds_gil = getattr(api, "PyGILState_Check", None)
        atexit.register(QUICK["ilk_gil_probe"], None)
    if holds_gil:  # else this is not CPython
        QUICK["ilk_gil_probe"](ctypes.cast(holds_gil, ctypes.c_void_p))
