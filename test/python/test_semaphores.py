"""Semaphore and BoundedSemaphore from Python."""

import threading

import numpy as np
import pytest

from conftest import PATIENCE, until_waiting
from interlock import BoundedSemaphore, HandleError, Semaphore

each_kind = pytest.mark.parametrize("new", [Semaphore, BoundedSemaphore])


@each_kind
def test_acquire_and_release(new):
    semaphore = new(2)
    assert semaphore.acquire() is True
    with semaphore as entered:
        assert entered is True
        assert semaphore.value == 0
        assert semaphore.acquire(blocking=False) is False
        assert semaphore.acquire(timeout=0.01) is False
        assert semaphore.acquire(timeout=-0.5) is False  # as in threading: passed already
    semaphore.release()
    assert semaphore.value == 2


@each_kind
def test_bad_arguments(new):
    with pytest.raises(ValueError):
        new(-1)
    with pytest.raises(OverflowError):
        new(2**31)
    semaphore = new()
    for n in (0, -1):
        with pytest.raises(ValueError):
            semaphore.release(n)
    with pytest.raises(ValueError):
        semaphore.acquire(False, 1)
    with pytest.raises(OverflowError):
        semaphore.acquire(timeout=1e100) and semaphore.acquire(timeout=1e100)
    with pytest.raises(TypeError):
        new("1")


@each_kind
@pytest.mark.parametrize(
    "timeout, error",
    [(float("nan"), ValueError), (1e300, OverflowError), ("1", TypeError), ([], TypeError), (1j, TypeError)],
)
def test_a_bad_timeout_acquires_nothing(new, timeout, error):
    semaphore = new(1)
    with pytest.raises(error):
        semaphore.acquire(True, timeout)
    assert semaphore.value == 1


@each_kind
def test_numbers_are_integers_of_any_type(new):
    semaphore = new(np.int64(2))
    assert [semaphore.acquire(), semaphore.acquire()] == [True, True]
    semaphore.release(np.int8(1))
    semaphore.release(True)
    assert semaphore.value == 2


# An older NumPy's bool is an integer, with a warning.
NO_INTEGERS = [1.0, np.float64(1), "1", None] + [np.bool_(True)] * (not hasattr(np.bool_, "__index__"))


@each_kind
@pytest.mark.parametrize("number", NO_INTEGERS)
def test_a_number_that_is_no_integer_is_a_type_error(new, number):
    with pytest.raises(TypeError):
        new(number)
    semaphore = new(2)
    semaphore.acquire()
    with pytest.raises(TypeError):
        semaphore.release(number)
    assert semaphore.value == 1


def test_limit():
    semaphore = Semaphore(2**31 - 1)
    for n in (1, 2**40):
        with pytest.raises(OverflowError):
            semaphore.release(n)
    assert semaphore.value == 2**31 - 1


def test_bound():
    semaphore = BoundedSemaphore(3)
    semaphore.acquire()
    semaphore.acquire()
    for n in (3, 2**40):
        with pytest.raises(ValueError, match="too many"):
            semaphore.release(n)
    assert semaphore.value == 1  # all or none
    semaphore.release(2)
    with pytest.raises(ValueError, match="too many"):
        semaphore.release()


def test_bound_of_zero():
    semaphore = BoundedSemaphore(0)
    assert not semaphore.acquire(False)
    with pytest.raises(ValueError, match="too many"):
        semaphore.release()
    with pytest.raises(ValueError, match="one or more"):
        semaphore.release(0)


@each_kind
@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_release_lets_waiters_on(new, timeout):
    semaphore = new(3)
    for _ in range(3):
        semaphore.acquire()
    results = []
    threads = [threading.Thread(target=lambda: results.append(semaphore.acquire(timeout=timeout))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until_waiting(semaphore, 3)
    assert not results
    semaphore.release(3)
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [True] * 3


def test_repr():
    semaphore = Semaphore(3)
    assert repr(semaphore).endswith(": value=3>")
    assert repr(BoundedSemaphore(3)).endswith(": value=3/3>")
    semaphore.close()
    with pytest.raises(HandleError):
        _ = semaphore.value
    assert repr(semaphore).endswith(": closed>")
