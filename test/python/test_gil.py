"""Who waits and keeps the GIL is told so; nobody else is."""

import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("numba")

# A kernel takes a lock, and another Python thread, once it sees that, can only give it back when it gets the GIL.
PROGRAM = """
import threading, time
import numpy as np
from numba import njit
import interlock
from interlock.nb import ilk_mutex_timedlock, ilk_mutex_unlock

@njit({options})
def kernel(lock, timeout_ns, entered):
    entered[0] = 1
    return ilk_mutex_timedlock(lock, timeout_ns)

lock, entered = interlock.Mutex(), np.zeros(1)
kernel(lock.handle, 0, entered)  # compiled
lock.release()
entered[0] = 0
native = []
held = threading.Event()
def hold():
    lock.acquire()
    native.append(threading.get_native_id())
    held.set()
    while not entered[0]: time.sleep(0.001)
    time.sleep({hold})
    lock.release()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
start = time.monotonic()
code = kernel(lock.handle, {timeout_ns}, entered)
print(code, hex(lock.handle), threading.get_native_id(), native[0], time.monotonic() - start)
holder.join()
"""


def told(run):
    """Runs it with a time to wait, in nanoseconds, and on a machine that lets it wake only when that is over, with more."""
    for seconds in (2, 6, 20):
        result = run(seconds * 1_000_000_000)
        if result.stderr:
            break
    return result


def test_a_kernel_without_nogil_is_told(python):
    result = told(lambda ns: python(PROGRAM.format(options="", hold=0.1, timeout_ns=ns)))
    code, handle, waiter, holder, seconds = result.stdout.split()
    assert int(code) == -1  # the mistake: the holder wanted the GIL, and could not have it
    assert float(seconds) >= 2
    warning = result.stderr
    assert warning.count("interlock:") == 1
    assert f"(native {waiter})  waits for mutex {handle}, held by" in warning
    waited = re.search(rf"\(native {holder}\), for ([\d.]+) s", warning)
    assert waited and 1 <= float(waited[1]) <= float(seconds)
    assert "GIL" in warning and "nogil=True" in warning


def test_it_is_told_while_it_hangs():
    program = PROGRAM.format(options="", hold=0.1, timeout_ns=-1)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline().startswith("interlock: ")
        time.sleep(0.2)
        assert process.poll() is None  # it waits on
    finally:
        process.kill()
        process.communicate()


def test_a_kernel_with_nogil_is_not(python):
    result = python(PROGRAM.format(options="nogil=True", hold=1.5, timeout_ns=120_000_000_000))
    assert result.stdout.startswith("0 ")
    assert result.stderr == ""


def test_python_code_is_not(python):
    # Neither the main thread, which waits in slices, nor another; nor a direct call of the C function.
    result = python(
        "import threading, interlock\n"
        "from interlock import capi\n"
        "lock = interlock.Lock(); lock.acquire()\n"
        "threads = [threading.Thread(target=lock.acquire, kwargs={'timeout': 1.5}),\n"
        "           threading.Thread(target=capi.ilk_mutex_timedlock, args=(lock.handle, 1_500_000_000))]\n"
        "for t in threads: t.start()\n"
        "assert not lock.acquire(timeout=1.5)\n"
        "assert capi.ilk_mutex_timedlock(lock.handle, 1_500_000_000) == capi.ILK_ETIMEDOUT\n"
        "for t in threads: t.join()\n"
    )
    assert result.stderr == ""


def test_ctypes_that_keeps_the_gil_is_told(python):
    result = told(
        lambda ns: python(
            "import interlock\n"
            "from interlock._library import QUICK\n"
            "lock = interlock.Lock(); lock.acquire()\n"
            f"for _ in range(2): QUICK['ilk_mutex_timedlock'](lock.handle, {ns} * 6 // 10)\n"
        )
    )
    assert result.stderr.count("interlock:") == 1


def test_the_warning_can_be_turned_off(python):
    program = PROGRAM.format(options="", hold=0.1, timeout_ns=1_500_000_000)
    result = python("from interlock import capi\nassert capi.ilk_gil_probe(None) == 0\n" + program)
    assert result.stdout.startswith("-1 ")
    assert result.stderr == ""


WAIT_IN_C = """
import ctypes, signal, time
import interlock
from interlock import capi
s = interlock.Semaphore(0)
acquire = ctypes.cast(capi.ilk_semaphore_acquire, ctypes.c_void_p)
threads = [capi.ilk_thread_start(acquire, s.handle) for _ in range(3)]
assert all(threads)
"""


def test_threads_that_outlive_python_are_not(python):
    # Once the interpreter is gone, the process stays for more than a second, in pause(), until the next SIGALRM.
    result = python(
        WAIT_IN_C
        + "libc = ctypes.CDLL(None)\n"
        + "libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]\n"
        + "libc.signal(signal.SIGALRM, ctypes.cast(libc.getpid, ctypes.c_void_p))\n"
        + "assert ctypes.pythonapi.Py_AtExit(ctypes.cast(libc.pause, ctypes.c_void_p)) == 0\n"
        + "signal.setitimer(signal.ITIMER_REAL, 2.5, 0.1)\n"
    )
    assert result.stderr == ""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="PyGILState_Check is 1 once there has been a subinterpreter")
def test_threads_beside_a_subinterpreter_are_not(python):
    result = python("import _interpreters\n_interpreters.create()\n" + WAIT_IN_C + "time.sleep(1.5)\ns.release(3)\n")
    assert result.stderr == ""
