"""Makes a wait release the GIL if its thread holds it, as in a kernel compiled without ``nogil=True``."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from ._library import QUICK


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value


def _install(api: ctypes.PyDLL) -> None:
    # The arguments of `ilk_gil_hooks` and `ilk_gil_probe` (see interlock.h).
    if sys.version_info >= (3, 13):
        current, own = _address(api.PyThreadState_GetUnchecked), None
    else:
        current, own = _address(api._PyThreadState_UncheckedGet), None
    # The probe is called only if the hooks are removed. It returns an int: the lower half of a state's address, which is
    # never 0.
    probe = current
    if sys.version_info < (3, 12):
        # `current` is the state of the thread that holds the GIL in the process. It is compared with the calling thread's
        # first state, so a thread that runs in a subinterpreter is not recognized, and keeps the GIL.
        own = _address(api.PyGILState_GetThisThreadState)
        probe = _address(api.PyGILState_Check)
    # For the rest of the process. If `atexit` removed the hooks, a daemon thread that began to wait later would keep the
    # GIL, and Python could not exit. After Python has ended no thread has a state, so none calls the other two functions.
    QUICK["ilk_gil_hooks"](current, own, _address(api.PyEval_SaveThread), _address(api.PyEval_RestoreThread))
    if getattr(sys, "_is_gil_enabled", lambda: True)():  # without a GIL, nogil=True makes nothing faster
        QUICK["ilk_gil_probe"](probe)


def install() -> None:
    try:
        _install(ctypes.pythonapi)
    except AttributeError:  # this is not CPython
        pass
