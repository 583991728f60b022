"""What `threading` has, name for name, beside what the other tests use."""

import threading

from interlock import Condition, Event, RLock


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
