"""Counter from Python."""

import threading
import time

import pytest

from conftest import PATIENCE
from interlock import Counter

SMALLEST, LARGEST = -(2**63), 2**63 - 1


def test_operations():
    counter = Counter(5)
    assert counter.load() == 5
    assert counter.fetch_add() == 5
    assert counter.fetch_add(-10) == 6
    assert counter.exchange(7) == -4
    assert counter.compare_exchange(8, 9) == 7
    assert counter.compare_exchange(7, 9) == 7
    assert counter.load() == 9
    counter.store(-1)
    assert counter.load() == -1
    assert Counter().load() == 0


def test_wraps():
    counter = Counter(LARGEST)
    assert counter.fetch_add(1) == LARGEST
    assert counter.load() == SMALLEST


def test_the_value_that_also_means_failure():
    counter = Counter(SMALLEST)
    assert counter.load() == SMALLEST
    assert counter.compare_exchange(SMALLEST, 1) == SMALLEST
    assert counter.load() == 1
    counter.store(SMALLEST)
    assert counter.exchange(2) == SMALLEST


@pytest.mark.parametrize("value", [SMALLEST - 1, LARGEST + 1, 2**80])
def test_no_value_is_cut_off(value):
    with pytest.raises(OverflowError):
        Counter(value)
    counter = Counter(3)
    for call in (counter.store, counter.exchange, counter.fetch_add, counter.wait):
        with pytest.raises(OverflowError):
            call(value)
    with pytest.raises(OverflowError):
        counter.compare_exchange(3, value)
    assert counter.load() == 3


def test_floats_are_refused():
    with pytest.raises(TypeError):
        Counter(1.5)
    with pytest.raises(TypeError):
        Counter().fetch_add(0.5)


def test_adds_of_many_threads():
    counter = Counter()
    threads = [threading.Thread(target=lambda: [counter.fetch_add() for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.load() == 20_000


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_wait(timeout, in_thread):
    counter = Counter()
    assert counter.wait(0) is True
    timer = threading.Timer(0.1, counter.fetch_add, (3,))
    timer.start()
    assert counter.wait(3, timeout) is True
    timer = threading.Timer(0.1, counter.fetch_add, (3,))
    timer.start()
    assert in_thread(counter.wait, 6, timeout) is True


@pytest.mark.parametrize("timeout", [0, -1.5, 0.02, 0.13])
def test_wait_times_out(timeout):
    counter = Counter()
    start = time.perf_counter()
    assert counter.wait(1, timeout) is False
    assert time.perf_counter() - start >= timeout


def test_repr():
    counter = Counter(42)
    assert repr(counter).endswith(": value=42>")
    counter.close()
    assert repr(counter).endswith(": closed>")
