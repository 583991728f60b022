"""The standard library with our locks instead of its own."""

import _thread
import concurrent.futures
import logging
import queue
import threading
import time

import pytest

import interlock
from conftest import PATIENCE, until_waiting


@pytest.fixture
def ours(monkeypatch):
    for name in ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"):
        monkeypatch.setattr(threading, name, getattr(interlock, name))


def test_queue(ours):
    q, got = queue.Queue(3), []
    assert isinstance(q.mutex, interlock.Lock) and isinstance(q.not_empty, interlock.Condition)

    def consume():
        for item in iter(q.get, None):
            got.append(item)
            q.task_done()
        q.task_done()

    threads = [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    for item in [*range(500), None, None, None]:
        q.put(item)
    q.join()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(got) == list(range(500))
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)


def test_executor(ours):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert list(executor.map(lambda x: x * x, range(200))) == [x * x for x in range(200)]
        stop = interlock.Event()
        future = executor.submit(stop.wait)
        assert isinstance(future._condition, interlock.Condition)
        with pytest.raises(concurrent.futures.TimeoutError):
            future.result(timeout=0.02)
        stop.set()
        assert future.result(timeout=PATIENCE) is True
        done, rest = concurrent.futures.wait([executor.submit(pow, 2, 3)], timeout=PATIENCE)
        assert not rest and done.pop().result() == 8


def test_threads_and_timers(ours):
    seen = []
    timer = threading.Timer(0.01, seen.append, (1,))
    timer.start()
    timer.join(PATIENCE)
    assert seen == [1]
    cancelled = threading.Timer(60, seen.append, (2,))
    cancelled.start()
    cancelled.cancel()
    cancelled.join(PATIENCE)
    assert seen == [1] and not cancelled.is_alive()


def test_condition_of_the_library_on_our_locks():
    for new in (interlock.Lock, interlock.RLock, interlock.Mutex):
        condition, items = threading.Condition(new()), []

        def produce(condition=condition, items=items):
            with condition:
                items.append(1)
                condition.notify_all()

        timer = threading.Timer(0.05, produce)
        timer.start()
        with condition:
            assert condition.wait_for(lambda items=items: items, timeout=PATIENCE)
        timer.join()


@pytest.mark.parametrize("new", [interlock.RLock, interlock.Mutex])
def test_ctrl_c_while_a_condition_of_the_library_reacquires_our_lock(new):
    """It ended the reacquire: the end of the block then raised a RuntimeError, because the lock was not held."""
    lock, waits, is_held = new(), threading.Event(), []
    condition = threading.Condition(lock)

    def hold():
        waits.wait()
        with condition:
            is_held.append(1)
            until_waiting(lock)
            _thread.interrupt_main()
            time.sleep(0.1)  # longer than a slice

    thread = threading.Thread(target=hold)
    thread.start()
    with pytest.raises(KeyboardInterrupt), condition:
        waits.set()
        while not is_held:
            condition.wait(0.01)
    thread.join()
    assert not lock.locked()


@pytest.mark.filterwarnings("error")
def test_a_condition_of_the_library_whose_lock_had_a_dead_owner(in_thread):
    """The warning may be an error, which comes with the lock held, as from any wait."""
    lock = interlock.Mutex()
    condition = threading.Condition(lock)
    with condition:
        state = condition._release_save()
        in_thread(lock.acquire)
        with pytest.raises(interlock.OwnerDiedWarning):
            condition._acquire_restore(state)
        assert lock.locked()
    assert not lock.locked()


def test_logging_with_our_lock():
    handler = logging.StreamHandler()
    handler.lock = interlock.RLock()
    with handler.lock:
        handler.acquire()
        handler.release()
