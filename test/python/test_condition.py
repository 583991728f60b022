"""Condition from Python; CPython's own tests of it are in test_cpython.py."""

import threading
import time
import warnings

import numpy as np
import pytest

import interlock
from conftest import PATIENCE, until, until_waiting
from interlock import Condition, Lock, Mutex, OwnerDiedWarning, RLock, capi

LOCKS = {
    "none": lambda: None,
    "Lock": Lock,
    "RLock": RLock,
    "Mutex": Mutex,
    "fair": lambda: Mutex(fair=True),
    "recursive": lambda: Mutex(recursive=True),
    "threading.Lock": threading.Lock,
    "threading.RLock": threading.RLock,
    "Semaphore": lambda: interlock.Semaphore(1),
}
each_lock = pytest.mark.parametrize("new", LOCKS.values(), ids=LOCKS)
ours = pytest.mark.parametrize("new", [Lock, RLock, Mutex])


@each_lock
def test_wait_and_notify(new, in_thread):
    condition, ready = Condition(new()), []

    def produce():
        with condition:
            ready.append(True)
            condition.notify()

    def consume():
        with condition:
            while not ready:
                assert condition.wait() is True
            return ready.pop()

    for wait in (consume, lambda: in_thread(consume)):  # the main thread waits in another way
        timer = threading.Timer(0.12, produce)
        timer.start()
        assert wait()
        timer.join()
    with condition:  # it is free, and works still
        assert condition.wait(0.01) is False


@each_lock
@pytest.mark.parametrize("timeout", [0, -1.5, 0.02, 0.13])
def test_timeout_is_not_early(new, timeout):
    condition = Condition(new())
    start = time.perf_counter()
    with condition:
        assert condition.wait(timeout) is False
        assert time.perf_counter() - start >= timeout
        with pytest.raises(OverflowError):
            condition.wait(1e100)


@each_lock
def test_the_lock_must_be_held(new, in_thread):
    condition = Condition(new())
    for call in (condition.wait, lambda: condition.wait(0), condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError, match="un-acquired"):
            call()
    assert condition.acquire()
    condition.notify(0)
    condition.notify(-3)  # wakes no thread, as in threading
    condition.notify(2**40)
    condition.release()


@each_lock
def test_wait_for(new):
    condition, seen = Condition(new()), []

    def count():
        for i in range(1, 4):
            time.sleep(0.03)
            with condition:
                seen.append(i)
                condition.notify_all()

    thread = threading.Thread(target=count)
    thread.start()
    with condition:
        assert condition.wait_for(lambda: len(seen) == 3 and "all") == "all"
        assert condition.wait_for(lambda: len(seen) > 3, timeout=0.1) is False
        assert condition.wait_for(lambda: True, timeout=0) is True
    thread.join()


@pytest.mark.parametrize("number", [np.float16, np.float32, np.float64])
def test_a_numpy_timeout_of_wait_for_is_not_early(number):
    """The deadline was rounded to the timeout's type: to 16 s or so for a half float."""
    condition = Condition()
    start = time.perf_counter()
    with condition:
        assert condition.wait_for(lambda: False, number(0.05)) is False
    assert float(number(0.05)) <= time.perf_counter() - start < PATIENCE


@pytest.mark.parametrize("timeout", [0, -1, 1e-9])
def test_wait_for_waits_once_although_the_time_is_over(timeout):
    """As in threading: a loop that polls lets other threads have the lock. It needs to hold it."""
    condition, seen = Condition(), []

    def set_it():
        with condition:
            seen.append(1)

    thread = threading.Thread(target=set_it)
    with condition:
        thread.start()
        until(lambda: condition.wait_for(lambda: seen, timeout))
    thread.join()
    with pytest.raises(RuntimeError, match="un-acquired"):
        condition.wait_for(lambda: False, timeout)


@pytest.mark.parametrize("new", [RLock, lambda: Mutex(recursive=True), threading.RLock], ids=["ours", "Mutex", "theirs"])
def test_a_recursive_lock_is_given_up_whole(new):
    lock = new()
    condition, done = Condition(lock), []

    def produce():
        with condition:
            done.append(True)
            condition.notify()

    with lock, condition, condition:
        threading.Timer(0.1, produce).start()
        assert condition.wait_for(lambda: done, timeout=PATIENCE)
        lock.release()
        lock.release()
        assert condition._is_owned()  # it is back at three
        lock.acquire()
        lock.acquire()
    assert not condition._is_owned()


