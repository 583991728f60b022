"""The main thread waits in slices, because of Ctrl-C, and keeps its place in a queue between them."""

import _thread
import signal
import threading
import time
from queue import Empty

import numpy as np
import pytest

import interlock
from conftest import PATIENCE, until, until_waiting
from interlock import (
    Condition,
    DeadlockError,
    Event,
    Lock,
    LockArray,
    Mutex,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    _lockarray,
    words,
)
from interlock import _wait as slices


class Write:
    """An RWLock, as writers see it."""

    def __init__(self):
        self.lock = RWLock()
        self.acquire, self.release, self.close = self.lock.acquire_write, self.lock.release_write, self.lock.close


class Read:
    """As readers see it, beside writers."""

    def __init__(self):
        self.lock = RWLock()
        self.close = self.lock.close

    def _is_main(self):
        return threading.current_thread() is threading.main_thread()

    def acquire(self, **timeout):
        return (self.lock.acquire_read if self._is_main() else self.lock.acquire_write)(**timeout)

    def release(self):
        (self.lock.release_read if self._is_main() else self.lock.release_write)()


class InArray:
    """A lock of an array; or two of them, acquired together."""

    def __init__(self, name="", indices=(1,)):
        self.locks, self.name, self.indices = LockArray(4), name, indices
        self.close = self.locks.close

    def acquire(self, **timeout):
        return getattr(self.locks, "acquire" + self.name)(*self.indices, **timeout)

    def release(self):
        getattr(self.locks, "release" + self.name)(*self.indices)


class Word:
    """A lock in an array's element."""

    def __init__(self):
        self.locks = np.zeros(1, np.uint32)

    def acquire(self, timeout=-1):
        return words.lock(self.locks, 0, timeout)

    def release(self):
        words.unlock(self.locks, 0)

    def close(self):
        pass


KINDS = {
    "Lock": Lock,
    "RLock": RLock,
    "Mutex": Mutex,
    "fair Mutex": lambda: Mutex(fair=True),
    "RWLock to write": Write,
    "RWLock to read": Read,
}
each_kind = pytest.mark.parametrize("new", KINDS.values(), ids=KINDS)
WITHOUT_A_QUEUE = {"a lock of an array": InArray, "a pair": lambda: InArray("_pair", (2, 1)), "a word": Word}


@pytest.mark.parametrize("new", [*KINDS.values(), *WITHOUT_A_QUEUE.values()], ids=[*KINDS, *WITHOUT_A_QUEUE])
def test_the_main_thread_does_not_starve(new):
    # Each holds it for longer than a slice: a main thread that queued up anew in each was behind the others forever.
    lock, stop = new(), threading.Event()

    def work():
        while not stop.is_set():
            lock.acquire()
            time.sleep(0.06)
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert lock.acquire(timeout=PATIENCE)
        lock.release()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    lock.close()


def test_the_main_thread_is_notified_in_its_turn():
    condition, stop, woken = Condition(), threading.Event(), []

    def wait(name):
        while not stop.is_set():
            with condition:
                condition.wait(PATIENCE)
                woken.append(name)

    def notify():
        for i in range(3):
            threads[i].start()
            until_waiting(condition, i + 2)
        while "main" not in woken and len(woken) < 100:
            time.sleep(0.06)  # more than a slice
            seen = len(woken)
            with condition:
                condition.notify()
            until(lambda seen=seen: len(woken) > seen)

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(3)]
    notifier = threading.Thread(target=notify)
    with condition:
        notifier.start()
        assert condition.wait(PATIENCE)
        woken.append("main")
    notifier.join()
    stop.set()
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join()
    assert woken[0] == "main"


class Interrupted(Exception):
    pass


def test_the_main_thread_was_the_last_at_a_semaphore(monkeypatch):
    monkeypatch.setattr(slices, "_SLICE_NS", 1_000_000)
    semaphore, over, taken = Semaphore(0), threading.Event(), []

    def work():
        while semaphore.acquire() and not over.is_set():
            taken.append(1)

    def release():
        waits = f"waits for semaphore {semaphore.handle:#x}"
        while not over.is_set():
            time.sleep(0.01)  # more than a slice
            if interlock.report().count(waits) == 3:
                semaphore.release()

    threads = [threading.Thread(target=target) for target in (work, work, release)]
    for thread in threads:
        thread.start()
    try:
        assert semaphore.acquire(timeout=PATIENCE)
        assert len(taken) < 20
    finally:
        over.set()
        semaphore.release(2)
        for thread in threads:
            thread.join()
    semaphore.close()


def test_a_set_between_two_slices_was_lost(monkeypatch):
    monkeypatch.setattr(slices, "_SLICE_NS", 1_000_000)
    event, handles = Event(), threading.Event()

    def handler(number, frame):
        # Between two slices of the main thread. Another thread sets the event and clears it at once.
        setter = threading.Thread(target=lambda: (event.set(), event.clear()))
        setter.start()
        setter.join()
        assert not event.wait(0) and not event.wait(0.003)  # a wait of the handler's own begins later
        handles.set()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert event.wait(PATIENCE)
        assert handles.is_set() and not event.wait(0.003)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    event.close()


