"""Barrier from Python; CPython's own tests of it are in test_cpython.py."""

import threading
import time
from threading import BrokenBarrierError

import pytest
from numba import njit

from conftest import PATIENCE, until
from interlock import Barrier, _barrier, capi


def run(function, n):
    """Runs in n threads; returns their results, exceptions too."""
    results = []

    def call():
        try:
            results.append(function())
        except Exception as error:
            results.append(type(error))

    threads = [threading.Thread(target=call) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(results) == n
    return results


def follow(barrier):
    """A thread that arrives at the barrier some slices of a wait after this one."""

    def wait():
        until(lambda: barrier.n_waiting)
        time.sleep(0.2)
        barrier.wait(PATIENCE)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("action", [None, lambda: None])
def test_places(action):
    barrier = Barrier(3, action)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (3, 0, False)
    for _ in range(3):
        thread = threading.Thread(target=run, args=(barrier.wait, 2))
        thread.start()
        until(lambda: barrier.n_waiting == 2)
        assert barrier.wait() == 2
        thread.join()
    assert sorted(run(barrier.wait, 6)) == [0, 0, 1, 1, 2, 2]


def test_main_thread_waits_for_longer_than_a_slice():
    barrier = Barrier(2)
    other = follow(barrier)
    assert barrier.wait() == 0
    assert not barrier.broken
    other.join()


def test_action_before_the_others_go():
    done = []

    def action():
        time.sleep(0.05)
        done.append(threading.get_ident())

    barrier = Barrier(3, action)

    def wait():
        before = len(done)
        place = barrier.wait()
        return place, len(done) - before, done[-1] == threading.get_ident()

    assert sorted(run(wait, 3)) == [(0, 1, False), (1, 1, False), (2, 1, True)]


def test_one_action_in_each_round_of_more_threads_than_parties():
    # A thread that arrives while the action runs belongs to the next round.
    inside, actions, bad = [], [], []
    lock = threading.Lock()

    def action():
        with lock:
            actions.append(len(inside))
            if len(inside) < 3:
                bad.append(len(inside))
            del inside[:3]
        time.sleep(0.0005)

    barrier = Barrier(3, action)

    def go():
        while True:
            with lock:
                inside.append(1)
            barrier.wait()

    results = []
    thread = threading.Thread(target=lambda: results.extend(run(go, 6)))
    thread.start()
    until(lambda: len(actions) >= 150)
    barrier.abort()
    thread.join()
    assert results == [BrokenBarrierError] * 6 and not bad


@pytest.mark.parametrize("main_thread_is_last", [True, False])
def test_action_that_raises(main_thread_is_last):
    def action():
        raise KeyError

    barrier = Barrier(2, action)
    if main_thread_is_last:
        thread = threading.Thread(target=run, args=(lambda: results.append(run(barrier.wait, 1)), 1))
        results = []
        thread.start()
        until(lambda: barrier.n_waiting)
        with pytest.raises(KeyError):
            barrier.wait()
        thread.join()
        assert results == [[BrokenBarrierError]]
    else:
        assert {KeyError, BrokenBarrierError} == set(run(barrier.wait, 2))
    assert barrier.broken
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken


@pytest.mark.parametrize("action", [None, lambda: None])
@pytest.mark.parametrize("timeout", [0, 0.02, 0.13])
def test_timeout_breaks_it_for_all(action, timeout):
    barrier = Barrier(3, action)
    other = threading.Thread(target=run, args=(lambda: results.append(run(barrier.wait, 1)), 1))
    results = []
    other.start()
    until(lambda: barrier.n_waiting)
    start = time.perf_counter()
    with pytest.raises(BrokenBarrierError):
        barrier.wait(timeout)
    assert time.perf_counter() - start >= timeout
    other.join()
    assert results == [[BrokenBarrierError]] and barrier.broken
    barrier.reset()
    assert sorted(run(barrier.wait, 3)) == [0, 1, 2]


def test_default_timeout():
    barrier = Barrier(2, timeout=0.05)
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    other = follow(barrier)
    assert barrier.wait(PATIENCE) == 0  # one's own goes before
    other.join()


def test_abort_and_reset_from_the_action():
    for name, broken in (("abort", True), ("reset", False)):
        barrier = Barrier(2, lambda name=name: getattr(barrier, name)())  # noqa: B023
        assert run(barrier.wait, 2) == [BrokenBarrierError] * 2
        assert barrier.broken is broken


def test_a_kernel_may_be_a_party():
    seen = []
    barrier = Barrier(2, lambda: seen.append(True))
    thread = threading.Thread(target=capi.ilk_barrier_wait, args=(barrier.handle,))
    thread.start()
    until(lambda: barrier.n_waiting)
    assert barrier.wait() == 1
    assert seen == [True]
    thread.join()


def test_bad_arguments():
    with pytest.raises(TypeError):
        Barrier("2")
    with pytest.raises(TypeError):
        Barrier(1).wait("soon")
    with pytest.raises(OverflowError):
        Barrier(1).wait(1e100)


def test_repr():
    barrier = Barrier(3)
    assert repr(barrier).endswith(": waiters=0/3>")
    barrier.abort()
    assert repr(barrier).endswith(": broken>")


def test_a_kernel_that_arrives_last_calls_the_action():
    @njit(nogil=True)
    def phases(barrier, n):
        last = 0
        for _ in range(n):
            last += barrier.wait() == 1
        return last

    ran = []
    barrier = Barrier(2, action=lambda: ran.append(threading.get_ident()))
    threads = [threading.Thread(target=phases, args=(barrier, 10)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 10


def test_an_action_that_fails_in_a_kernels_wait_breaks_the_barrier(capsys):
    @njit(nogil=True)
    def arrive(barrier):
        return barrier.wait()

    barrier = Barrier(1, action=lambda: [][1])
    with pytest.raises(BrokenBarrierError):
        arrive(barrier)
    assert "list index out of range" in capsys.readouterr().err
    assert barrier.broken


def test_kernels_that_begin_at_once_wait_by_the_same_function(monkeypatch):
    """Threads that passed a new barrier to kernels at once made a function each, and all but the last were freed."""
    barrier, addresses, make = Barrier(2, int), [], _barrier.ctypes.CFUNCTYPE

    def made_meanwhile(*types):
        monkeypatch.undo()
        addresses.append(barrier._wait_address)
        return make(*types)

    monkeypatch.setattr(_barrier.ctypes, "CFUNCTYPE", made_meanwhile)
    addresses.append(barrier._wait_address)
    assert len(addresses) == 2 and addresses[0] == addresses[1] != 0
