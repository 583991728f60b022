"""Lock, Mutex and RLock from Python."""

import queue
import threading
import time
import warnings

import pytest

import interlock
from conftest import PATIENCE, until_waiting
from interlock import DeadlockError, Lock, Mutex, OwnerDiedWarning, RLock

KINDS = [Lock, Mutex, RLock, lambda: Mutex(fair=True), lambda: Mutex(recursive=True), lambda: Mutex(True, True)]
each_kind = pytest.mark.parametrize("new", KINDS, ids=["Lock", "Mutex", "RLock", "fair", "recursive", "fair+recursive"])


@each_kind
def test_acquire_and_release(new, in_thread):
    lock = new()
    assert not lock.locked()
    assert lock.acquire() is True
    assert lock.locked()
    assert in_thread(lock.acquire, False) is False
    assert in_thread(lock.acquire, True, 0.01) is False
    lock.release()
    assert not lock.locked()
    with lock as entered:
        assert entered is True
        assert lock.locked()
    assert lock.acquire(blocking=True, timeout=0)
    lock.release()


@each_kind
def test_release_of_the_unlocked(new):
    with pytest.raises(RuntimeError, match="not held"):
        new().release()


@each_kind
def test_bad_timeouts(new):
    lock = new()
    with pytest.raises(ValueError):
        lock.acquire(False, 1)
    with pytest.raises(ValueError):
        lock.acquire(timeout=-100)
    with pytest.raises(ValueError):
        lock.acquire(timeout=float("nan"))
    for timeout in (1e100, threading.TIMEOUT_MAX + 1, float("inf")):
        with pytest.raises(OverflowError):
            lock.acquire(timeout=timeout)
    with pytest.raises(TypeError):
        lock.acquire(timeout="soon")
    assert not lock.locked()
    assert lock.acquire(timeout=threading.TIMEOUT_MAX)


@each_kind
@pytest.mark.parametrize("timeout", [0.02, 0.13])  # within one slice of a wait, and over several
def test_timeout_is_not_early(new, timeout, in_thread):
    lock = new()
    held, release = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def wait():
        start = time.perf_counter()
        acquired = lock.acquire(timeout=timeout)
        return acquired, time.perf_counter() - start

    for measure in (wait, lambda: in_thread(wait)):  # the main thread waits in another way
        for _ in range(5):  # nor late, apart from delays by a busy machine now and then
            acquired, took = measure()
            assert not acquired
            assert timeout <= took
            if took < timeout + 1:
                break
        assert took < timeout + 1
    release.set()
    thread.join()


@each_kind
def test_exclusion(new):
    lock, total = new(), [0]

    def add():
        for _ in range(2000):
            with lock:
                seen = total[0]
                time.sleep(0) if seen % 97 == 0 else None
                total[0] = seen + 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == 8000


@each_kind
def test_main_thread_waits_until_the_release(new):
    lock = new()
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(0.2)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with lock:
        pass
    thread.join()


def test_any_thread_releases_a_lock(in_thread):
    lock = Lock()
    lock.acquire()
    in_thread(lock.release)
    assert not lock.locked()


@pytest.mark.parametrize("new", [Mutex, RLock])
def test_only_the_owner_releases(new, in_thread):
    lock = new()
    lock.acquire()

    def release():
        with pytest.raises(RuntimeError):
            lock.release()
        return True

    assert in_thread(release)
    assert lock.locked()
    lock.release()


def test_relock_of_a_mutex():
    mutex = Mutex()
    with mutex:
        assert mutex.acquire(False) is False
        with pytest.raises(DeadlockError):
            mutex.acquire()
        with pytest.raises(DeadlockError):
            mutex.acquire(timeout=5)
    assert not mutex.locked()


@pytest.mark.parametrize("new", [RLock, lambda: Mutex(recursive=True)])
def test_recursion(new, in_thread):
    lock = new()
    with lock:
        with lock:
            pass
        assert lock.locked()
        assert in_thread(lock.acquire, False) is False
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock.release()


def test_rlock_and_condition():
    lock = RLock()
    condition = threading.Condition(lock)
    items = []

    def produce():
        with lock, condition:
            items.append(1)
            condition.notify()

    with lock, condition:  # twice: wait() releases both
        threading.Thread(target=produce).start()
        assert condition.wait_for(lambda: items, timeout=PATIENCE)
        assert lock._recursion_count() == 2
    assert not lock.locked()


@pytest.mark.parametrize("new", [Mutex, RLock])
def test_owner_died(new, in_thread):
    lock = new()
    in_thread(lock.acquire)
    with pytest.warns(OwnerDiedWarning) as caught:
        assert lock.acquire()
    if new is Mutex:
        assert caught[0].filename == __file__  # the line of the acquire
    lock.release()
    assert not lock.locked()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire()  # reported once
        lock.release()


def test_owner_died_as_an_error_leaves_it_unlocked(in_thread):
    lock = Mutex()
    in_thread(lock.acquire)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OwnerDiedWarning)
        with pytest.raises(OwnerDiedWarning):
            lock.acquire()
    assert not lock.locked()


def test_rlock_whose_owner_died_counts_anew(in_thread):
    lock = RLock()
    in_thread(lambda: [lock.acquire() for _ in range(3)])
    with pytest.warns(OwnerDiedWarning):
        lock.acquire()
    assert lock._recursion_count() == 1
    lock.release()
    assert not lock.locked()


def test_circle_of_two_threads():
    first, second = Mutex(), Mutex()
    barrier = threading.Barrier(2)
    errors = []

    def lock(one, other):
        with one:
            barrier.wait()
            try:
                with other:
                    pass
            except DeadlockError as error:
                errors.append(error)

    threads = [threading.Thread(target=lock, args=pair, daemon=True) for pair in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(errors) >= 1
    assert not first.locked() and not second.locked()


def test_fair_is_first_come_first_served():
    mutex = Mutex(fair=True)
    order = []

    def take(i):
        with mutex:
            order.append(i)

    mutex.acquire()
    threads = [threading.Thread(target=take, args=(i,)) for i in range(8)]
    for i, thread in enumerate(threads):
        thread.start()
        until_waiting(mutex, i + 1)
    mutex.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_repr():
    assert repr(Lock()).startswith("<unlocked interlock.Lock object at 0x")
    mutex = Mutex()
    with mutex:
        assert repr(mutex).startswith("<locked interlock.Mutex object at 0x")
    mutex.close()
    assert repr(mutex).startswith("<closed interlock.Mutex object at 0x")


def test_names():
    for name in interlock.__all__:
        thing = getattr(interlock, name)
        # ShutDown is Python's own, where it has one.
        assert not isinstance(thing, type) or thing.__module__ == "interlock" or thing is queue.ShutDown
    assert issubclass(interlock.HandleError, RuntimeError) and issubclass(DeadlockError, RuntimeError)
    assert issubclass(OwnerDiedWarning, Warning)


def test_at_fork_reinit():
    for new in (Lock, Mutex, RLock):
        lock = new()
        lock.acquire()
        lock._at_fork_reinit()
        assert not lock.locked()
        with lock:
            pass
