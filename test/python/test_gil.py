"""A wait that begins with the GIL held releases it, and the messages about it."""

import ctypes
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import interlock
from conftest import PATIENCE, until, until_waiting
from interlock import capi
from interlock._library import BLOCKING, QUICK

try:
    import numba
except ModuleNotFoundError:
    numba = None
else:
    from numba import njit

    from interlock import held, nb, words

needs_numba = pytest.mark.skipif(not numba, reason="there is no Numba here")
KEEP_THE_GIL = "from interlock import capi\nassert capi.ilk_gil_hooks(None, None, None, None) == 0\n"


def in_new_thread(function, *arguments):
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()

    def end():
        thread.join(PATIENCE)
        assert results, "it hangs, or raised"
        return results[0]

    return end


# --- kernels without nogil=True ---------------------------------------------------------------------


def acquired(lock):
    lock.acquire()
    return lock


def written(rw):
    rw.acquire_write()
    return rw


def full(queue):
    queue.put(1)
    return queue


def locked(locks):
    locks.acquire(1)
    return locks


def begun(once):
    assert once.begin()
    return once


# What a kernel waits for, its wait, and how the main thread, which needs the GIL for it, ends the wait.
KERNELS = {
    "Lock": (lambda: acquired(interlock.Lock()), "x.acquire(); x.release()", lambda x: x.release()),
    "Mutex": (lambda: acquired(interlock.Mutex()), "x.acquire(); x.release()", lambda x: x.release()),
    "fair Mutex": (lambda: acquired(interlock.Mutex(True)), "x.acquire(); x.release()", lambda x: x.release()),
    "RLock": (lambda: acquired(interlock.RLock()), "x.acquire(); x.release()", lambda x: x.release()),
    "held": (lambda: acquired(interlock.Lock()), "with held(x): pass", lambda x: x.release()),
    "RWLock, reading": (
        lambda: written(interlock.RWLock()), "x.acquire_read(); x.release_read()", lambda x: x.release_write()
    ),
    "RWLock, writing": (
        lambda: written(interlock.RWLock()), "x.acquire_write(); x.release_write()", lambda x: x.release_write()
    ),
    "Semaphore": (lambda: interlock.Semaphore(0), "x.acquire()", lambda x: x.release()),
    "Event": (interlock.Event, "x.wait()", lambda x: x.set()),
    "Barrier": (lambda: interlock.Barrier(2), "x.wait()", lambda x: x.wait()),
    "Latch": (lambda: interlock.Latch(1), "x.wait()", lambda x: x.count_down()),
    "Counter": (interlock.Counter, "x.wait(1)", lambda x: x.fetch_add(1)),
    "Once": (lambda: begun(interlock.Once()), "x.begin()", lambda x: x.end()),
    "LockArray": (lambda: locked(interlock.LockArray(2)), "x.acquire(1); x.release(1)", lambda x: x.release(1)),
    "LockArray, pair": (
        lambda: locked(interlock.LockArray(2)), "x.acquire_pair(1, 0); x.release_pair(1, 0)", lambda x: x.release(1)
    ),
    "Queue, get": (lambda: interlock.Queue(1), "x.get()", lambda x: x.put(1)),
    "Queue, put": (lambda: full(interlock.Queue(1)), "x.put(2)", lambda x: x.get()),
}  # fmt: skip


def compiled(body, **options):
    scope = {"held": held} if numba else {}
    exec(f"def kernel(x):\n    {body}\n    return 7\n", scope)
    return njit(**options)(scope["kernel"])


@needs_numba
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_waits_for_python(name):
    make, body, end_the_wait = KERNELS[name]
    thing = make()
    end = in_new_thread(compiled(body), thing)
    until_waiting(thing)
    end_the_wait(thing)
    assert end() == 7


@needs_numba
def test_a_kernel_waits_for_a_notify():
    condition = interlock.Condition()

    @njit
    def kernel(condition, ready):
        condition.acquire()
        ready[0] = 1
        while ready[0] == 1:
            condition.wait()
        condition.release()
        return 7

    ready = np.zeros(1, np.int64)
    end = in_new_thread(kernel, condition, ready)
    until_waiting(condition)
    with condition:
        ready[0] = 2
        condition.notify()
    assert end() == 7


