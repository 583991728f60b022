"""Queue from Python."""

import ctypes
import queue
import sys
import threading
import time

import pytest

import interlock
from conftest import PATIENCE, until_waiting
from interlock import Queue, ShutDown, capi


def test_first_in_first_out():
    q = Queue(3)
    assert (q.qsize(), q.empty(), q.full(), q.capacity) == (0, True, False, 3)
    for item in (7, -(2**63), 2**63 - 1):
        q.put(item)
    assert (q.qsize(), q.empty(), q.full()) == (3, False, True)
    assert [q.get() for _ in range(3)] == [7, -(2**63), 2**63 - 1]


def test_full_and_empty(in_thread):
    q = Queue(1)
    for get in (q.get_nowait, lambda: q.get(False), lambda: q.get(timeout=0), lambda: q.get(timeout=0.01)):
        with pytest.raises(queue.Empty):
            get()
        assert in_thread(lambda get=get: raised(get)) is queue.Empty
    q.put(1)
    for put in (
        q.put_nowait,
        lambda i: q.put(i, False),
        lambda i: q.put(i, timeout=0),
        lambda i: q.put(i, block=True, timeout=0.01),
    ):
        with pytest.raises(queue.Full):
            put(2)
        assert in_thread(lambda put=put: raised(put, 2)) is queue.Full
    assert q.get_nowait() == 1
    q.put_nowait(3)
    assert q.get(timeout=5) == 3


def raised(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("timeout", [0.02, 0.13])
def test_timeout_is_not_early(timeout):
    q = Queue(1)
    start = time.perf_counter()
    with pytest.raises(queue.Empty):
        q.get(timeout=timeout)
    assert time.perf_counter() - start >= timeout
    q.put(1)
    start = time.perf_counter()
    with pytest.raises(queue.Full):
        q.put(1, timeout=timeout)
    assert time.perf_counter() - start >= timeout


def test_bad_arguments():
    q = Queue(1)
    for bad in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            q.put(bad)
    with pytest.raises(TypeError):
        q.put("item")
    with pytest.raises(ValueError):
        q.get(timeout=-1)
    q.put(1)
    with pytest.raises(ValueError):
        q.put(1, timeout=-1)
    with pytest.raises(OverflowError):
        q.put(1, timeout=1e100)


def test_close(in_thread):
    q = Queue(4)
    q.put(1)
    q.put(2)
    assert not q.closed
    q.close()
    q.close()
    assert q.closed and q.handle
    assert repr(q).endswith(": items=2/4, closed>")
    for put in (q.put, q.put_nowait):
        with pytest.raises(ShutDown):
            put(3)
    assert (q.get(), q.get_nowait()) == (1, 2)
    for get in (q.get, q.get_nowait, lambda: q.get(timeout=1)):
        with pytest.raises(ShutDown, match="closed"):
            get()
        assert in_thread(lambda get=get: raised(get)) is ShutDown


def test_the_exception_is_pythons_where_it_has_one():
    assert sys.version_info < (3, 13) or ShutDown is queue.ShutDown
    assert issubclass(ShutDown, Exception)
    if sys.version_info >= (3, 13):
        assert queue.ShutDown.__module__ == "queue"  # it was not renamed


def test_close_ends_waits():
    getter, putter = Queue(1), Queue(1)
    putter.put(0)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(raised(getter.get))),
        threading.Thread(target=lambda: results.append(raised(putter.put, 1))),
    ]
    for thread in threads:
        thread.start()
    until_waiting(getter)
    until_waiting(putter)
    getter.close()
    putter.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [ShutDown] * 2


def test_waits_go_on():
    q = Queue(1)
    threading.Timer(0.12, q.put, (5,)).start()
    assert q.get() == 5
    q.put(6)
    threading.Timer(0.12, q.get).start()
    q.put(7)
    assert q.get(timeout=PATIENCE) == 7


def test_with_those_who_have_the_handle():
    q = Queue(2)
    item = ctypes.c_int64()
    q.put(-5)
    assert capi.ilk_queue_get(q.handle, ctypes.byref(item)) == 0 and item.value == -5
    assert capi.ilk_queue_put(q.handle, 9) == 0
    assert q.get() == 9
    assert capi.ilk_queue_close(q.handle) == 0
    assert q.closed


def test_nothing_is_lost_or_doubled():
    q, got, lock = Queue(3), [], threading.Lock()

    def produce(base):
        for i in range(500):
            q.put(base + i)

    def consume():
        while True:
            try:
                item = q.get()
            except ShutDown:
                return
            with lock:
                got.append(item)

    producers = [threading.Thread(target=produce, args=(base,)) for base in (0, 1000, 2000)]
    consumers = [threading.Thread(target=consume) for _ in range(2)]
    for thread in producers + consumers:
        thread.start()
    for thread in producers:
        thread.join()
    q.close()
    for thread in consumers:
        thread.join()
    assert sorted(got) == [base + i for base in (0, 1000, 2000) for i in range(500)]


@pytest.mark.parametrize("state", ["open", "full", "closed"])
def test_an_item_is_put_back(state):
    # What get() does when a signal handler raises just as it has an item.
    q = Queue(2)
    q.put(1)
    q.put(2)
    item = q.get()
    if state == "full":
        q.put(3)
    elif state == "closed":
        q.close()
    q._put_back(item)
    expected = {"open": [2, 1], "full": [1, 2, 3], "closed": [1, 2]}[state]
    assert q.qsize() == len(expected) and not q.empty()
    assert [q.get_nowait() for _ in expected] == expected
    assert raised(q.get_nowait) is (ShutDown if state == "closed" else queue.Empty)


def test_repr():
    q = Queue(5)
    q.put(1)
    assert repr(q).endswith(": items=1/5>")
    assert interlock.Queue.__name__ in repr(q)
