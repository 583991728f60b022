"""Has a wait release the GIL if its thread holds it, as in a kernel compiled without ``nogil=True``."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from ._library import QUICK


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value


def _install(api: ctypes.PyDLL) -> None:
    # What `ilk_gil_hooks` and `ilk_gil_probe` take (see interlock.h).
    if sys.version_info >= (3, 13):
        current, own = _address(api.PyThreadState_GetUnchecked), None
    else:
        current, own = _address(api._PyThreadState_UncheckedGet), None
    # The probe is called only if somebody takes the hooks away. An int has room for the lower half of a state's address,
    # which is never 0.
    probe = current
    if sys.version_info < (3, 12):
        # The state of whatever thread holds the GIL, of the whole process. It is compared with the thread's first state:
        # so a thread that has gone over to a subinterpreter is not known to hold the GIL, and keeps it.
        own = _address(api.PyGILState_GetThisThreadState)
        probe = _address(api.PyGILState_Check)
    # For the whole process, and for good. Not until atexit: a daemon thread that began to wait after that would keep the
    # GIL, and Python could not end. Once Python has ended, no thread has a state, and so none calls the other two.
    QUICK["ilk_gil_hooks"](current, own, _address(api.PyEval_SaveThread), _address(api.PyEval_RestoreThread))
    if getattr(sys, "_is_gil_enabled", lambda: True)():  # else there is no speed to be gained
        QUICK["ilk_gil_probe"](probe)


def install() -> None:
    try:
        _install(ctypes.pythonapi)
    except AttributeError:  # this is not CPython
        pass