@needs_numba
def test_a_kernel_waits_for_a_word():
    locks = np.zeros(2, np.uint32)

    @njit
    def kernel(locks):
        words.lock(locks, 1)
        words.unlock(locks, 1)
        return 7

    words.lock(locks, 1)
    end = in_new_thread(kernel, locks)
    until(lambda: capi.ilk_waiting() == 1)
    words.unlock(locks, 1)
    assert end() == 7


@needs_numba
def test_a_kernel_joins_a_thread():
    semaphore = interlock.Semaphore(0)
    thread = capi.ilk_thread_start(ctypes.cast(capi.ilk_semaphore_acquire, ctypes.c_void_p), semaphore.handle)

    @njit
    def kernel(thread):
        return nb.ilk_thread_join(thread)

    end = in_new_thread(kernel, thread)
    until(lambda: capi.ilk_waiting() == 2)
    semaphore.release()
    assert end() == 0


@needs_numba
def test_python_runs_while_a_kernel_sleeps():
    @njit
    def kernel(ns):
        return nb.ilk_sleep(ns)

    kernel(0)
    end = in_new_thread(kernel, 3600 * 10**9)
    until(lambda: capi.ilk_waiting() == 1)
    interlock.cancel(True)
    try:
        assert end() == capi.ILK_ECANCELED
    finally:
        interlock.cancel(False)