@pytest.fixture
def on_interrupt():
    """Sets the handler that _thread.interrupt_main() has the main thread run."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


@each_kind
def test_an_exception_in_a_handler_gives_the_place_up(new, on_interrupt):
    lock, held, done = new(), threading.Event(), threading.Event()

    def handler(*_):
        raise Interrupted

    def hold():
        lock.acquire()
        held.set()
        time.sleep(0.12)  # for some slices
        _thread.interrupt_main()
        done.wait()
        lock.release()

    on_interrupt(handler)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        with pytest.raises(Interrupted):
            lock.acquire()
    finally:
        done.set()
        thread.join()
    lock.close()  # not while a thread waits


@each_kind
def test_a_handler_acquires_the_lock_that_its_thread_waits_for(new, on_interrupt):
    lock, held, handled = new(), threading.Event(), threading.Event()

    def handler(*_):
        assert not lock.acquire(timeout=0.12)
        handled.set()

    def hold():
        lock.acquire()
        held.set()
        time.sleep(0.12)
        _thread.interrupt_main()
        handled.wait(PATIENCE)
        lock.release()

    on_interrupt(handler)
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert lock.acquire(timeout=PATIENCE)
    lock.release()
    thread.join()
    assert handled.is_set()
    lock.close()


def test_the_main_thread_was_the_last_at_a_queue():
    # Items come more than a slice apart, and there is always a get that waits: each slice began behind it.
    queue, stop = Queue(8), threading.Event()

    def work():
        while not stop.is_set():
            try:
                queue.get(timeout=1)
            except Empty:
                pass

    def put():
        while not stop.is_set():
            time.sleep(0.06)
            queue.put(1)

    threads = [threading.Thread(target=work) for _ in range(3)] + [threading.Thread(target=put)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert queue.get(timeout=PATIENCE) == 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    queue.close()


def test_a_handler_waits_for_the_condition_that_its_thread_waits_for(on_interrupt):
    condition, results = Condition(), []

    def handler(*_):
        with condition:
            results.append(condition.wait(0.12))

    def interrupt():
        until_waiting(condition, 1)
        _thread.interrupt_main()
        until(lambda: results)
        with condition:
            condition.notify()

    on_interrupt(handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with condition:
        assert condition.wait(PATIENCE)
    thread.join()
    assert results == [False]
    condition.close()


def test_handlers_that_wait_within_each_other(monkeypatch, on_interrupt):
    # Deeper than the library keeps places: the waits beyond lose their place, and nothing else.
    lock, depth, begun = Lock(), 0, []
    lock.acquire()

    def handler(*_):
        nonlocal depth
        depth += 1
        if depth < 12:
            signal.raise_signal(signal.SIGINT)
        assert not lock.acquire(timeout=0.06)

    def begin(handle, real=slices._wait_begin):
        begun.append(real(handle))
        return begun[-1]

    monkeypatch.setattr(slices, "_wait_begin", begin)
    on_interrupt(handler)
    timer = threading.Timer(0.05, _thread.interrupt_main)
    timer.start()
    while depth < 12:
        assert not lock.acquire(timeout=0.1)
    timer.join()
    lock.release()
    lock.close()


def _word():
    locks = np.zeros(1, np.uint32)
    words.lock(locks, 0)
    return lambda timeout: words.lock(locks, 0, timeout)


def _mutex():
    mutex = Mutex()
    mutex.acquire()
    return lambda timeout: mutex.acquire(timeout=timeout)


def _rwlock(held, again):
    lock = RWLock()
    getattr(lock, f"acquire_{held}")()
    return lambda timeout: getattr(lock, f"acquire_{again}")(timeout=timeout)


def _array(again, *indices):
    locks = LockArray(3)
    locks.acquire(1)
    return lambda timeout: getattr(locks, again)(*indices, timeout=timeout)


SECONDS = {
    "Mutex": _mutex,
    "RWLock, written": lambda: _rwlock("write", "write"),
    "RWLock, read": lambda: _rwlock("read", "write"),
    "RWLock, read after write": lambda: _rwlock("write", "read"),
    "LockArray": lambda: _array("acquire", 1),
    "a pair": lambda: _array("acquire_pair", 0, 1),
    "a range": lambda: _array("acquire_range", 0, 3),
    "a word": _word,
}


@pytest.mark.parametrize("hold", SECONDS.values(), ids=SECONDS)
def test_a_second_acquire_is_reported_although_its_time_is_over(hold, monkeypatch):
    # On a busy machine the thread may not run between the computation of the deadline and the call. What was left of the
    # timeout was 0 then, which is a try: it returned False.
    acquire = hold()
    hours = iter(range(1, 100))
    for module in slices, _lockarray:
        monkeypatch.setattr(module, "perf_counter_ns", lambda: next(hours) * 3600 * 10**9)
    with pytest.raises(DeadlockError):
        acquire(0.001)
