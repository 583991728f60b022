"""Queues of other types than int64, in Python and in kernels."""

import pickle
import queue
import threading
from collections import deque
from fractions import Fraction

import numpy as np
import pytest
from numba import njit
from numba.core import config
from numba.core.errors import TypingError

from conftest import needs_complex
from interlock import Queue, ShutDown

POINT = np.dtype([("x", np.float64), ("n", np.int32)], align=True)
EXTREMES = {
    np.float64: [0.1, -0.0, np.inf, 1e308],
    np.float32: [0.5, -np.inf],
    np.int8: [-128, 127],
    np.uint8: [0, 255],
    np.int32: [-(2**31), 2**31 - 1],
    np.uint64: [0, 2**64 - 1],
    np.bool_: [True, False],
    np.complex64: [1 + 2j],
    np.complex128: [1e300 - 2j],
}
DTYPES = [pytest.param(dtype, marks=needs_complex) if dtype is np.complex64 else dtype for dtype in EXTREMES]


@njit(nogil=True)
def move(source, target):
    target.put(source.get())


@njit(nogil=True)
def move_record(source, target, one):
    source.get_into(one, 0)
    target.put(one[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
def test_each_number_passes_unchanged(dtype):
    source, target = Queue(4, dtype), Queue(4, dtype)
    for value in map(dtype, EXTREMES[dtype]):
        source.put(value)
        move(source, target)
        got = target.get()
        assert type(got) is dtype and got.tobytes() == value.tobytes()


def test_int64_is_the_plain_queue():
    assert type(Queue(2, np.int64)) is type(Queue(2)) is Queue
    assert isinstance(Queue(2, float), Queue)


def test_records():
    source, target, one = Queue(2, POINT), Queue(2, POINT), np.zeros(1, POINT)
    for i in range(10):  # round the ring
        source.put((i / 2, i))
        move_record(source, target, one)
        got = target.get()
        assert got.dtype == POINT and (got["x"], got["n"]) == (i / 2, i)


@pytest.mark.parametrize("dtype", [np.float64, POINT], ids=["numbers", "records"])
def test_full_empty_and_closed(dtype):
    q, item = Queue(2, dtype), np.ones(1, dtype)[0]
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    q.put(item)
    q.put_nowait(item)
    assert (q.full(), q.empty(), q.qsize(), q.capacity) == (True, False, 2, 2)
    for put in (q.put_nowait, lambda item: q.put(item, timeout=0.01)):
        with pytest.raises(queue.Full):
            put(item)
    q.close()
    q.close()
    assert q.closed
    with pytest.raises(ShutDown):
        q.put(item)
    assert q.get() == item and q.get() == item
    with pytest.raises(ShutDown):
        q.get()


@pytest.mark.parametrize("dtype", [np.float64, POINT], ids=["numbers", "records"])
def test_close_ends_a_put_that_waits(dtype):
    q, item, ends = Queue(1, dtype), np.ones(1, dtype)[0], []
    q.put(item)

    def put():
        try:
            q.put(item)
        except ShutDown:
            ends.append(1)

    thread = threading.Thread(target=put)
    thread.start()
    njit(lambda q: q.close())(q)
    thread.join()
    assert ends == [1] and q.qsize() == 1


def test_nothing_is_lost_or_doubled():
    q, n, got, lock = Queue(3, POINT), 300, [], threading.Lock()

    @njit(nogil=True)
    def produce(q, first, n, one):
        for i in range(first, first + n):
            one[0]["n"] = i
            one[0]["x"] = -i
            q.put(one[0])

    def consume():
        while True:
            try:
                item = q.get()
            except ShutDown:
                return
            assert item["x"] == -item["n"]
            with lock:
                got.append(int(item["n"]))

    produce(q, 0, 0, np.zeros(1, POINT))
    producers = [threading.Thread(target=produce, args=(q, k * n, n, np.zeros(1, POINT))) for k in range(3)]
    consumers = [threading.Thread(target=consume) for _ in range(2)]
    for thread in producers + consumers:
        thread.start()
    for thread in producers:
        thread.join()
    q.close()
    for thread in consumers:
        thread.join()
    assert sorted(got) == list(range(3 * n))


@pytest.mark.parametrize("dtype", [np.float64, POINT], ids=["numbers", "records"])
@pytest.mark.parametrize("state", ["open", "closed"])
def test_an_item_is_put_back(dtype, state):
    # What get() does when a signal handler raises just as it has an item.
    q, item = Queue(2, dtype), np.ones(1, dtype)
    if state == "closed":
        q.close()
    q._put_back(q._bits(item) if dtype is np.float64 else item)
    assert q.qsize() == 1 and q.get() == item[0]


class Taken(deque):
    """What get() finds in the place of items that were put back: none, because another thread took them a moment ago."""

    def __bool__(self):
        return not self.seen

    def popleft(self):
        self.seen = True
        self.queue.put(self.item)
        raise IndexError


@pytest.mark.parametrize(
    "dtype, item", [(np.int64, 3), (np.float64, 2.5), (POINT, (0.5, 2))], ids=["integers", "numbers", "records"]
)
def test_an_item_that_another_thread_took_does_not_change_the_next(dtype, item):
    # get() called itself then: the method of a queue of numbers, and of a subclass, converted the item twice.
    q = Queue(1, dtype)
    q._returned, q._only_python = Taken(), 1
    q._returned.queue, q._returned.item, q._returned.seen = q, item, False
    got = q.get()
    assert q._returned.seen and got == np.array([item], dtype)[0]


@pytest.mark.parametrize("dtype", [np.longdouble, np.clongdouble])
@pytest.mark.parametrize("value", [np.longdouble(1) / 3, 2**64 - 1, np.uint64(2**64 - 1), 0.1, Fraction(1, 2), True])
def test_a_long_double_keeps_its_digits(dtype, value):
    q = Queue(1, dtype)
    q.put(value)
    exact = np.longdouble(0.5 if isinstance(value, Fraction) else value)
    assert q.get() == exact
    if dtype is np.clongdouble:
        q.put(dtype(exact) * 1j)
        assert q.get().imag == exact


def test_misuse():
    for dtype in (object, ">f8", "U3", "M8[s]", (float, 3)):
        with pytest.raises(TypeError, match="cannot hold"):
            Queue(2, dtype)
    for value in (128, -129):
        with pytest.raises(OverflowError):
            Queue(1, np.int8).put(value)
    with pytest.raises(TypeError):
        Queue(1, np.int8).put(1.5)
    with pytest.raises(TypeError, match="this queue holds"):
        Queue(1, POINT).put(np.zeros(1, [("y", float)])[0])
    with pytest.raises(ValueError):
        Queue(0, float)
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(Queue(1, float))
    assert repr(Queue(2, float)).endswith(": items=0/2, dtype=float64>")


@pytest.mark.parametrize("dtype, item", [(np.float64, 1.5), (POINT, (1.5, 2))], ids=["numbers", "records"])
def test_get_into_what_cannot_hold_the_item_removes_none(dtype, item):
    """A read-only array lost the item; None for an index filled the whole array."""
    q = Queue(2, dtype)
    q.put(item)
    read_only = np.zeros(2, dtype)
    read_only.flags.writeable = False
    for out, i, error in (
        (read_only, 0, ValueError),
        ([0.0], 0, TypeError),
        (np.zeros(2, np.int8), 0, TypeError),
        (np.zeros((2, 2), dtype), 0, TypeError),
        (np.zeros(2, dtype), 2, IndexError),
        (np.zeros(2, dtype), None, TypeError),
        (np.zeros(2, dtype), slice(2), TypeError),
        (np.zeros(2, dtype), 0.0, TypeError),
    ):
        with pytest.raises(error):
            q.get_into(out, i, block=False)
        assert q.qsize() == 1
    out = np.zeros(2, dtype)
    q.get_into(out, -1)
    assert q.empty() and out[1].item() == item and out[0] == np.zeros(1, dtype)[0]


@pytest.mark.parametrize(
    "dtype, bad",
    [
        (np.float64, ["1", b"1", None, 1j, bytearray(b"1"), np.array("1"), np.timedelta64(1, "ns")]),
        (np.float32, ["1", b"1", None, memoryview(b"1"), np.timedelta64(1)]),
        (np.bool_, ["", "False", None, [], 0.5, 1j]),
        pytest.param(np.complex128, ["1", b"1", None, np.timedelta64(1, "ns")], marks=needs_complex),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_is_no_number_is_refused(dtype, bad):
    """Text was parsed, any object was a truth value, and None a complex NaN."""
    q = Queue(4, dtype)
    for item in bad:
        with pytest.raises(TypeError):
            q.put(item)
    assert q.empty()
    q.put(True)
    q.put(np.bool_(False))
    q.put(1)
    assert [q.get(), q.get(), q.get()] == [1, 0, 1]


def test_a_capacity_that_changes():
    """It was asked for several times, and a constructor that got different values waited forever."""

    class Capacity:
        n = 2

        def __index__(self):
            self.n += 1
            return self.n

    q = Queue(Capacity(), [("n", np.int32)])
    for i in range(q.capacity):
        q.put((i,), block=False)
    assert q.full() and q.capacity == 3


def test_a_subclass_with_a_dtype_is_refused():
    """It ignored the dtype, and was a queue of int64."""

    class Mine(Queue):
        pass

    for dtype in (np.uint8, np.float64, POINT):
        with pytest.raises(TypeError, match="a Mine holds int64"):
            Mine(2, dtype)
    for mine in Mine(2), Mine(2, None), Mine(2, np.int64):
        mine.put(300)
        assert mine.get() == 300


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="asks what is compiled")
def test_mistakes_in_kernels():
    with pytest.raises(TypingError, match="get_into"):
        njit(lambda q: q.get())(Queue(1, POINT))
    with pytest.raises(TypingError, match="convert the item first"):
        njit(lambda q: q.put(1.5))(Queue(1, np.int8))
    with pytest.raises(TypingError, match="one dimension"):
        njit(lambda q, a: q.get_into(a, 0))(Queue(1, POINT), np.zeros(1))
    with pytest.raises(IndexError):
        njit(lambda q, a: q.get_into(a, 1))(Queue(1, POINT), np.zeros(1, POINT))


def test_an_item_out_of_range_is_refused_by_a_kernel_too():
    @njit
    def put(q, x):
        q.put(x)

    for dtype, good, bad in (np.int8, -128, 128), (np.uint8, 255, -1), (np.int32, 2**31 - 1, 2**31), (np.uint16, 0, 2**16):
        q = Queue(2, dtype)
        put(q, good)
        for function in (put, put.py_func):
            with pytest.raises(OverflowError):
                function(q, bad)
        assert q.qsize() == 1 and q.get() == good
    if not config.DISABLE_JIT:
        with pytest.raises(TypingError, match="convert the item first"):
            put(Queue(2, np.uint64), -1)
        with pytest.raises(TypingError, match="convert the item first"):
            put(Queue(2, np.int32), np.uint64(1))
