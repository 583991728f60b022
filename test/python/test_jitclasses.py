"""The jitclasses."""

import threading

import numpy as np
import pytest
from numba import njit, types

import interlock
from interlock import DeadlockError, HandleError, _errors, capi
from interlock._constants import ILK_ENOTSUP, ILK_ETIMEDOUT
from interlock.jitclasses import Counter, Mutex, Semaphore, _checked


@pytest.mark.parametrize("new", [Mutex, Semaphore, Counter])
def test_one_field(new):
    assert list(new.class_type.struct.items()) == [("ptr", types.intp)]
    before = capi.ilk_live()
    thing = new()
    assert thing.ptr != 0
    assert capi.ilk_live() == before + 1
    thing.close()
    thing.close()
    assert thing.ptr == 0
    assert capi.ilk_live() == before


def test_mutex():
    mutex = Mutex()
    assert mutex.acquire() and mutex.locked()
    assert not mutex.acquire(False)
    with pytest.raises(DeadlockError):
        mutex.acquire(True, 1.0)
    mutex.release()
    assert not mutex.locked()
    with pytest.raises(RuntimeError):
        mutex.release()
    for blocking, timeout, error in ((False, 1.0, ValueError), (True, -2.0, ValueError), (True, 1e100, OverflowError)):
        with pytest.raises(error):
            mutex.acquire(blocking, timeout)
    mutex.close()
    with pytest.raises(HandleError):
        mutex.acquire()
    recursive = Mutex(False, True)
    assert recursive.acquire() and recursive.acquire(True, 0.5)
    recursive.release()
    with pytest.raises(RuntimeError, match="still held"):
        recursive.close()
    recursive.release()
    recursive.close()


def test_semaphore():
    semaphore = Semaphore(1, 2)
    assert semaphore.acquire()
    assert not semaphore.acquire(False)
    assert not semaphore.acquire(True, 0.01)
    assert not semaphore.acquire(True, -0.5)
    semaphore.release(2)
    assert semaphore.value == 2
    with pytest.raises(OverflowError):
        semaphore.release()
    with pytest.raises(ValueError):
        semaphore.release(-1)
    with pytest.raises(ValueError):
        semaphore.acquire(False, 1.0)
    semaphore.close()
    with pytest.raises(HandleError):
        _ = semaphore.value
    with pytest.raises(ValueError):
        Semaphore(-1)


def test_counter():
    counter = Counter(-(2**63))
    assert counter.load() == -(2**63)
    counter.store(5)
    assert counter.fetch_add() == 5
    assert counter.exchange(1) == 6
    assert counter.compare_exchange(1, 2) == 1
    assert counter.wait(2) and not counter.wait(3, 0.01) and not counter.wait(3, -7)
    counter.close()
    with pytest.raises(HandleError):
        counter.load()
    with pytest.raises(HandleError):
        counter.wait(1)


def test_in_kernels_of_threads():
    @njit(nogil=True)
    def add(mutex, counter, total, n):
        for _ in range(n):
            mutex.acquire()
            total[0] += 1
            mutex.release()
            counter.fetch_add(1)

    @njit
    def make():
        # All arguments: Numba fills in no defaults here.
        return Mutex(True, False)

    mutex, counter = make(), Counter()
    total = np.zeros(1, np.int64)
    add(mutex, counter, total, 0)
    threads = [threading.Thread(target=add, args=(mutex, counter, total, 20_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == counter.load() == 80_000
    mutex.close()
    counter.close()


def test_errors_in_kernels():
    @njit
    def release_twice(mutex):
        mutex.acquire()
        mutex.release()
        mutex.release()

    mutex = Mutex()
    with pytest.raises(RuntimeError):
        release_twice(mutex)
    mutex.close()
    with pytest.raises(HandleError):
        release_twice(mutex)


def test_works_on_the_handle_of_a_class():
    mutex, jit = interlock.Mutex(), Mutex()
    jit.close()
    jit.ptr = mutex.handle
    jit.acquire()
    assert mutex.locked()
    jit.release()


def test_exceptions_are_those_of_python():
    # Only codes that these functions answer: the others have no primitive yet.
    for code in range(-8, 0):
        if code == ILK_ETIMEDOUT:
            continue
        with pytest.raises(_errors.EXCEPTIONS[code][0], match=_errors.EXCEPTIONS[code][1]):
            _checked(code)
    with pytest.raises(RuntimeError):
        _checked(ILK_ENOTSUP)
    assert _checked(1) == 1