def test_locked_by_a_kernel_or_by_python_is_all_the_same():
    condition = Condition()
    lock = condition.lock
    assert capi.ilk_mutex_lock(lock.handle) == 0
    assert lock._is_owned() and lock._recursion_count() == 1
    with lock:
        assert lock._recursion_count() == 2
        assert condition.wait(0.01) is False
    condition.notify()
    assert capi.ilk_mutex_unlock(lock.handle) == 0
    assert not lock._is_owned()


@ours
def test_shared_with_who_has_the_handles(new):
    # As a kernel would, through the C functions; and it notifies when it has unlocked.
    condition = Condition(new())
    c, m, turns = condition.handle, condition.lock.handle, []

    def other():
        for i in range(200):
            assert capi.ilk_mutex_lock(m) >= 0
            while len(turns) != 2 * i + 1:
                assert capi.ilk_condition_wait(c, m) >= 0
            turns.append("C")
            assert capi.ilk_mutex_unlock(m) == 0
            assert capi.ilk_condition_notify(c, 1) == 0

    thread = threading.Thread(target=other)
    thread.start()
    for i in range(200):
        with condition:
            while len(turns) != 2 * i:
                assert condition.wait(PATIENCE)
            turns.append("Python")
            condition.notify()
    thread.join(PATIENCE)
    assert turns == ["Python", "C"] * 200


@each_lock
def test_no_notify_is_lost_between_slices(new, monkeypatch):
    # The main thread's wait returns every 50 ms; here all the time, so that most notifies come in between.
    monkeypatch.setattr("interlock._wait._SLICE_NS", 20_000)
    condition, items = Condition(new()), []

    def produce():
        for i in range(1000):
            with condition:
                items.append(i)
                condition.notify()
            time.sleep(0) if i % 7 else time.sleep(1e-4)

    thread = threading.Thread(target=produce)
    thread.start()
    taken = 0
    while taken < 1000:
        with condition:
            while not items:
                assert condition.wait(PATIENCE)
            taken += len(items)
            items.clear()
    thread.join()


def test_notify_wakes_so_many():
    condition, woken = Condition(), []

    def wait(i):
        with condition:
            assert condition.wait()
            woken.append(i)

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(5)]
    for i, thread in enumerate(threads):
        thread.start()
        until_waiting(condition, i + 1)
    for n, total in ((2, 2), (1, 3)):
        with condition:
            condition.notify(n)
        until(lambda total=total: len(woken) >= total)
        time.sleep(0.05)
        assert sorted(woken) == list(range(total))
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(woken) == 5


def test_taken_back_from_a_thread_that_is_gone():
    condition = Condition(Mutex())

    def die():
        condition.acquire()
        condition.notify()

    with condition:
        threading.Timer(0.1, die).start()
        with pytest.warns(OwnerDiedWarning) as caught:
            assert condition.wait(PATIENCE)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with condition:
            pass


def test_closing():
    lock = Lock()
    condition = Condition(lock)
    condition.close()
    with lock:  # which is not its own
        pass
    condition = Condition()
    made = condition.lock
    with condition, pytest.raises(RuntimeError, match="still held"):
        condition.close()
    condition.close()
    assert made.closed


def test_a_close_while_the_lock_is_held_changes_nothing():
    """It freed the condition, raised an exception all the same, and left the lock."""
    for condition in Condition(), Condition(threading.Lock()):
        made = condition.lock if isinstance(condition.lock, RLock) else condition._inner
        made.acquire()
        with pytest.raises(RuntimeError, match="still held"):
            condition.close()
        assert not condition.closed and not made.closed
        made.release()
        with condition:
            assert condition.wait(0.001) is False
        condition.close()
        condition.close()
        assert condition.closed and made.closed


def test_notify_needs_an_integer():
    """A float was an ArgumentError of ctypes."""
    condition = Condition()
    with condition:
        for bad in (1.5, None, "1"):
            with pytest.raises(TypeError, match="integer"):
                condition.notify(bad)
        for n in (True, 10**30, -(10**30), 0):
            condition.notify(n)


def test_close_while_another_thread_waits():
    condition = Condition()
    waiting = threading.Thread(target=lambda: condition.__enter__() and (condition.wait(), condition.release()))
    waiting.start()
    until_waiting(condition)
    with pytest.raises(RuntimeError, match="waited for"):
        condition.close()
    with condition:
        condition.notify()
    waiting.join()
    condition.close()


def test_at_fork_reinit():
    condition = Condition()
    condition.acquire()
    condition._at_fork_reinit()
    assert not condition.locked()


def test_repr():
    condition = Condition()
    with condition:
        assert "<locked interlock.RLock object" in repr(condition)
    assert "unlocked" in repr(condition) and "no waiters" in repr(condition)
