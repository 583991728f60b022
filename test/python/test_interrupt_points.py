"""Ctrl-C at every point of a call at which Python may run a signal handler: a call that raises has acquired nothing."""

import contextlib
import dis
import functools
import os
import signal
import sys
import threading

import numpy as np
import pytest

import interlock
from interlock import _calls, _cancel, _condition, capi, words

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="runs signal handlers at more points")

# Python runs signal handlers at the start of a function, after a call into C, and when it jumps back.
INTERRUPTIBLE = {"RESUME", "CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD"}
PACKAGE = os.path.dirname(interlock.__file__)


@functools.cache
def names(code):
    """The names of the code's instructions, by their offsets."""
    return {instruction.offset: instruction.opname for instruction in dis.get_instructions(code)}


@pytest.fixture(autouse=True)
def handler_of_ctrl_c():
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


class Points:
    """Traces the package's frames, and calls the handler of Ctrl-C at the n-th point."""

    def __init__(self, n):
        self.left, self.where = n, None
        self.before = {}  # what each frame has executed last

    def trace(self, frame, event, arg):
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE) or code.co_name == "__del__":  # of garbage, collected meanwhile
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "return":
            self.before.pop(frame, None)
            self.before[frame.f_back] = "a function in Python"  # no point follows its return
        elif event == "opcode":
            before = self.before.get(frame, "RESUME")
            self.before[frame] = names(frame.f_code)[frame.f_lasti]
            self.left -= before in INTERRUPTIBLE
            if self.left == 0:
                self.left = -1
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}, after {before}"
                signal.getsignal(signal.SIGINT)(signal.SIGINT, frame)
        return self.trace


def traced(call, points):
    """Call it; return whether it was interrupted."""
    sys.settrace(points.trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def interrupted_everywhere(make):
    """Call `call, check = make()` for each point; after the interrupt, `check()` must hold."""
    n = 1
    while True:
        traced(make()[0], Points(-1))  # Python 3.13.0 traces a function's instructions only when it is called again
        call, check = make()
        points = Points(n)
        raised = traced(call, points)
        assert raised == (points.where is not None)
        if not raised:
            return n - 1
        assert check(), points.where
        n += 1


def interrupted_in_a_thread(make):
    try:
        return interrupted_everywhere(make)
    except AssertionError as error:
        return error


def in_python(thing):
    thing._only_python = 1  # as where there are no methods in C
    return thing


class Holder:
    """Another thread that holds a lock until its end."""

    def __init__(self, acquire, release):
        self._held, self._ends = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(acquire, release))
        self._thread.start()
        self._held.wait()

    def _hold(self, acquire, release):
        acquire()
        self._held.set()
        self._ends.wait()
        release()

    def end(self):
        self._ends.set()
        self._thread.join()


def free(acquire, release):
    """Return whether another thread can acquire it."""
    results = []

    def try_it():
        results.append(acquire(False))
        if results[0]:
            release()

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return results == [True]


@pytest.mark.parametrize("timeout", [-1, 60])
@pytest.mark.parametrize("kind", ["Lock", "Mutex", "RLock", "Semaphore"])
def test_acquire(kind, timeout):
    def make():
        lock = in_python(getattr(interlock, kind)())
        return lambda: lock.acquire(True, timeout), lambda: free(lock.acquire, lock.release)

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("timeout", [-1, 60])
@pytest.mark.parametrize("kind", ["Lock", "Mutex", "RLock", "Semaphore", "RWLock", "LockArray", "Once", "Queue", "words"])
def test_another_thread(kind, timeout, in_thread):
    """An exception that another thread sends (PyThreadState_SetAsyncExc) comes at these points too. The lock stayed held."""

    def make():
        if kind == "words":
            array = np.zeros(1, np.uint32)
            return lambda: words.lock(array, 0, timeout), lambda: array[0] == 0
        if kind == "LockArray":
            locks = interlock.LockArray(2)
            return lambda: locks.acquire(1, True, timeout), lambda: free(
                functools.partial(locks.acquire, 1), lambda: locks.release(1)
            )
        if kind == "Once":
            once = interlock.Once()
            return once.begin, lambda: free(lambda _: capi.ilk_once_trybegin(once.handle) == 1, once.end)
        if kind == "Queue":
            queue = in_python(interlock.Queue(1))
            queue.put(5)
            return lambda: queue.get(True, 60), lambda: queue.qsize() == 1
        lock, suffix = in_python(getattr(interlock, kind)()), "_write" * (kind == "RWLock")
        acquire, release = getattr(lock, "acquire" + suffix), getattr(lock, "release" + suffix)
        return lambda: acquire(True, timeout), lambda: free(acquire, release)

    results = in_thread(interrupted_in_a_thread, make)
    assert isinstance(results, int) and results > 1, results


