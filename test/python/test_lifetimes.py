"""Objects at the edges of their lives: a second __init__, forks, the interpreter's end, other interpreters; bad timeouts."""

import gc
import os
import sys
import threading
import weakref

import numpy as np
import pytest

import interlock
from conftest import PATIENCE, live, until_waiting
from interlock import _calls, capi

KINDS = {
    "Barrier": lambda: interlock.Barrier(2),
    "BoundedSemaphore": interlock.BoundedSemaphore,
    "Condition": interlock.Condition,
    "Counter": interlock.Counter,
    "ErrorSlot": lambda: interlock.ErrorSlot({1: ValueError}),
    "Event": interlock.Event,
    "Latch": lambda: interlock.Latch(1),
    "Local": interlock.Local,
    "Lock": interlock.Lock,
    "LockArray": lambda: interlock.LockArray(3),
    "Mutex": interlock.Mutex,
    "Once": interlock.Once,
    "PerThread": lambda: interlock.PerThread(3),
    "Queue": lambda: interlock.Queue(2),
    "RLock": interlock.RLock,
    "RWLock": interlock.RWLock,
    "Semaphore": interlock.Semaphore,
    "Tally": interlock.Tally,
    "TypedQueue": lambda: interlock.Queue(2, "f8"),
    "TypedQueue of records": lambda: interlock.Queue(2, [("x", "f8"), ("n", "i4")]),
}
AGAIN = {
    "Barrier": (3,),
    "BoundedSemaphore": (7,),
    "ErrorSlot": ({2: KeyError},),
    "Latch": (5,),
    "LockArray": (9,),
    "Mutex": (True, True),
    "PerThread": (8,),
    "Queue": (9,),
    "TypedQueue": (9, "i2"),
    "TypedQueue of records": (9, "f8"),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def fields(thing):
    return {name: id(value) for name, value in vars(thing).items()}


# --- __init__ ----------------------------------------------------------------------------------------------


@each_kind
def test_a_second_init_is_refused(kind):
    """It would leak the first handle, which other threads and kernels use; and free the arrays whose addresses they have."""
    before = live()
    thing = KINDS[kind]()
    made, handle, state = live(), thing.handle, fields(thing)
    with pytest.raises(RuntimeError, match="has been initialized already"):
        thing.__init__(*AGAIN.get(kind, ()))
    assert (live(), thing.handle, fields(thing)) == (made, handle, state)
    del thing
    assert live() == before


def test_init_after_close_makes_a_new_handle():
    before = live()
    lock = interlock.Lock()
    lock.close()
    lock.__init__()
    assert lock.acquire(False) and live() == before + 1
    lock.release()
    lock.close()


@each_kind
def test_an_object_without_init_is_closed(kind):
    """A subclass forgets super().__init__()."""
    thing = KINDS[kind]()
    forgetful = type("Forgetful", (type(thing),), {"__init__": lambda self: None})
    other = forgetful.__new__(forgetful, *AGAIN.get(kind, (1,) * (kind == "Queue")))
    assert other.closed
    with pytest.raises(interlock.HandleError):
        _ = other.handle
    if "Queue" not in kind:  # whose close is that of the queue
        other.close()
    assert "closed" in repr(other)


@each_kind
def test_a_failed_subclass_init_leaks_nothing(kind):
    thing = KINDS[kind]()

    class Failing(type(thing)):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            raise ZeroDivisionError

    before = live()
    arguments = {"Barrier": (2,), "Latch": (1,), "LockArray": (3,), "PerThread": (3,), "Queue": (2,)}.get(kind, ())
    if kind.startswith("Typed"):
        arguments = (2, thing.dtype)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            Failing(*arguments)
    assert live() == before


# --- bad timeouts ----------------------------------------------------------------------------------------------

WAITS = {
    "Lock.acquire": lambda t: held(interlock.Lock()).acquire(True, t),
    "RLock.acquire": lambda t: held_elsewhere(interlock.RLock()).acquire(timeout=t),
    "Mutex.acquire": lambda t: held_elsewhere(interlock.Mutex()).acquire(timeout=t),
    "RWLock.acquire_read": lambda t: held_elsewhere(interlock.RWLock(), "acquire_write").acquire_read(timeout=t),
    "Semaphore.acquire": lambda t: interlock.Semaphore(0).acquire(timeout=t),
    "Condition.wait": lambda t: held(interlock.Condition()).wait(t),
    "Condition.wait_for": lambda t: held(interlock.Condition()).wait_for(lambda: False, t),
    "Event.wait": lambda t: interlock.Event().wait(t),
    "Latch.wait": lambda t: interlock.Latch(1).wait(t),
    "Counter.wait": lambda t: interlock.Counter().wait(1, t),
    "Queue.get": lambda t: interlock.Queue(1).get(timeout=t),
    "LockArray.acquire": lambda t: held_elsewhere(interlock.LockArray(1), "acquire", 0).acquire(0, timeout=t),
}
_done = threading.Event()
_threads = []


def held(lock):
    lock.acquire()
    return lock


def held_elsewhere(lock, method="acquire", *arguments):
    acquired = threading.Event()

    def hold():
        getattr(lock, method)(*arguments)
        acquired.set()
        _done.wait()

    thread = threading.Thread(target=hold)
    _threads.append(thread)
    thread.start()
    acquired.wait()
    return lock


@pytest.fixture
def holders():
    _done.clear()
    yield
    _done.set()
    while _threads:
        _threads.pop().join()


def ends(wait, timeout):
    """What a wait gives that cannot succeed."""
    try:
        return wait(timeout)
    except interlock._queue.Empty:
        return False


each_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
NUMBERS = [
    *(0, 0.0, 0.001, False),
    *(np.float16(0.001), np.float32(0.001), np.float64(0.001), np.int8(0), np.uint64(0), np.bool_(False), np.array(0.001)),
]


@each_wait
@pytest.mark.parametrize("timeout", NUMBERS, ids=lambda t: f"{type(t).__name__}({t})")
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_timeouts_of_all_numeric_types(holders, wait, timeout):
    """A float16 was multiplied by 1e9, and overflowed."""
    assert not ends(wait, timeout)


@each_wait
@pytest.mark.parametrize(
    "timeout", [float("nan"), np.float64("nan"), np.float16("nan")], ids=["float", "float64", "float16"]
)
def test_a_timeout_of_nan_is_refused(holders, wait, timeout):
    with pytest.raises(ValueError, match="not NaN"):
        ends(wait, timeout)


@each_wait
@pytest.mark.parametrize(
    "timeout",
    [*("1", b"1", "soon", [], 1j), *(np.timedelta64(5, "ns"), np.timedelta64(5), np.array("1"), np.void(b"1"))],
    ids=repr,
)
def test_a_timeout_that_is_no_number_is_refused(holders, wait, timeout):
    """Durations of numpy were taken for seconds, whatever their unit."""
    with pytest.raises(TypeError):
        ends(wait, timeout)


@each_wait
@pytest.mark.parametrize("timeout", [1e30, float("inf"), 2**70, np.uint64(2**64 - 1), np.float32(1e30)], ids=repr)
def test_a_timeout_that_is_too_large_is_refused(holders, wait, timeout):
    with pytest.raises(OverflowError):
        ends(wait, timeout)


@pytest.mark.parametrize(("timeout", "error"), [(-1, ValueError), ("x", TypeError), (float("nan"), ValueError)])
def test_a_bad_timeout_is_refused_also_when_there_is_no_wait(timeout, error):
    """A put into a queue with space ignored it."""
    for queue in interlock.Queue(2), interlock.Queue(2, "f8"), interlock.Queue(2, [("x", "f8")]):
        item = np.zeros(1, queue.dtype)[0] if isinstance(queue, interlock._typedqueue.TypedQueue) else 1
        with pytest.raises(error):
            queue.put(item, True, timeout)
        assert queue.empty()
        queue.put(item)
        with pytest.raises(error):
            queue.get(True, timeout)
        assert queue.qsize() == 1
    for new in interlock.Lock, interlock.RLock, interlock.Mutex, interlock.Semaphore:
        if not (timeout == -1 or new is interlock.Semaphore):
            with pytest.raises(error):
                new().acquire(True, timeout)


NEGATIVE = {
    "Event": lambda t: interlock.Event().wait(t),
    "Latch": lambda t: interlock.Latch(1).wait(t),
    "Counter": lambda t: interlock.Counter().wait(1, t),
    "Semaphore": lambda t: interlock.Semaphore(0).acquire(timeout=t),
    "BoundedSemaphore": lambda t: held(interlock.BoundedSemaphore(1)).acquire(True, t),
    "Condition": lambda t: held(interlock.Condition()).wait(t),
    "Condition of another lock": lambda t: held(interlock.Condition(threading.Lock())).wait(t),
    "Barrier": lambda t: broken(interlock.Barrier(2).wait, t),
    "Barrier with a timeout": lambda t: broken(interlock.Barrier(2, timeout=t).wait),
    "Barrier with an action": lambda t: broken(interlock.Barrier(2, print).wait, t),
}


def broken(wait, *arguments):
    try:
        return wait(*arguments)
    except threading.BrokenBarrierError:
        return False


@pytest.mark.parametrize("wait", NEGATIVE.values(), ids=NEGATIVE)
@pytest.mark.parametrize("timeout", [-1, -1.0, np.float32(-1), -0.5])
def test_a_negative_timeout_has_passed(wait, timeout):
    """-1 waited forever, where in `threading` only a lock's acquire does."""
    thread = threading.Thread(target=lambda: results.append(wait(timeout)), daemon=True)
    results = []
    thread.start()
    thread.join(PATIENCE)
    assert results == [False]


# --- weak references, generators -------------------------------------------------------------------------------


@each_kind
def test_weak_references(kind):
    gone = []
    thing = KINDS[kind]()
    reference = weakref.ref(thing, gone.append)
    weakref.finalize(thing, gone.append, "finalized")
    assert reference() is thing
    before = live()
    del thing
    gc.collect()
    assert reference() is None and len(gone) == 2 and live() < before


@each_kind
def test_a_cycle_is_freed(kind):
    before = live()
    thing = KINDS[kind]()
    thing.itself = thing
    reference = weakref.ref(thing)
    del thing
    assert live() == before and reference() is None


@pytest.mark.parametrize("new", [interlock.Lock, interlock.RLock, interlock.Mutex, lambda: interlock.Semaphore(1)])
def test_with_in_a_generator(new):
    """Its end by close(), by an exception and by the collector releases the lock, which is then freed."""

    def steps(lock):
        with lock:
            yield 1
            yield 2

    before = live()
    lock = new()
    generator = steps(lock)
    next(generator)
    generator.close()
    assert lock.acquire(False)
    lock.release()
    generator = steps(lock)
    next(generator)
    with pytest.raises(ZeroDivisionError):
        generator.throw(ZeroDivisionError)
    assert lock.acquire(False)
    lock.release()
    generator = steps(lock)
    next(generator)
    del generator
    gc.collect()
    assert lock.acquire(False)
    lock.release()
    del lock
    assert live() == before


def test_a_generator_closed_by_another_thread_releases_a_lock():
    lock = interlock.Lock()

    def steps():
        with lock:
            yield

    generator = steps()
    next(generator)
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()
    assert not lock.locked()


# --- calls after the free ------------------------------------------------------------------------------------


def test_calls_after_del():
    lock, semaphore, queue = interlock.Lock(), interlock.Semaphore(1), interlock.Queue(2)
    for thing in (lock, semaphore, queue):
        thing.__del__()
        thing.__del__()
    for call in (
        *(
            lock.acquire,
            lock.release,
            lock.locked,
            lock.__enter__,
            lambda: lock.acquire(False),
            lambda: lock.acquire(timeout=0.01),
        ),
        *(semaphore.acquire, semaphore.release, lambda: semaphore.acquire(False)),
        *(lambda: queue.put(1), queue.get, queue.get_nowait, lambda: queue.put_nowait(1), queue.qsize),
    ):
        with pytest.raises(interlock.HandleError):
            call()


def test_a_lock_that_is_waited_for_outlives_its_object():
    """Its finalizer leaves the handle to the threads that use it."""
    lock = interlock.Mutex()
    lock.acquire()
    handle, results = lock.handle, []
    thread = threading.Thread(target=lambda: results.append(capi.ilk_mutex_lock(handle)))
    thread.start()
    until_waiting(lock)
    lock.__del__()
    assert lock.locked()
    lock.release()
    thread.join()
    assert results == [0]


# --- forks --------------------------------------------------------------------------------------------------

FORK = """
import os, sys, threading, warnings
import interlock
warnings.simplefilter("ignore")
lock, mutex, rlock = interlock.Lock(), interlock.Mutex(), interlock.RLock()
semaphore, queue = interlock.BoundedSemaphore(2), interlock.Queue(4)
held, owned = interlock.Lock(), interlock.Mutex()
acquired, done = threading.Event(), threading.Event()
def hold():
    with held, owned:
        acquired.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
acquired.wait()
queue.put(7)
with rlock, mutex:
    child = os.fork()
    if child == 0:
        try:
            assert mutex.locked() and not mutex.acquire(False)
            assert rlock.acquire(False)
            rlock.release()
            with lock, semaphore:
                assert queue.get() == 7
            queue.put(8)
            assert queue.get_nowait() == 8
            assert owned.acquire(False)  # its holder is not in the child
            owned.release()
            assert not held.acquire(False)  # a Lock has no holder
            held._at_fork_reinit()
            with held:
                pass
            made = [interlock.Lock() for _ in range(300)]
            del made
            def use():
                for _ in range(200):
                    with lock:
                        pass
            threads = [threading.Thread(target=use) for _ in range(2)]
            for t in threads: t.start()
            for t in threads: t.join()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
done.set()
thread.join()
_, status = os.waitpid(child, 0)
assert status == 0 and queue.get() == 7
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_use_in_a_child(python):
    assert python(FORK).stdout == "done\n"


# --- the interpreter's end ---------------------------------------------------------------------------------

AT_EXIT = """
import atexit, os, sys, threading
import interlock
def say(text, write=os.write):
    write(1, text.encode() + b"\\n")
lock, semaphore, queue = interlock.Lock(), interlock.Semaphore(1), interlock.Queue(4)
def at_exit():
    with lock, semaphore:
        queue.put(1)
    say(f"atexit {queue.get()}")
    try:
        lock.release()
    except RuntimeError:
        say("refused")
atexit.register(at_exit)
class Late:
    def __init__(self, name):
        self.name, self.lock, self.semaphore, self.queue = name, interlock.Lock(), interlock.Semaphore(1), interlock.Queue(4)
    def __del__(self, say=say):
        with self.lock, self.semaphore:
            self.queue.put(2)
            assert self.queue.get() == 2
        made = self.lock.__class__()
        assert made.acquire()
        made.release()
        say(self.name)
class Cycle(Late):
    pass
late, cycle, sys.late = Late("global"), Cycle("cycle"), Late("sys")
cycle.itself = cycle
def daemon():
    while True:
        with lock:
            pass
        queue.put(3)
        queue.get()
threading.Thread(target=daemon, daemon=True).start() if WITH_DAEMON else None
"""


@pytest.mark.parametrize("daemon", [False, True], ids=["alone", "daemon"])
def test_use_at_the_interpreters_end(python, daemon):
    lines = python(AT_EXIT.replace("WITH_DAEMON", str(daemon))).stdout.split()
    if _calls.WAY != "C":  # Python's own: by then the globals of its modules are gone
        assert "atexit" in lines
    elif daemon:  # with which Python does not clear the module
        assert {"sys", "atexit"} <= set(lines)
    else:
        assert sorted(lines) == ["1", "atexit", "cycle", "global", "refused", "sys"]


# --- other interpreters ------------------------------------------------------------------------------------

INTERPRETERS = """
import sys, threading, interlock
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    make = lambda: interpreters.create("legacy")
else:
    import _xxsubinterpreters as interpreters
    make = lambda: interpreters.create(isolated=False)
lock, counter = interlock.Lock(), [0]
def run(number):
    other = make()
    interpreters.run_string(other, f'''
import sys
sys.path[:] = {sys.path!r}
import threading
import interlock
lock, queue, total = interlock.Lock(), interlock.Queue(8), 0
def work():
    global total
    for i in range(200):
        with lock:
            total += 1
        queue.put(i)
        queue.get()
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
assert total == 600
try:
    lock.release()
except RuntimeError:
    pass
''')
    interpreters.destroy(other)
    with lock:
        counter[0] += 1
threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print("done", counter[0])
"""


def test_threads_in_other_interpreters(python):
    pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    assert python(INTERPRETERS).stdout == "done 2\n"
