"""LockArray from Python."""

import threading
import time
import warnings

import pytest

from conftest import PATIENCE
from interlock import DeadlockError, LockArray, OwnerDiedWarning, capi

# How to acquire and to release: one, two, or several.
FORMS = {
    "one": lambda a: (lambda *t: a.acquire(2, *t), lambda: a.release(2), {2}),
    "pair": lambda a: (lambda *t: a.acquire_pair(3, 1, *t), lambda: a.release_pair(1, 3), {1, 3}),
    "same": lambda a: (lambda *t: a.acquire_pair(2, 2, *t), lambda: a.release_pair(2, 2), {2}),
    "range": lambda a: (lambda *t: a.acquire_range(1, 4, *t), lambda: a.release_range(1, 4), {1, 2, 3}),
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def taken(locks):
    """Returns which of them another thread finds held."""
    result = set()

    def look():
        for i in range(len(locks)):
            if locks.acquire(i, False):
                locks.release(i)
            else:
                result.add(i)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return result


@each_form
@pytest.mark.parametrize("padded", [False, True])
def test_acquire_and_release(form, padded, in_thread):
    locks = LockArray(6, padded)
    assert len(locks) == 6
    acquire, release, which = form(locks)
    for arguments in ((), (True, -1), (True, 0), (False,)):
        assert acquire(*arguments) is True
        assert taken(locks) == which
        assert in_thread(acquire, False) is False
        assert in_thread(acquire, True, 0.01) is False
        release()
        assert not taken(locks)
        with pytest.raises(RuntimeError, match="does not hold"):
            release()


@each_form
def test_a_failure_leaves_none_of_them(form):
    locks = LockArray(6)
    acquire, release, which = form(locks)
    held, stop = threading.Event(), threading.Event()

    def hold():
        with locks.holding(max(which)):
            held.set()
            stop.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    for timeout in (0, 0.02, 0.13):
        start = time.perf_counter()
        assert acquire(True, timeout) is False
        assert time.perf_counter() - start >= timeout
        assert taken(locks) == {max(which)}
    assert acquire(False) is False
    threading.Timer(0.12, stop.set).start()
    assert acquire() is True
    assert taken(locks) == which
    release()
    thread.join()


@each_form
def test_relocking_is_a_deadlock(form):
    locks = LockArray(6)
    acquire, _, which = form(locks)
    with locks.holding(max(which)):
        with pytest.raises(DeadlockError):
            acquire()
        with pytest.raises(DeadlockError):
            acquire(True, 5)
        assert acquire(False) is False
        assert taken(locks) == {max(which)}


@each_form
def test_bad_timeouts(form):
    locks = LockArray(6)
    acquire, _, _ = form(locks)
    for bad in ((False, 1), (True, -2)):
        with pytest.raises(ValueError):
            acquire(*bad)
    with pytest.raises(OverflowError):
        acquire(True, 1e100)


@each_form
def test_owner_died(form, in_thread):
    locks = LockArray(6)
    acquire, release, which = form(locks)
    in_thread(locks.acquire, max(which))
    with pytest.warns(OwnerDiedWarning) as caught:
        assert acquire()
    assert caught[0].filename == __file__
    release()
    in_thread(locks.acquire, min(which))
    with warnings.catch_warnings():
        warnings.simplefilter("error", OwnerDiedWarning)
        with pytest.raises(OwnerDiedWarning):
            acquire()
    assert not taken(locks)


def test_indices():
    locks = LockArray(3)
    for bad in (-1, 3, 2**62):
        for call in (locks.acquire, locks.release):
            with pytest.raises(ValueError):
                call(bad)
        for call in (locks.acquire_pair, locks.release_pair, locks.acquire_range, locks.release_range):
            with pytest.raises(ValueError):
                call(0, bad) if bad != 3 or "pair" in call.__name__ else call(0, 4)
    for call in (locks.acquire, locks.release):
        with pytest.raises(OverflowError):
            call(2**64)  # is not 0
        with pytest.raises(TypeError):
            call(0.0)
    with pytest.raises(ValueError):
        locks.acquire_range(2, 1)
    assert locks.acquire_range(3, 3)
    locks.release_range(3, 3)
    assert not taken(locks)


def test_all_or_nothing_is_released():
    locks = LockArray(4)
    with locks.holding(1):
        with pytest.raises(RuntimeError):
            locks.release_pair(1, 2)
        with pytest.raises(RuntimeError):
            locks.release_range(1, 3)
        assert taken(locks) == {1}


def test_a_body_that_raises_releases():
    locks = LockArray(4)
    with pytest.raises(KeyError), locks.holding(1):
        raise KeyError
    assert not taken(locks)


def test_the_main_thread_gets_a_range_that_is_never_free_at_once():
    # Each is taken most of the time, by threads of its own.
    locks, stop = LockArray(4), threading.Event()

    def use(i):
        while not stop.is_set():
            with locks.holding(i):
                time.sleep(0.02)
            time.sleep(0.001)

    threads = [threading.Thread(target=use, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert locks.acquire_range(0, 4, timeout=PATIENCE)
        locks.release_range(0, 4)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_pairs_exclude_and_do_not_deadlock():
    locks, total = LockArray(3), [0]

    def add(pairs):
        for i, j in pairs:
            locks.acquire_pair(i, j)
            seen = total[0]
            time.sleep(0) if seen % 97 == 0 else None
            total[0] = seen + 1
            locks.release_pair(i, j)

    threads = [threading.Thread(target=add, args=(pairs * 300,)) for pairs in ([(0, 1), (1, 2)], [(2, 1), (1, 0)])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert total[0] == 1200


def test_repr():
    locks = LockArray(3)
    assert repr(locks).endswith(": 0 of 3 locked>")
    with locks.holding(2):
        assert f"1 of 3 locked: [2] by thread {capi.ilk_thread_id()}" in repr(locks)