@pytest.mark.parametrize("timeout", [-1, 60])
@pytest.mark.parametrize("how", ["read", "write"])
def test_acquire_of_a_readers_writer_lock(how, timeout):
    def make():
        lock = in_python(interlock.RWLock())
        return lambda: getattr(lock, "acquire_" + how)(True, timeout), lambda: free(lock.acquire_write, lock.release_write)

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("blocking, timeout", [(True, -1), (True, 60), (False, -1)])
@pytest.mark.parametrize("how", [("", 2), ("_pair", 1, 3), ("_range", 0, 4)])
def test_acquire_of_a_lock_array(how, blocking, timeout):
    def make():
        locks = interlock.LockArray(4)
        suffix, *indices = how
        call = getattr(locks, "acquire" + suffix)
        every = lambda blocking: locks.acquire_range(0, 4, blocking)  # noqa: E731
        return lambda: call(*indices, blocking, timeout), lambda: free(every, lambda: locks.release_range(0, 4))

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("how", ["reading", "writing", "held"])
def test_entering_a_with_block(how):
    def make():
        lock = interlock.RWLock()
        block = interlock.held(lock, "read") if how == "held" else getattr(lock, how)()
        return block.__enter__, lambda: free(lock.acquire_write, lock.release_write)

    assert interrupted_everywhere(make) > 0


@pytest.mark.parametrize("new", [None, interlock.Lock, interlock.Mutex, threading.Lock, threading.RLock])
def test_entering_a_condition(new):
    def make():
        condition = interlock.Condition(new and new())
        return condition.__enter__, lambda: free(condition.acquire, condition.release)

    assert interrupted_everywhere(make) > 0


@pytest.mark.skipif(_calls.WAY != "C", reason="calls are by ctypes")
@pytest.mark.parametrize(
    "new, acquire",
    [
        (lambda lock, locks: interlock.held(lock), lambda lock, locks: lock.acquire),
        (lambda lock, locks: interlock.Condition(lock), lambda lock, locks: lock.acquire),
        (lambda lock, locks: locks.held(1), lambda lock, locks: functools.partial(locks.acquire, 1)),
        (lambda lock, locks: locks.held_pair(1, 0), lambda lock, locks: functools.partial(locks.acquire, 1)),
        (lambda lock, locks: locks.held_range(0, 2), lambda lock, locks: functools.partial(locks.acquire, 1)),
    ],
    ids=["held", "Condition", "held of a LockArray", "held_pair", "held_range"],
)
def test_leaving_a_with_block(new, acquire):
    """A Ctrl-C at the beginning of __exit__() left the lock held."""

    def make():
        lock, locks = interlock.Lock(), interlock.LockArray(2)
        block = new(lock, locks)
        block.__enter__()
        return lambda: block.__exit__(None, None, None), lambda: free(acquire(lock, locks), lambda: None)

    assert interrupted_everywhere(make) == 0
    call, check = make()
    call()
    assert check()


@pytest.mark.skipif(_calls.WAY != "C", reason="calls are by ctypes")
@pytest.mark.parametrize("how", ["reading", "writing", "downgraded"])
def test_leaving_a_block_of_a_readers_writer_lock(how):
    """A Ctrl-C in contextlib left the lock held as long as the exception was handled."""

    def make():
        lock = interlock.RWLock()
        block = lock.reading() if how == "reading" else lock.writing()
        block.__enter__()
        if how == "downgraded":
            lock.downgrade()
        return lambda: block.__exit__(None, None, None), lambda: free(lock.acquire_write, lock.release_write)

    assert interrupted_everywhere(make) == 0
    call, check = make()
    call()
    assert check()


@pytest.mark.parametrize("timeout", [None, -1, 60])
def test_word_locks(timeout):
    def make():
        locks = np.zeros(1, np.uint32)
        call = words.trylock if timeout is None else functools.partial(words.lock, timeout=timeout)
        return lambda: call(locks, 0), lambda: free(lambda _: words.trylock(locks, 0), lambda: words.unlock(locks, 0))

    assert interrupted_everywhere(make) > 1


