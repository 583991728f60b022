"""The methods in C under ThreadSanitizer: Python with a build of the library that it checks. (Python itself is not checked.)

The GIL orders most of what Python code does. So each program also calls the library through `capi`, without the GIL.
"""

import os
import shutil
import subprocess
import sys

import pytest

from interlock import _calls

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or _calls.WAY != "C", reason="for the methods in C on Linux"),
    pytest.mark.skipif(bool(os.environ.get("INTERLOCK_LIBRARY")), reason="another build of the library is tested"),
]

OPTIONS = "halt_on_error=1:exitcode=66:detect_deadlocks=0:die_after_fork=0:report_thread_leaks=0"

# `run` calls the functions in a thread each, several times, and ends the process if one of them raises. `write` stores to
# memory of the program in instrumented code, without the GIL: a queue's item.
BEFORE = """
import ctypes, os, sys, threading, traceback, warnings
import numpy as np
import interlock
from interlock import _calls, atomic, capi
assert _calls.WAY == "C"
warnings.simplefilter("ignore")
sys.setswitchinterval(1e-5)
ROUNDS = 40
memory = np.zeros(4, np.int64)
sources = threading.local()

def write(place):
    if not hasattr(sources, "queue"):
        sources.queue = capi.ilk_queue_new(4)
    assert capi.ilk_queue_tryput(sources.queue, 5) == 0
    assert capi.ilk_queue_tryget(sources.queue, memory.ctypes.data + 8 * place) == 0

def run(*functions, rounds=ROUNDS):
    def repeat(function):
        try:
            for i in range(rounds):
                function(i)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the others may wait for this thread
    threads = [threading.Thread(target=repeat, args=(f,)) for f in functions]
    for t in threads: t.start()
    for t in threads: t.join()

def refuses(kinds, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kinds:
        return
    raise AssertionError((function, arguments, named))
"""

# ThreadSanitizer sees the race only if one thread writes while the other is between its calls. On a busy machine that can
# take many rounds. The first report ends the program.
RACE = """
import time
end = time.monotonic() + 120
def writes(i):
    while time.monotonic() < end:
        write(0)
run(writes, writes, rounds=1)
"""

LOCKS = """
class Noisy(interlock.Mutex):
    def acquire(self, blocking=True, timeout=-1):
        return super().acquire(blocking, timeout)
    def release(self):
        super().release()

for lock in interlock.Lock(), interlock.RLock(), interlock.Mutex(), interlock.Mutex(fair=True), Noisy():
    def in_python(i):
        try:
            with lock:
                write(0)
                if i % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        if lock.acquire(i % 2 == 0, *([0.01] if i % 2 == 0 else [])):
            write(0)
            lock.release()
        lock.locked()
        for bad in ((True, "x"), (False, 1), (True, -2), (True, float("nan")), (1, 2, 3), (None, None)):
            refuses((TypeError, ValueError), lock.acquire, *bad)
        refuses(TypeError, lock.acquire, wrong=1)
    def without_gil(i):
        assert capi.ilk_mutex_lock(lock.handle) == 0
        write(0)
        assert capi.ilk_mutex_unlock(lock.handle) == 0
    run(in_python, in_python, without_gil)
    refuses(RuntimeError, lock.release)
    refuses(RuntimeError, lock.__init__)

rw = interlock.RWLock()
def write_locked(i):
    with rw.writing():
        write(1)
def read_locked(i):
    if rw.acquire_read(timeout=0.01):
        rw.release_read()
def write_without_gil(i):
    assert capi.ilk_rwlock_write_lock(rw.handle) == 0
    write(1)
    assert capi.ilk_rwlock_write_unlock(rw.handle) == 0
run(write_locked, read_locked, write_without_gil)

semaphore = interlock.BoundedSemaphore(1)
def semaphore_in_python(i):
    with semaphore:
        write(2)
    if semaphore.acquire(False):
        semaphore.release()
def semaphore_without_gil(i):
    assert capi.ilk_semaphore_acquire(semaphore.handle) == 0
    write(2)
    assert capi.ilk_semaphore_release(semaphore.handle, 1) == 0
run(semaphore_in_python, semaphore_in_python, semaphore_without_gil)
"""

QUEUES = """
import queue as standard
queue, received = interlock.Queue(2), []
def put(i):
    queue.put(i)
    for bad in ("x", None, 1.5, 2**63):
        refuses((TypeError, OverflowError), queue.put, bad)
    refuses((ValueError, TypeError), queue.put, 1, True, -1)
    refuses(TypeError, queue.put, 1, wrong=2)
def get(i):
    try:
        received.append(queue.get(timeout=0.001) if i % 2 else queue.get_nowait())
    except standard.Empty:
        received.append(queue.get())
def put_without_gil(i):
    assert capi.ilk_queue_put(queue.handle, -1) == 0
def get_without_gil(i):
    item = ctypes.c_int64()
    assert capi.ilk_queue_get(queue.handle, ctypes.addressof(item)) == 0
    received.append(item.value)
run(put, get, put, get, put_without_gil, get_without_gil)
assert sorted(received) == sorted([-1] * ROUNDS + 2 * list(range(ROUNDS)))

# What a put orders: the write before it with one after the get.
def sender(i):
    write(3)
    queue.put(i)
    queue2.get()
def receiver(i):
    assert queue.get() == i
    write(3)
    queue2.put(i)
queue2 = interlock.Queue(2)
run(sender, receiver)

# A close beside puts and gets.
for _ in range(10):
    closing = interlock.Queue(1)
    def use(i):
        try:
            if i % 2:
                closing.put(i, timeout=0.0001)
            else:
                closing.get(timeout=0.0001)
        except (standard.Full, standard.Empty, interlock.ShutDown):
            pass
    run(use, use, lambda i: i == 20 and closing.close(), rounds=40)
"""

