"""What the tests share."""

import faulthandler
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import interlock
from interlock import capi

WINE = False
if sys.platform == "win32":
    import _winapi
    import ctypes

    WINE = hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")
    if WINE and hasattr(_winapi, "CopyFile2"):
        del _winapi.CopyFile2  # Wine 8 has none; shutil goes on without
needs_complex = pytest.mark.skipif(WINE, reason="Wine 8 lacks functions of complex numbers, which numpy calls")

ROOT = Path(__file__).resolve().parents[2]

# Seconds for steps that take a moment: the machine may be busy, or stand still for a while.
PATIENCE = 120


def until(condition):
    """Waits for a condition, and not for the time that it should take."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def until_waiting(thing, n=1):
    """Returns once n threads wait in C for that object."""
    waits = f" {thing.handle:#x}"

    def are_waiting():
        lines = (line.partition("waits for ")[2] + "," for line in interlock.report().splitlines())
        return sum(f"{waits}," in line or f"{waits} " in line for line in lines) >= n

    until(are_waiting)


def for_this_system(code):
    """A program in which a thread presses Ctrl-C for the main thread; on Windows os.kill() would end the process."""
    if sys.platform == "win32":
        code = code.replace("os.kill(os.getpid(), signal.SIGINT)", "signal.raise_signal(signal.SIGINT)")
    return code


def live():
    """The handles in use. Garbage of earlier tests is collected first, and not in the middle of a count."""
    gc.collect()
    return capi.ilk_live()


def end_children_with_this_process():
    """Windows goes on with them, and they hold its output open, so the end of a test that hangs would not be seen."""
    kernel32 = ctypes.WinDLL("kernel32")
    kernel32.CreateJobObjectW.restype = kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    job = ctypes.c_void_p(kernel32.CreateJobObjectW(None, None))
    limits = (ctypes.c_uint32 * 36)()  # JOBOBJECT_EXTENDED_LIMIT_INFORMATION of 64-bit programs
    limits[4] = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    assert kernel32.SetInformationJobObject(job, 9, limits, ctypes.sizeof(limits))
    assert kernel32.AssignProcessToJobObject(job, ctypes.c_void_p(kernel32.GetCurrentProcess()))


def pytest_configure(config):
    config.stderr = os.dup(2)  # pytest puts another in its place
    if sys.platform == "win32":
        end_children_with_this_process()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(pytestconfig):
    """A test that hangs ends this process; the threads of a test have ended when the next begins."""
    before = threading.enumerate()
    faulthandler.dump_traceback_later(4 * PATIENCE, exit=True, file=pytestconfig.stderr)
    yield
    for thread in threading.enumerate():
        if thread not in before and not thread.daemon:
            thread.join(PATIENCE)
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def root():
    return ROOT


@pytest.fixture
def python(tmp_path):
    """Runs Python code, or a script, in a new process, which must succeed; returns its output."""

    def run(code, *arguments, check=True, timeout=3 * PATIENCE, **environment):
        if "PYTHONPATH" in environment and "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
        path = code
        if not isinstance(code, Path):
            path = tmp_path / "code.py"
            path.write_text(for_this_system(code))
        result = subprocess.run(
            [sys.executable, str(path), *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def in_thread():
    """Runs a function in another thread; returns its result."""

    def run(function, *arguments):
        results = []
        thread = threading.Thread(target=lambda: results.append(function(*arguments)))
        thread.start()
        thread.join(PATIENCE)
        assert results, "the thread hangs, or the function raised"
        return results[0]

    return run
