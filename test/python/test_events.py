"""Event, Latch and Once from Python; CPython's own tests of the event are in test_cpython.py."""

import threading
import time

import pytest

from conftest import PATIENCE
from interlock import DeadlockError, Event, HandleError, Latch, Once


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_event_lets_all_go(timeout, in_thread):
    event = Event()
    assert event.wait(0) is False
    results = []
    threads = [threading.Thread(target=lambda: results.append(event.wait(timeout))) for _ in range(4)]
    for thread in threads:
        thread.start()
    threading.Timer(0.12, event.set).start()
    assert event.wait(timeout) is True
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert event.is_set() and event.wait(0)
    event.clear()
    assert not event.is_set()


@pytest.mark.parametrize("new", [Event, lambda: Latch(1)], ids=["Event", "Latch"])
@pytest.mark.parametrize("timeout", [0, -1.5, 0.02, 0.13])
def test_timeout_is_not_early(new, timeout, in_thread):
    thing = new()

    def wait():
        start = time.perf_counter()
        return thing.wait(timeout), time.perf_counter() - start

    for result, took in (wait(), in_thread(wait)):
        assert result is False and took >= timeout
    with pytest.raises(OverflowError):
        thing.wait(1e100)


def test_event_repr_and_fork():
    event = Event()
    assert repr(event).endswith(": unset>")
    event.set()
    event._at_fork_reinit()
    assert repr(event).endswith(": set>")


def test_latch():
    latch = Latch(3)
    assert latch.value == 3
    latch.add()
    latch.add(2)
    latch.count_down()
    latch.count_down(4)
    assert latch.value == 1
    with pytest.raises(ValueError, match="too many times"):
        latch.count_down(2)
    for call in (latch.add, latch.count_down):
        with pytest.raises(ValueError, match="out of range"):
            call(-1)
        with pytest.raises(OverflowError):
            call(2**63)
        with pytest.raises(TypeError):
            call(0.5)
    with pytest.raises(OverflowError):
        latch.add(2**63 - 1)
    assert latch.value == 1  # nothing has changed
    assert repr(latch).endswith(": value=1>")
    latch.count_down()
    assert latch.wait() and latch.wait(0)
    assert Latch(0).wait()


def test_latch_waits_for_all():
    latch, done = Latch(20), []

    def work(i):
        time.sleep(0.005 * i)
        done.append(i)
        latch.count_down()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    assert latch.wait(PATIENCE)
    assert sorted(done) == list(range(20))
    for thread in threads:
        thread.join()


def test_once_is_called_once():
    once, calls, told = Once(), [], []

    def initialise():
        time.sleep(0.1)
        calls.append(1)

    def use():
        told.append(once.call(initialise))
        assert calls  # done, by whichever thread

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    use()
    for thread in threads:
        thread.join()
    assert calls == [1] and sorted(told) == [False] * 8 + [True]
    assert once.call(initialise) is False


def test_once_that_raises_is_tried_again():
    once, calls = Once(), []

    def fail():
        calls.append("fail")
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            once.call(fail)
    assert once.call(lambda: calls.append("done")) is True
    assert once.call(fail) is False
    assert calls == ["fail", "fail", "done"]


def test_once_by_hand(in_thread):
    once = Once()
    with pytest.raises(RuntimeError):
        once.end()
    assert once.begin() is True
    with pytest.raises(DeadlockError):
        once.begin()
    with pytest.raises(DeadlockError):
        once.call(print)
    with pytest.raises(RuntimeError, match="still held"):
        once.close()
    once.end(False)
    assert in_thread(once.begin) is True  # and gone without an end
    assert once.begin() is True
    assert "begun by thread" in repr(once)
    once.end()
    assert once.begin() is False
    assert repr(once).endswith(": done>")
    once.close()
    with pytest.raises(HandleError):
        once.begin()


def test_once_from_within():
    inner, outer = Once(), Once()
    assert outer.call(lambda: inner.call(lambda: None))
    assert not inner.call(print) and not outer.call(print)