LIFETIMES = """
# Objects made and freed by several threads, more than the list of retired slots takes.
def make(i):
    made = [interlock.Lock(), interlock.Mutex(), interlock.RLock(), interlock.Semaphore(1), interlock.Queue(1)]
    for thing in made[:4]:
        with thing:
            pass
    refuses(RuntimeError, made[0].__init__)
    made[0].itself = made[0]
run(make, make, make)

# Calls beside the free, and after it.
for new in (interlock.Lock, interlock.Mutex, lambda: interlock.Semaphore(1)):
    for _ in range(15):
        thing, free = new(), capi.ilk_semaphore_free if new not in (interlock.Lock, interlock.Mutex) else capi.ilk_mutex_free
        handle, ended = thing.handle, []
        def use(i):
            try:
                if thing.acquire(False):
                    thing.release()
            except interlock.HandleError:
                ended.append(i)
        run(use, use, lambda i: i > 10 and free(handle), rounds=30)
        while free(handle) != -3:
            pass
        refuses(interlock.HandleError, thing.acquire)
        refuses(interlock.HandleError, thing.release)

# Two threads unlock a Lock at once, by mistake, and one frees it.
for _ in range(100):
    lock = interlock.Lock()
    lock.acquire()
    handle = lock.handle
    def unlock_and_free(i):
        capi.ilk_mutex_unlock(handle)
        capi.ilk_mutex_free(handle)
    def release(i):
        try:
            lock.release()
        except RuntimeError:
            pass
    run(unlock_and_free, release, rounds=1)
    refuses(interlock.HandleError, lock.acquire)
"""

ATOMICS = """
numbers, small = np.zeros(8, np.int64), np.zeros(8, np.int8)
def in_python(i):
    atomic.add(numbers, 3, 1)
    atomic.add(numbers, np.int64(-1), 2)
    atomic.load(numbers, 3)
    atomic.cas(numbers, 0, i, i + 1)
    atomic.max(small, 1, i % 100)
    refuses(IndexError, atomic.add, numbers, 8, 1)
    refuses((TypeError, OverflowError, ValueError), atomic.add, numbers, 0, 2**64)
    refuses(TypeError, atomic.add, [1], 0, 1)
    refuses(TypeError, atomic.add, numbers, "x", 1)
def without_gil(i):
    capi.ilk_atomic_fetch_add_i64(numbers.ctypes.data + 3 * 8, 1)
    capi.ilk_atomic_load_i64(numbers.ctypes.data + 7 * 8)
run(in_python, in_python, without_gil)
assert numbers[3] == 3 * ROUNDS and numbers[7] == 4 * ROUNDS
"""

END = """
import atexit
lock, queue = interlock.Lock(), interlock.Queue(4)
def forever():
    while True:
        with lock:
            queue.put(1)
            queue.get()
        interlock.Lock()
def forever_without_gil():
    while True:
        capi.ilk_mutex_lock(lock.handle)
        capi.ilk_mutex_unlock(lock.handle)
for f in forever, forever, forever_without_gil:
    threading.Thread(target=f, daemon=True).start()
class Late:
    def __init__(self):
        self.lock = interlock.Lock()
    def __del__(self):
        with self.lock:
            pass
sys.late = Late()
late = Late()
late.itself = late
atexit.register(lambda: lock.acquire(timeout=0.01) and lock.release())
with lock:
    write(0)
"""

PROGRAMS = {"locks": LOCKS, "queues": QUEUES, "lifetimes": LIFETIMES, "atomics": ATOMICS, "end": END}


def has(*names):
    return all(map(shutil.which, names))


@pytest.fixture(scope="module")
def checked():
    """Runs a program with a build of the library that ThreadSanitizer checks."""
    from conftest import ROOT

    if not (has("gcc", "meson", "ninja") and (ROOT / "meson.build").exists()):
        pytest.skip("there is no gcc, meson or ninja")
    runtime = subprocess.run(["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(runtime):
        pytest.skip("gcc has no ThreadSanitizer")
    build = ROOT / "build" / "python-tsan"
    library = build / "src" / "libinterlock.so"
    environment = {**os.environ, "LD_PRELOAD": runtime, "TSAN_OPTIONS": OPTIONS}
    if subprocess.run([sys.executable, "-c", ""], env=environment, capture_output=True).returncode:
        pytest.skip("Python does not start with ThreadSanitizer")
    if not (build / "build.ninja").exists():
        options = ("-Db_sanitize=thread", "-Db_lundef=false", "-Dtests=disabled", "-Dexamples=false")
        setup = ["meson", "setup", "--wipe", build, *options] if build.exists() else ["meson", "setup", build, *options]
        subprocess.run(setup, env={**os.environ, "CC": "gcc"}, cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["ninja", "-C", build], capture_output=True, check=True)
    environment["INTERLOCK_LIBRARY"] = str(library)

    def run(program, path):
        path.write_text(BEFORE + program)
        result = subprocess.run([sys.executable, path], env=environment, capture_output=True, text=True, timeout=1200)
        return result.returncode, result.stdout + result.stderr

    return run


def test_a_race_is_found(checked, tmp_path):
    code, output = checked(RACE, tmp_path / "race.py")
    assert code == 66 and "data race" in output


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_race(checked, tmp_path, name):
    code, output = checked(PROGRAMS[name], tmp_path / f"{name}.py")
    assert code == 0, output