def test_begin_of_a_once():
    def make():
        once = interlock.Once()
        return once.begin, lambda: free(lambda _: capi.ilk_once_trybegin(once.handle) == 1, once.end)

    assert interrupted_everywhere(make) > 1


def test_once():
    def make():
        once = interlock.Once()

        def is_not_begun():
            thread = threading.Thread(target=lambda: once.call(int), daemon=True)
            thread.start()
            thread.join(60)
            return not thread.is_alive()

        return lambda: once.call(int), is_not_begun

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("dtype", [np.float64, np.dtype([("x", np.float64), ("n", np.int8)])])
def test_get_of_a_typed_queue(dtype):
    def make():
        queue = interlock.Queue(2, dtype)
        item = np.ones(1, dtype)[0]
        queue.put(item)
        return queue.get, lambda: queue.get(False) == item and queue.empty()

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("lock", [threading.Lock, threading.RLock])
def test_wait_of_a_condition_on_another_lock(lock):
    def make():
        condition = interlock.Condition(lock())
        condition.acquire()
        return lambda: condition.wait(0.001), lambda: condition._is_owned() and not condition._inner.locked()

    assert interrupted_everywhere(make) > 1


def test_end_of_a_block_that_cancels():
    def make():
        def block():
            with interlock.cancel():
                pass

        return block, lambda: not interlock.cancelled()

    assert interrupted_everywhere(make) > 1


def test_a_third_ctrl_c_at_the_end_of_a_block_that_cancels(monkeypatch):
    """The first began to cancel, the second ended the wait for quiet, and the third comes as the block ends that."""
    real, points = _cancel._end, []

    def interrupted(who):
        sys.settrace(points[-1].trace)
        try:
            real(who)
        finally:
            sys.settrace(None)

    def make():
        def block():
            with contextlib.suppress(ValueError), interlock.cancel():
                raise ValueError

        return block, lambda: not interlock.cancelled()

    monkeypatch.setattr(_cancel, "_QUIET", 0)
    monkeypatch.setattr(_cancel, "_end", interrupted)
    n = 0
    while not points or points[-1].where:
        n += 1
        points.append(Points(n))
        block, is_over = make()
        with contextlib.suppress(KeyboardInterrupt):
            block()
        assert is_over(), points[-1].where
    assert n > 1


@pytest.mark.parametrize("action", [None, int])
def test_wait_at_a_barrier(action):
    """An interrupt after the arrival breaks the barrier. Else the next thread to arrive would be taken for the last."""

    def make():
        barrier = interlock.Barrier(2, action)

        def wait():
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(0.001)

        return wait, lambda: barrier.broken or barrier.n_waiting == 0

    assert interrupted_everywhere(make) > 1


@pytest.mark.parametrize("how", [("_pair", 1, 3), ("_range", 0, 4)])
def test_acquire_of_a_lock_array_that_times_out_at_the_last_lock(how):
    def make():
        locks = interlock.LockArray(4)
        suffix, *indices = how
        holder = Holder(functools.partial(locks.acquire, 3), functools.partial(locks.release, 3))

        def acquire():
            try:
                getattr(locks, "acquire" + suffix)(*indices, timeout=0.001)
            finally:
                holder.end()

        every = functools.partial(locks.acquire_range, 0, 4)
        return acquire, lambda: free(every, lambda: locks.release_range(0, 4))

    assert interrupted_everywhere(make) > 1


def test_a_notify_that_comes_as_a_wait_times_out(monkeypatch):
    """A wait that has taken the notify and is interrupted passes it on."""
    real, taken, notifies = _condition._wait_end, [], []

    def notified(handle):
        capi.ilk_condition_notify(handle, 1)
        taken.append(real(handle))
        return taken[-1]

    monkeypatch.setattr(_condition, "_wait_end", notified)
    monkeypatch.setattr(_condition, "_notify", lambda handle, n: notifies.append(n) or 0)

    def make():
        condition = interlock.Condition()
        condition.acquire()
        results = []
        taken.clear()
        notifies.clear()
        return lambda: results.append(condition.wait(0.001)), lambda: taken != [1] or results == [True] or notifies == [1]

    assert interrupted_everywhere(make) > 1
