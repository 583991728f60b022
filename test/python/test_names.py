"""The names of `threading` that the other tests do not use."""

import threading

import pytest

import interlock
from interlock import Condition, Event, Queue, RLock


def test_old_names():
    event, condition = Event(), Condition()
    assert not event.isSet()
    event.set()
    assert event.isSet()
    with condition:
        condition.notifyAll()


def test_repr_of_an_rlock_counts():
    lock, seen = RLock(), []
    assert "<unlocked" in repr(lock) and "count=0" in repr(lock)
    for count in (1, 2):
        lock.acquire()
        assert "<locked" in repr(lock) and f"count={count}" in repr(lock)
    thread = threading.Thread(target=lambda: seen.append(repr(lock)))
    thread.start()
    thread.join()
    assert "count=2" in seen[0]
    lock.release()
    assert "count=1" in repr(lock)
    lock.release()
    lock.close()
    assert "closed" in repr(lock)


CLOSED_BY_WITH = {
    "Barrier": lambda: interlock.Barrier(2),
    "Counter": lambda: interlock.Counter(0),
    "Event": interlock.Event,
    "Latch": lambda: interlock.Latch(1),
    "Local": interlock.Local,
    "LockArray": lambda: interlock.LockArray(3),
    "Once": interlock.Once,
    "Tally": interlock.Tally,
    "Queue": lambda: Queue(1),
}


@pytest.mark.parametrize("new", CLOSED_BY_WITH.values(), ids=CLOSED_BY_WITH)
def test_a_with_closes(new):
    with new() as thing:
        assert not thing.closed
    assert thing.closed
    with pytest.raises(KeyError), new() as thing:
        raise KeyError
    assert thing.closed


def test_an_exception_is_not_replaced_by_a_close_that_fails():
    locks = interlock.LockArray(2)
    with pytest.raises(KeyError), locks:
        locks.acquire(0)
        raise KeyError
    assert not locks.closed  # it is held
    locks.release(0)
    with pytest.raises(RuntimeError, match="still held"), locks:
        locks.acquire(1)
    locks.release(1)
    locks.close()


def test_who_waits_is_told_when_a_with_closes_its_queue():
    told = []

    def take(queue):
        with pytest.raises(interlock.ShutDown):
            queue.get()
        told.append(True)

    with Queue(1) as queue:
        thread = threading.Thread(target=take, args=(queue,))
        thread.start()
    thread.join()
    assert told
