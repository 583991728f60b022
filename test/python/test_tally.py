"""Tally and Local from Python."""

import sys
import threading

import pytest

from interlock import Local, Tally, capi

SMALLEST, LARGEST = -(2**63), 2**63 - 1


def test_adds_of_many_threads():
    tally = Tally()
    threads = [threading.Thread(target=lambda: [tally.add() for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.sum() == 20_000  # also of threads that have exited
    tally.add(-1)
    assert repr(tally).endswith(": sum=19999>")
    tally.reset()
    assert tally.sum() == 0


def test_it_wraps_and_may_be_the_value_that_means_failure():
    tally = Tally()
    tally.add(LARGEST)
    tally.add(1)
    assert tally.sum() == SMALLEST
    for bad in (LARGEST + 1, SMALLEST - 1):
        with pytest.raises(OverflowError):
            tally.add(bad)
    with pytest.raises(TypeError):
        tally.add(0.5)


def test_local_is_each_threads_own(in_thread):
    local = Local()
    assert local.get() == 0
    local.set(7)
    assert in_thread(local.get) == 0
    assert in_thread(lambda: (local.set(8), local.get())[1]) == 8
    assert local.get() == 7
    assert repr(local).endswith(": here 7>")


@pytest.mark.parametrize("value", [0, 1, -1, sys.maxsize, -sys.maxsize - 1])
def test_local_holds_what_fits_in_a_pointer(value):
    local = Local()
    local.set(value)
    assert local.get() == value
    assert (capi.ilk_local_get(local.handle) or 0) == value % (2 * (sys.maxsize + 1))


@pytest.mark.parametrize("value", [sys.maxsize + 1, -sys.maxsize - 2])
def test_local_cuts_nothing_off(value):
    local = Local()
    with pytest.raises(OverflowError):
        local.set(value)
    with pytest.raises(TypeError):
        local.set("1")
    assert local.get() == 0