@needs_numba
def test_two_kernels_wait_for_each_other():
    @njit
    def send(queue, n):
        for i in range(n):
            queue.put(i)
        return 7

    @njit
    def receive(queue, n):
        total = 0
        for _ in range(n):
            total += queue.get()
        return total

    queue, n = interlock.Queue(1), 2000
    ends = [in_new_thread(send, queue, n), in_new_thread(receive, queue, n)]
    assert [end() for end in ends] == [7, n * (n - 1) // 2]


@needs_numba
def test_kernels_with_and_without_it_exclude_each_other():
    def add(lock, total, n):
        for _ in range(n):
            with held(lock):
                total[0] += 1
        return 7

    lock, total, n = interlock.Mutex(), np.zeros(1, np.int64), 20_000
    kernels = [njit(add), njit(nogil=True)(add)]
    for kernel in kernels:
        kernel(lock, total, 0)
    ends = [in_new_thread(kernel, lock, total, n) for kernel in kernels * 3]
    for _ in range(200):
        with lock:
            total[0] += 1
    assert [end() for end in ends] == [7] * 6
    assert total[0] == 6 * n + 200


@needs_numba
def test_a_canceled_kernel_has_the_gil_again():
    semaphore = interlock.Semaphore(0)

    @njit
    def kernel(semaphore):
        return nb.ilk_semaphore_acquire(semaphore)

    end = in_new_thread(kernel, semaphore.handle)
    until_waiting(semaphore)
    interlock.cancel(True)
    try:
        assert end() == capi.ILK_ECANCELED
    finally:
        interlock.cancel(False)


@needs_numba
def test_the_calling_threads_share_of_a_prange_waits():
    # Numba's other threads have no thread state, so they release nothing; this one does.
    @njit(parallel=True)
    def kernel(events, n):
        for i in numba.prange(n):
            nb.ilk_event_wait(events[i])
        return 7

    event = interlock.Event()
    set_event = in_new_thread(lambda: (until_waiting(event), event.set()))
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert kernel(np.array([event.handle]), 1) == 7
    finally:
        numba.set_num_threads(before)
    set_event()


@needs_numba
def test_a_method_of_a_jitclass_called_from_python_waits():
    from interlock.jitclasses import Semaphore

    semaphore = Semaphore(0, 0)
    acquire = in_new_thread(semaphore.acquire)
    until(lambda: capi.ilk_waiting() == 1)
    semaphore.release(1)
    acquire()
    semaphore.close()


# --- ctypes that keeps the GIL: as a kernel does, with any Python ---------------------------------------


def test_a_quick_call_that_waits_releases_it():
    semaphore = interlock.Semaphore(0)
    end = in_new_thread(QUICK["ilk_semaphore_acquire"], semaphore.handle)
    until_waiting(semaphore)
    semaphore.release()
    assert end() == 0


def test_a_call_that_has_released_it_waits():
    semaphore = interlock.Semaphore(0)
    end = in_new_thread(BLOCKING["ilk_semaphore_acquire"], semaphore.handle)
    until_waiting(semaphore)
    semaphore.release()
    assert end() == 0


FORK = """
import os, threading, time, warnings
import interlock
from interlock import capi
from interlock._library import QUICK
warnings.simplefilter("ignore")  # Python 3.12: a fork with threads
def wait():
    return QUICK["ilk_semaphore_acquire"](semaphore.handle)
def release():
    while not capi.ilk_waiting():
        time.sleep(0.001)
    semaphore.release()
semaphore = interlock.Semaphore(0)
waiters = [threading.Thread(target=wait) for _ in range(4)]
for waiter in waiters:
    waiter.start()
while capi.ilk_waiting() < 4:
    time.sleep(0.001)
child = os.fork()
if not child:
    for _ in range(3):
        releaser = threading.Thread(target=release)
        releaser.start()
        assert wait() == 0
        releaser.join()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
semaphore.release(4)
for waiter in waiters:
    waiter.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_while_threads_wait(python):
    assert python(FORK).stderr == ""


# Daemon threads wait, again and again, while the interpreter ends: before the functions at exit, and as these run.
END = """
import atexit, sys, threading, time
def at_exit_last():
    begin.set()
    while capi.ilk_waiting() < 4:
        time.sleep(0.001)
atexit.register(at_exit_last)
import interlock
from interlock import capi
from interlock._library import QUICK
begin = threading.Event()
semaphore = interlock.Semaphore(0)
def run():
    {before}
    while True:
        QUICK["ilk_semaphore_timedacquire"](semaphore.handle, {timeout_ns})
for _ in range(4):
    threading.Thread(target=run, daemon=True).start()
"""


@pytest.mark.parametrize("timeout_ns", [-1, 100_000, 3_000_000])
@pytest.mark.parametrize("before", ["pass", "begin.wait()"])
def test_python_ends_while_daemon_threads_wait(python, before, timeout_ns):
    for _ in range(3):
        assert python(END.format(before=before, timeout_ns=timeout_ns)).stderr == ""


SUBINTERPRETER = """
import os, sys, threading, time
import interlock
from interlock import capi
from interlock._library import QUICK
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    made = interpreters.create("{kind}")
else:
    import _xxsubinterpreters as interpreters
    made = interpreters.create(isolated=False)
semaphore = interlock.Semaphore(0)
def run():
    interpreters.run_string(made, f'''
import sys
sys.path[:] = {{sys.path!r}}
from interlock._library import QUICK
assert QUICK["ilk_semaphore_acquire"]({{semaphore.handle}}) == 0
''')
def release():
    while not capi.ilk_waiting():
        time.sleep(0.001)
    semaphore.release()
for wait, end in (run, release), (lambda: QUICK["ilk_semaphore_acquire"](semaphore.handle), release):
    threads = [threading.Thread(target=wait), threading.Thread(target=end)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("through", flush=True)
os._exit(0)  # Python 3.12 hangs when it destroys an interpreter that a thread has run
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a thread that runs a subinterpreter keeps the GIL")
@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_a_subinterpreter_waits(python, kind):
    if kind == "isolated" and sys.version_info < (3, 13):
        pytest.skip("ctypes has no subinterpreters with their own GIL")
    assert python(SUBINTERPRETER.format(kind=kind)).stdout == "through\n"


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled(), reason="there is a GIL")
def test_a_wait_does_not_hold_up_the_garbage_collector():
    import gc

    semaphore = interlock.Semaphore(0)
    end = in_new_thread(QUICK["ilk_semaphore_acquire"], semaphore.handle)
    until_waiting(semaphore)
    gc.collect()  # stops all threads that are attached, and waits until they have
    semaphore.release()
    assert end() == 0


# --- the messages ---------------------------------------------------------------------------------------

# A kernel takes a lock that another Python thread releases once it sees that.
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
start = time.perf_counter()
code = kernel(lock.handle, {timeout_ns}, entered)
print(code, hex(lock.handle), threading.get_native_id(), native[0], time.perf_counter() - start)
holder.join()
"""


def told(run):
    """Runs it with a time in seconds, and on a machine that wakes a thread only when that is over, with more."""
    for seconds in (2, 6, 20):
        result = run(seconds)
        if result.stderr:
            break
    return result


@needs_numba
def test_a_kernel_without_nogil_gets_a_hint(python):
    result = told(lambda seconds: python(PROGRAM.format(options="", hold=seconds, timeout_ns=-1)))
    code, handle, waiter, holder, _ = result.stdout.split()
    assert int(code) == 0
    hint = result.stderr
    assert hint.count("interlock:") == 1 and "a hint about speed" in hint and "deadlock" not in hint
    assert re.search(rf"\(native {waiter}\)  waits for mutex {handle}, held by .*\(native {holder}\), for 1", hint)
    assert "nogil=True" in hint


@needs_numba
def test_without_hooks_a_kernel_without_nogil_gets_a_warning(python):
    program = KEEP_THE_GIL + PROGRAM
    result = told(lambda seconds: python(program.format(options="", hold=0.1, timeout_ns=seconds * 10**9)))
    code, handle, waiter, holder, seconds = result.stdout.split()
    assert int(code) == capi.ILK_ETIMEDOUT  # the holder wanted the GIL, and could not have it
    assert float(seconds) >= 2
    warning = result.stderr
    assert warning.count("interlock:") == 1
    assert f"(native {waiter})  waits for mutex {handle}, held by" in warning
    waited = re.search(rf"\(native {holder}\), for ([\d.]+) s", warning)
    assert waited and 1 <= float(waited[1]) <= float(seconds)
    assert "looks like a deadlock" in warning and "GIL" in warning and "nogil=True" in warning


@needs_numba
def test_without_hooks_it_is_told_while_it_hangs():
    program = KEEP_THE_GIL + PROGRAM.format(options="", hold=0.1, timeout_ns=-1)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline().startswith("interlock: ")
        time.sleep(0.2)
        assert process.poll() is None  # it waits on
    finally:
        process.kill()
        process.communicate()


@needs_numba
def test_a_kernel_with_nogil_is_told_nothing(python):
    result = python(PROGRAM.format(options="nogil=True", hold=1.5, timeout_ns=120_000_000_000))
    assert result.stdout.startswith("0 ")
    assert result.stderr == ""


def test_python_code_is_told_nothing(python):
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


@pytest.mark.parametrize(("first", "message"), [("", "a hint about speed"), (KEEP_THE_GIL, "looks like a deadlock")])
def test_ctypes_that_keeps_the_gil_is_told(python, first, message):
    if not first and not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("there is no GIL")
    result = told(
        lambda seconds: python(
            first + "import interlock\n"
            "from interlock._library import QUICK\n"
            "lock = interlock.Lock(); lock.acquire()\n"
            f"for _ in range(2): QUICK['ilk_mutex_timedlock'](lock.handle, {seconds} * 600_000_000)\n"
        )
    )
    assert result.stderr.count("interlock:") == 1
    assert message in result.stderr


@needs_numba
@pytest.mark.parametrize("first", ["", KEEP_THE_GIL])
def test_the_message_can_be_turned_off(python, first):
    program = PROGRAM.format(options="", hold=1.5, timeout_ns=3_000_000_000)
    result = python(first + "from interlock import capi\nassert capi.ilk_gil_probe(None) == 0\n" + program)
    assert result.stdout.startswith("-1 " if first else "0 ")
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pause() and no SIGALRM")
def test_threads_that_outlive_python_are_told_nothing(python):
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


@pytest.mark.skipif(
    not importlib.util.find_spec("_interpreters") and not importlib.util.find_spec("_xxsubinterpreters"),
    reason="there are no subinterpreters",
)
def test_threads_beside_a_subinterpreter_are_told_nothing(python):
    create = "try: import _interpreters as i\nexcept ImportError: import _xxsubinterpreters as i\nother = i.create()\n"
    result = python(create + WAIT_IN_C + "time.sleep(1.5)\ns.release(3)\ni.destroy(other)\n")
    assert result.stderr == ""
