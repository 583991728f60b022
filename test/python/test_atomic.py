"""interlock.atomic, from Python and in kernels, against numpy."""

import ctypes
import functools
import inspect
import itertools
import mmap
import re
import sys
import threading
import time

import numpy as np
import pytest
from numba import njit, prange, typeof
from numba.core.errors import TypingError

import interlock._numba
from conftest import PATIENCE
from interlock import atomic, nb

interlock._numba.init()

INTEGERS = [np.dtype(f"{sign}{size}") for sign in "iu" for size in (1, 2, 4, 8)]
HALF, FLOATS = np.dtype("f2"), [np.dtype("f4"), np.dtype("f8")]
BOOL = np.dtype(bool)
DTYPES = [*INTEGERS, HALF, *FLOATS, BOOL]
REFUSED = [np.dtype(name) for name in ("c8", "c16", "M8[s]", "m8[s]", "i4,i4")]
OPERATIONS = [name for name in atomic.__all__ if name != "fence"]
ORDERS = ["relaxed", "acquire", "release", "acq_rel", "seq_cst"]

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_operation = pytest.mark.parametrize("name", OPERATIONS)


def arguments(name):
    return [p for p in inspect.signature(getattr(atomic, name)).parameters if p != "order"]


@functools.cache
def kernel(name, order=None, **options):
    """atomic.name, called in a kernel."""
    given = ", ".join(arguments(name))
    scope = {"atomic": atomic}
    exec(f"def call({given}): return atomic.{name}({given}{f', order={order!r}' if order else ''})", scope)
    return njit(nogil=True, **options)(scope["call"])


def in_world(world, name):
    return kernel(name) if world == "kernel" else getattr(atomic, name)


each_world = pytest.mark.parametrize("world", ["python", "kernel"])


def values_of(dtype):
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind == "f":
        limit = np.finfo(dtype).max
        return [0.0, -0.0, 1.5, -2.25, float(limit), float("inf"), float("-inf"), float("nan")]
    limits = np.iinfo(dtype)
    return sorted({limits.min, limits.max, limits.max // 2, 0, 1, 5, *([-1, -6] if limits.min else [])})


EXPECTED = {
    "add": lambda old, v: old + v,
    "sub": lambda old, v: old - v,
    "and_": lambda old, v: old & v,
    "or_": lambda old, v: old | v,
    "xor": lambda old, v: old ^ v,
    "min": np.minimum,
    "max": np.maximum,
    "nanmin": np.fmin,
    "nanmax": np.fmax,
    "inc": lambda old, v: old * 0 if old >= v else old + old.dtype.type(1),
    "dec": lambda old, v: v if old == 0 or old > v else old - old.dtype.type(1),
    "exch": lambda old, v: v,
    "store": lambda old, v: v,
    "load": lambda old: old,
    "cas": lambda old, expected, v: v if old == expected else old,
}


def same(a, b):
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


@each_world
@each_dtype
@each_operation
def test_each_operation_as_numpy(world, dtype, name):
    if dtype.kind not in atomic.OPERATIONS[name].kinds or (dtype == HALF and world == "kernel"):
        with pytest.raises(TypingError if world == "kernel" else TypeError, match=f"atomic.{name} does not work on"):
            in_world(world, name)(np.zeros(1, dtype), *[0] * (len(arguments(name)) - 1))
        return
    call, expected = in_world(world, name), EXPECTED[name]
    some = [dtype.type(v) for v in values_of(dtype)]
    array = np.empty(3, dtype)
    for old, *operands in itertools.product(some, repeat=len(arguments(name)) - 1):
        array[:] = some[-1], old, some[1]
        result = call(array, 1, *operands)
        with np.errstate(all="ignore"):
            wanted = expected(old, *operands)
        assert same(array, np.array([some[-1], wanted, some[1]], dtype)), (old, operands)
        if name == "store":
            assert result is None
            continue
        assert same(dtype.type(result), old), (old, operands)
        if world == "python":
            assert type(result) is dtype.type
        if name == "cas":
            assert (result == operands[0]) == (old == operands[0])


def test_zeros_are_equal_and_keep_their_sign():
    for world, name in itertools.product(["python", "kernel"], ["min", "max", "nanmin", "nanmax"]):
        array = np.array([0.0, -0.0])
        in_world(world, name)(array, 0, -0.0)
        in_world(world, name)(array, 1, 0.0)
        assert np.signbit(array).tolist() == [False, True]


@pytest.mark.parametrize("name", ["min", "max", "nanmin", "nanmax", "cas"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_fastmath_changes_no_comparison(dtype, name):
    """A comparison with fastmath may take for granted that nothing is a NaN or infinite."""
    call = kernel(name, fastmath=True)
    some = [dtype.type(v) for v in values_of(dtype)]
    for old, *operands in itertools.product(some, repeat=len(arguments(name)) - 1):
        array = np.array([old])
        call(array, 0, *operands)
        assert same(array, np.array([EXPECTED[name](old, *operands)], dtype)), (old, operands)


def test_fastmath_and_a_place_that_is_infinite_until_taken():
    @njit(fastmath=True)
    def take(places, value):
        return atomic.cas(places, 0, np.inf, value)

    places = np.full(1, np.inf)
    assert take(places, 1.5) == np.inf
    assert places[0] == 1.5


def test_halfs_add_as_numpy():
    """Each bit pattern with some others; numpy rounds once, from the sum of floats."""
    array = np.empty(1, HALF)
    halfs = np.arange(2**16, dtype=np.uint16).view(HALF)
    with np.errstate(all="ignore"):
        for value in np.array([1, 6e-8, -3e-5, 6.104e-5, 0.3333, -1000, 65504], HALF):
            for old, total, difference in list(zip(halfs, halfs + value, halfs - value))[::7]:
                for name, wanted in (("add", total), ("sub", difference)):
                    array[0] = old
                    getattr(atomic, name)(array, 0, value)
                    assert same(array[0], wanted), (name, old, value)


def test_why_kernels_have_no_halfs():
    """When Numba supports them, this fails, and interlock must too."""
    with pytest.raises(NotImplementedError, match="float16"):
        njit(lambda array: len(array))(np.zeros(1, HALF))


@each_world
@pytest.mark.parametrize("dtype", [HALF, *FLOATS], ids=str)
def test_what_is_stored_keeps_its_bits(world, dtype):
    """A NaN's payload, where no arithmetic is done."""
    if dtype == HALF and world == "kernel":
        pytest.skip("Numba has no float16")
    bits = np.dtype(f"u{dtype.itemsize}")
    payload = np.array([{2: 0x7E12, 4: 0x7FC00123, 8: 0x7FF8000000000123}[dtype.itemsize]], bits).view(dtype)[0]
    for name in ("store", "exch", "min", "max"):
        array = np.ones(1, dtype)
        in_world(world, name)(array, 0, payload)
        assert array.view(bits)[0] == np.array(payload).view(bits)


# --- indices ---------------------------------------------------------------------------------------------------------


LAYOUTS = {
    "0-d": lambda: np.zeros(()),
    "1-d": lambda: np.zeros(5),
    "strided": lambda: np.zeros(15)[::3],
    "reversed": lambda: np.zeros(5)[::-1],
    "C": lambda: np.zeros((2, 3, 4)),
    "Fortran": lambda: np.zeros((2, 3, 4), order="F"),
    "transposed slice": lambda: np.zeros((5, 6, 7))[1:4, ::-2, 2:].T,
    "repeated": lambda: np.lib.stride_tricks.as_strided(np.zeros(3), (4, 3), (0, 8)),
}


@each_world
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
def test_every_element_of_every_layout(world, layout, dtype):
    like = LAYOUTS[layout]()
    base = np.zeros(400, dtype)
    step = like.itemsize // base.itemsize
    array = np.lib.stride_tricks.as_strided(base[200:], like.shape, [s // step for s in like.strides])
    wanted = base.copy()
    expected = np.lib.stride_tricks.as_strided(wanted[200:], like.shape, [s // step for s in like.strides])
    add = in_world(world, "add")
    for n, index in enumerate(np.ndindex(like.shape)):
        negative = tuple(i - size for i, size in zip(index, like.shape))
        for form in (index, negative) + ((index[0], negative[0]) if like.ndim == 1 else ()):
            expected[index] += n % 7
            add(array, form, n % 7)
    assert np.array_equal(base, wanted)  # and nothing beside it


@each_world
def test_any_integer_is_an_index(world):
    array = np.zeros((3, 3), np.int64)
    for kind in (np.int8, np.uint8, np.int32, np.uint32, np.intp, np.uintp):
        in_world(world, "add")(array, (kind(2), 1), 1)
        in_world(world, "add")(array[0], kind(1), 1)
    assert array.sum() == 12 and array[2, 1] == array[0, 1] == 6


@each_operation
def test_out_of_range_is_an_index_error(name):
    """In a kernel that checks bounds, as for any access; from Python always."""
    checked = kernel(name, boundscheck=True)
    for shape, bad in [((3,), 3), ((3,), -4), ((2, 2), (0, 2)), ((2, 2), (-3, 0)), ((0,), 0)]:
        array = np.zeros(shape, np.int16)
        for call in (checked, getattr(atomic, name)):
            with pytest.raises(IndexError):
                call(array, bad, *[1] * (len(arguments(name)) - 2))
        assert not array.any()
    checked(np.zeros(3, np.int16), -3, *[1] * (len(arguments(name)) - 2))


@each_world
@pytest.mark.parametrize("index", [0.0, (0, 0), (), None, slice(1), "0", (0.0,)], ids=repr)
def test_only_integers_lead_to_an_element(world, index):
    with pytest.raises(TypingError if world == "kernel" else (TypeError, IndexError)):
        in_world(world, "add")(np.zeros(3), index, 1)


# --- what is rejected --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REFUSED, ids=str)
@each_operation
def test_other_types_are_refused(dtype, name):
    array = np.zeros(2, dtype)
    values = [1] * (len(arguments(name)) - 2)
    with pytest.raises(TypeError, match=f"atomic.{name} does not work on arrays of"):
        getattr(atomic, name)(array, 0, *values)
    with pytest.raises(TypingError, match=f"atomic.{name} does not work on arrays of"):
        kernel(name)(array, 0, *values)


@pytest.mark.skipif(np.dtype(np.longdouble) == np.float64, reason="a long double is a double here")
def test_long_doubles_are_refused():
    with pytest.raises(TypeError, match="does not work"):
        atomic.add(np.zeros(2, np.longdouble), 0, 1)


def test_a_foreign_byte_order_is_refused():
    with pytest.raises(TypeError, match="does not work"):
        atomic.add(np.zeros(2, np.dtype("i4").newbyteorder()), 0, 1)


@each_world
@pytest.mark.parametrize("other", [[1, 2], 5, None, (1,), memoryview(bytearray(8))], ids=lambda other: type(other).__name__)
def test_only_arrays(world, other):
    with pytest.raises(TypingError if world == "kernel" else TypeError):
        in_world(world, "load")(other, 0)


@each_operation
def test_read_only_arrays_can_only_be_loaded(name):
    array = np.zeros(2)
    if name in ("and_", "or_", "xor", "inc", "dec"):
        array = np.zeros(2, int)
    values = [1] * (len(arguments(name)) - 2)
    for read_only in (array[:], np.broadcast_to(array, (2, 2))):
        read_only.flags.writeable = False
        index = (0,) * read_only.ndim
        if name == "load":
            assert atomic.load(read_only, index) == kernel("load")(read_only, index) == 0
            continue
        with pytest.raises(ValueError, match="read-only"):
            getattr(atomic, name)(read_only, index, *values)
        with pytest.raises(TypingError, match="read-only"):
            kernel(name)(read_only, index, *values)


@each_operation
@pytest.mark.parametrize("dtype", ["i2", "i4", "u8"])
def test_misaligned_arrays_are_refused(name, dtype):
    array = np.zeros(99, np.uint8)[1 : 1 + 4 * np.dtype(dtype).itemsize].view(dtype)
    assert not array.flags.aligned
    values = [1] * (len(arguments(name)) - 2)
    for world in ("python", "kernel"):
        with pytest.raises(ValueError, match="misaligned"):
            in_world(world, name)(array, 0, *values)
    assert not array.any()


def test_fields_of_records():
    """Only their addresses count, not whether the record is padded as C would pad it."""

    @njit
    def count(records):
        return atomic.add(records.flag, 1, 2), atomic.add(records.count, 1, 2)

    fields = [("flag", "u1"), ("count", "i8")]
    for good in (np.dtype(fields, align=True), np.dtype([("flag", "i8"), ("count", "i8")])):
        records = np.zeros(4, good)
        assert count(records) == (0, 0)
        assert records["count"].tolist() == records["flag"].tolist() == [0, 2, 0, 0]
    records = np.zeros(4, np.dtype(fields))
    with pytest.raises(ValueError, match="misaligned"):
        count(records)
    assert records["flag"].tolist() == [0, 2, 0, 0] and not records["count"].any()


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_values_that_do_not_fit(dtype):
    """OverflowError from Python, as in numpy 2; cast in a kernel, as in an assignment there."""
    limits, array = np.iinfo(dtype), np.zeros(1, dtype)
    for bad in (limits.max + 1, limits.min - 1, 2**70):
        with pytest.raises(OverflowError):
            atomic.add(array, 0, bad)
    for bad in (1.0, "1", None, 1j, [1], np.zeros(2, int)):
        with pytest.raises(TypeError):
            atomic.add(array, 0, bad)
    assert array[0] == 0
    if dtype.itemsize < 8:
        kernel("store")(array, 0, limits.max + 1)
        assert array[0] == limits.min
    kernel("store")(array, 0, 3.75)
    assert array[0] == 3


def test_float_values():
    array = np.zeros(1, np.float32)
    atomic.store(array, 0, 1e300)
    assert array[0] == np.inf
    atomic.store(array, 0, -1e300)
    assert array[0] == -np.inf
    for good in (True, np.int8(1), np.float64(1), 1):
        atomic.store(array, 0, good)
        assert array[0] == 1
    texts = ("1", b"1", bytearray(b"1"), memoryview(b"1"), np.array("1"), np.void(b"1"))  # were parsed
    durations = (np.timedelta64(1, "ns"), np.timedelta64(1), np.timedelta64(1, "s"))  # were numbers, whatever their unit
    for bad in (*texts, *durations, 1j, None, [1.0]):
        with pytest.raises(TypeError):
            atomic.store(array, 0, bad)
    for bad in ("1", 1j, None, (1.0,)):
        with pytest.raises(TypingError):
            kernel("store")(array, 0, bad)


# --- memory orders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@each_operation
def test_orders(name, order):
    array, values = np.zeros(2, np.int32), [1] * (len(arguments(name)) - 2)
    if order not in atomic.OPERATIONS[name].orders:
        with pytest.raises(ValueError, match="order must be one of"):
            getattr(atomic, name)(array, 0, *values, order=order)
        with pytest.raises(TypingError, match="order must be one of"):
            kernel(name, order)(array, 0, *values)
        return
    assert getattr(atomic, name)(array, 0, *values, order=order) == kernel(name, order)(array, 1, *values)
    assert array[0] == array[1]


def test_no_load_releases_and_no_store_acquires():
    assert "release" not in atomic.OPERATIONS["load"].orders and "acq_rel" not in atomic.OPERATIONS["load"].orders
    assert "acquire" not in atomic.OPERATIONS["store"].orders and "acq_rel" not in atomic.OPERATIONS["store"].orders
    assert "relaxed" not in atomic.OPERATIONS["fence"].orders


def test_order_must_be_a_known_literal():
    @njit
    def variable(array, order):
        return atomic.load(array, 0, order)

    with pytest.raises(TypingError, match="order must be a string literal"):
        variable(np.zeros(1), "relaxed")
    for bad in ("consume", "", None, 5):
        with pytest.raises(ValueError, match="order must be one of"):
            atomic.load(np.zeros(1), 0, bad)


def test_keywords_and_positions():
    @njit
    def work(a):
        atomic.add(index=0, value=2, array=a)
        atomic.add(a, 0, 3, "relaxed")
        atomic.cas(a, value=7, old=5, index=0, order="acq_rel")
        return atomic.load(a, 0, "acquire"), atomic.load(a, order="relaxed", index=0)

    for form in (work, work.py_func):
        assert form(np.zeros(1)) == (7, 7)


def ir_of(function, *args):
    """The IR of the kernel, and of nothing else in its module."""
    function(*args)
    compiled = function.overloads[tuple(map(typeof, args))]
    text = compiled.library.get_llvm_str()
    return next(f for f in re.findall(r"^define .*?^}", text, re.M | re.S) if compiled.fndesc.mangled_name in f[:400])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["u2", "i8", "f4"])
def test_inlined_with_the_order_that_was_asked_for(dtype, order):
    """The machine code: if the processor has no such instruction, LLVM has made a loop."""
    llvm = {"relaxed": "monotonic"}.get(order, order)
    after_failure = {"release": "monotonic", "acq_rel": "acquire"}.get(llvm, llvm)
    swap = rf"cmpxchg .* {llvm} {after_failure}\b"
    array = np.zeros(2, dtype)
    for name in OPERATIONS:
        operation = atomic.OPERATIONS[name]
        if order not in operation.orders or array.dtype.kind not in operation.kinds:
            continue
        text = ir_of(kernel(name, order), array, 0, *[1] * (len(arguments(name)) - 2))
        one = {
            "load": rf"load atomic .* {llvm}, align",
            "store": rf"store atomic .* {llvm}, align",
            "cas": swap,
            "exch": rf"atomicrmw xchg .* {llvm}\b|{swap}",
        }.get(name, rf"atomicrmw f?{name.rstrip('_')} .* {llvm}\b|{swap}")
        assert len(re.findall(one, text)) == 1, (name, text)
        assert not re.search(r"\b(call|invoke)\b(?!.*@(llvm|NRT))", text), (name, text)


@pytest.mark.parametrize("order", ORDERS[1:])
def test_fence(order):
    @njit
    def default():
        atomic.fence()

    assert "fence seq_cst" in ir_of(default)
    scope = {"atomic": atomic}
    exec(f"def fence(): atomic.fence({order!r})", scope)
    assert f"fence {order}" in ir_of(njit(scope["fence"]))
    assert atomic.fence(order) is None
    assert atomic.fence(order=order) is None
    with pytest.raises(ValueError, match="order must be one of"):
        atomic.fence("relaxed")


# --- together --------------------------------------------------------------------------------------------------------------


def together(*functions):
    """Runs each in its own thread, all at once."""
    gate, errors = threading.Barrier(len(functions)), []

    def run(function):
        gate.wait(PATIENCE)
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors, errors
    assert not any(thread.is_alive() for thread in threads)


@njit(nogil=True)
def hammer(total, extremes, counted, sign, n):
    for i in range(1, n + 1):
        atomic.add(total, 0, 3)
        atomic.sub(total, (0,), 1)
        atomic.max(extremes, 0, i * sign)
        atomic.min(extremes, 1, i * sign)
        atomic.inc(counted, 0, 9)
        atomic.dec(counted, 1, 6)
        seen = atomic.load(counted, 2)
        while True:
            was = seen
            seen = atomic.cas(counted, 2, was, was ^ 1)
            if seen == was:
                break


@pytest.mark.parametrize("dtype", ["i2", "u4", "i8", "u8", "f4", "f8"])
def test_no_update_is_lost(dtype):
    """Four kernels, and Python in between."""
    total, n = np.zeros(1, dtype), 20_000
    extremes, counted = np.zeros(2, np.float64), np.zeros(3, np.uint8)
    hammer(total, extremes, counted, 1, 0)

    def from_python():
        for i in range(1, 501):
            atomic.add(total, 0, 2)
            atomic.inc(counted, 0, 9)
            atomic.dec(counted, 1, 6)
            atomic.xor(counted, 2, 1)
            atomic.max(extremes, 0, i)

    together(*[lambda s=s: hammer(total, extremes, counted, s, n) for s in (1, -1, 1, -1)], from_python)
    assert total[0] == np.array(4 * n * 2 + 1000).astype(dtype)
    assert extremes.tolist() == [n, -n]
    assert counted.tolist() == [(4 * n + 500) % 10, -(4 * n + 500) % 7, (4 * n + 500) % 2]


@pytest.mark.parametrize("dtype", ["u1", "i2"])
def test_neighbours_in_a_word_do_not_disturb_each_other(dtype):
    array = np.zeros(16, dtype)

    @njit(nogil=True)
    def fill(array, k, n):
        lost = 0
        for i in range(n):
            if atomic.exch(array, k, i % 100) != (i - 1) % 100 and i:
                lost += 1
            atomic.add(array, k, 0)
        return lost

    fill(array, 0, 0)
    lost = []
    together(*[lambda k=k: lost.append(fill(array, k, 100_000)) for k in range(4)])
    assert lost == [0] * 4


def test_python_gets_its_turn_against_a_hot_kernel():
    """One C call for each operation: none may starve, as a loop in Python would."""
    total, stop = np.zeros(1), np.zeros(1, np.uint8)

    @njit(nogil=True)
    def spin(total, stop):
        n = 0
        while not atomic.load(stop, 0, "relaxed"):
            atomic.add(total, 0, 1)
            n += 1
        return n

    stop[0] = 1
    spin(total, stop)
    stop[0] = 0
    counts = []

    def from_python():
        try:
            for _ in range(200):
                atomic.add(total, 0, 1)
                time.sleep(0)
        finally:
            atomic.store(stop, 0, 1)

    together(*[lambda: counts.append(spin(total, stop))] * 2, from_python)
    assert total[0] == sum(counts) + 200


@njit(nogil=True)
def until(array, value):
    """Spins until ``array[0]`` is at least that, and yields."""
    turns = 0
    while atomic.load(array, 0, "acquire") < value:
        turns += 1
        if turns % 500 == 0:
            nb.ilk_thread_yield()


@njit(nogil=True)
def store_then_load(mine, theirs, saw, rounds, arrived):
    """Dekker: of two threads that store and then load, one sees the other's store."""
    for i in range(rounds):
        atomic.store(mine, 0, i + 1)
        saw[i] = atomic.load(theirs, 0)
        atomic.add(arrived, 0, 1)
        until(arrived, 2 * (i + 1))


def test_sequentially_consistent_by_default():
    rounds = 30_000
    words = np.zeros((2, 64), np.int32)
    saw, arrived = np.zeros((2, rounds), np.int32), np.zeros(1, np.int64)
    store_then_load(words[0], words[1], saw[0], 0, arrived)
    together(*[lambda k=k: store_then_load(words[k], words[1 - k], saw[k], rounds, arrived) for k in range(2)])
    turns = np.arange(1, rounds + 1)
    assert ((saw[0] == turns) | (saw[1] == turns)).all()


@njit(nogil=True)
def send(data, flag, rounds):
    for i in range(rounds):
        data[0] = i
        data[8] = -i
        atomic.store(flag, 0, 2 * i + 1, "release")
        until(flag, 2 * i + 2)


@njit(nogil=True)
def receive(data, flag, rounds):
    wrong = 0
    for i in range(rounds):
        until(flag, 2 * i + 1)
        wrong += data[0] != i or data[8] != -i
        atomic.store(flag, 0, 2 * i + 2, "release")
    return wrong


def test_release_and_acquire_order_plain_data():
    data, flag, wrong = np.zeros(16, np.int64), np.zeros(1, np.int64), []
    send(data, flag, 0), receive(data, flag, 0)
    together(lambda: send(data, flag, 20_000), lambda: wrong.append(receive(data, flag, 20_000)))
    assert wrong == [0]


# --- what a compiler may not do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["relaxed", "acquire", "seq_cst"])
def test_load_in_a_loop_is_not_hoisted_numba_1351(order):
    scope = {"atomic": atomic}
    exec(
        f"def spin(flag):\n n = 0\n while atomic.load(flag, 0, {order!r}) == 0:\n  n += 1\n return n",
        scope,
    )
    spin = njit(nogil=True)(scope["spin"])
    spin(np.ones(1, np.int8))
    flag = np.zeros(1, np.int8)

    def later():
        time.sleep(0.05)
        atomic.store(flag, 0, 1)

    together(lambda: spin(flag), later)


@pytest.mark.parametrize("order", ["relaxed", "seq_cst"])
def test_load_in_prange_is_not_hoisted(order):
    """A plain read of an array that only calls change is hoisted out of the parallel loop."""
    scope = {"atomic": atomic, "prange": prange}
    exec(
        "def count(log, ticket, n):\n"
        " for i in prange(n):\n"
        f"  before = atomic.load(ticket, 0, {order!r})\n"
        f"  atomic.add(ticket, 0, 1, {order!r})\n"
        f"  log[i] = atomic.load(ticket, 0, {order!r}) > before\n",
        scope,
    )
    count = njit(nogil=True, parallel=True)(scope["count"])
    log, ticket = np.zeros(5000, bool), np.zeros(1, np.int64)
    count(log, ticket, len(log))
    assert ticket[0] == len(log)
    assert log.all()


def test_spin_in_prange():
    """Another thread, in Python, ends it."""

    @njit(nogil=True, parallel=True)
    def wait(flag, turns):
        for i in prange(4):
            while atomic.load(flag, 0) == 0:
                turns[i] += 1

    wait(np.ones(1, np.int32), np.zeros(4))
    flag = np.zeros(1, np.int32)

    def later():
        time.sleep(0.05)
        atomic.store(flag, 0, 1)

    together(lambda: wait(flag, np.zeros(4)), later)


def test_an_answer_that_is_not_used_leaves_the_operation():
    @njit
    def work(a):
        for _ in range(3):
            atomic.load(a, 0)
            atomic.add(a, 0, 1)
            atomic.cas(a, 1, 0, 5)

    array = np.zeros(2, np.uint16)
    work(array)
    assert array.tolist() == [3, 5]


# --- Numba's ways of compiling --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i4", "u8", "f4", "f8"])
def test_parallel_histogram(dtype):
    @njit(parallel=True, nogil=True)
    def histogram(image, counts):
        for y in prange(image.shape[0]):
            for x in range(image.shape[1]):
                atomic.add(counts, image[y, x], 1)

    image = np.random.default_rng(1).integers(0, 16, (200, 300))
    counts = np.zeros((16, 3), dtype)[:, 1]
    histogram(image, counts)
    assert np.array_equal(counts, np.bincount(image.ravel(), minlength=16).astype(dtype))


def test_parallel_loops_that_are_fused_and_arrays_made_inside():
    @njit(parallel=True)
    def work(n):
        counts = np.zeros((3, 4), np.int32)
        peaks = np.full(2, -np.inf)
        for i in prange(n):
            atomic.add(counts, (i % 3, -1), 1)
        for i in prange(n):
            atomic.max(peaks, 1, i * 0.5)
        return counts, peaks

    counts, peaks = work(3000)
    assert counts[:, -1].tolist() == [1000] * 3 and counts.sum() == 3000
    assert peaks.tolist() == [-np.inf, 1499.5]


def test_parallel_diagnostics_and_no_warning(recwarn):
    @njit(parallel=True)
    def work(a, n):
        total = 0
        for i in prange(n):
            atomic.add(a, i % 4, 1)
            total += 1
        return total

    array = np.zeros(4, np.int64)
    assert work(array, 4000) == 4000
    assert array.tolist() == [1000] * 4
    assert not [w for w in recwarn if issubclass(w.category, Warning) and "numba" in str(w.category).lower()]


def test_guvectorize():
    from numba import guvectorize

    @guvectorize(["void(int64[:], float64[:], float64[:])"], "(n),(m)->(m)", target="cpu")
    def scatter(where, like, out):
        for k in range(out.shape[0]):
            atomic.store(out, k, 0)
        for k in where:
            atomic.add(out, k, 0.5)

    assert scatter(np.array([0, 2, 2]), np.zeros(3)).tolist() == [0.5, 0, 1]


def test_in_a_function_that_is_inlined_and_in_a_generator():
    @njit(inline="always")
    def bump(a, k):
        return atomic.add(a, k, 1)

    @njit
    def tickets(a, n):
        for _ in range(n):
            yield bump(a, 0)

    @njit
    def work(a):
        total = 0
        for ticket in tickets(a, 10):
            total += ticket
        return total

    array = np.zeros(1, np.int64)
    assert work(array) == 45


def test_imported_by_name():
    from interlock.atomic import add, max

    @njit(parallel=True)
    def work(a):
        for i in prange(100):
            add(a, 0, 1)
            max(a, 1, i)

    array = np.zeros(2, np.int64)
    work(array)
    assert array.tolist() == [100, 99]


def test_python_functions_in_object_mode():
    from numba import objmode

    @njit
    def work(a):
        with objmode():
            atomic.add(a, 0, 1)
        return atomic.load(a, 0)

    assert work(np.zeros(1)) == 1


MODULE = """
import interlock._numba
interlock._numba.init()
from numba import njit
from interlock import atomic

@njit(nogil=True, cache=True)
def inner(a):
    return atomic.add(a, -1, 2, order="relaxed")

@njit(nogil=True, cache=True, parallel=True)
def outer(a):
    return inner(a) + atomic.cas(a, 0, 0, 4)
"""

MAIN = """
import numpy as np, kernels
a = np.zeros(3, np.int16)
assert kernels.outer(a) == 0 and a.tolist() == [4, 0, 2]
print(sum(kernels.outer.stats.cache_hits.values()))
"""


def test_cache_in_another_process(python, tmp_path):
    (tmp_path / "kernels.py").write_text(MODULE)
    assert python(MAIN).stdout.split() == ["0"]
    assert python(MAIN).stdout.split() == ["1"]


def test_without_jit(python):
    python(MODULE + MAIN.replace("kernels.", "").replace(", kernels", "").split("print")[0], NUMBA_DISABLE_JIT="1")


def test_without_numba(python):
    python(
        "import sys\n"
        "for name in ('numba', 'llvmlite'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from interlock import atomic\n"
        "a = np.zeros(3)\n"
        "assert atomic.add(a, 1, 2.5) == 0 and a.tolist() == [0, 2.5, 0]\n"
    )


def test_memory_that_processes_share(python, tmp_path):
    path = tmp_path / "shared"
    np.zeros(4, np.int64).tofile(path)
    mapped = np.memmap(path, np.int64)
    python(
        "import sys, numpy as np\n"
        "from interlock import atomic\n"
        "a = np.memmap(sys.argv[1], np.int64)\n"
        "for _ in range(1000): atomic.add(a, 1, 1)\n",
        path,
    )
    assert kernel("add")(mapped, 1, 1) == 1000 and atomic.load(mapped, 1) == 1001


def protect(address, size, writable):
    if sys.platform == "win32":
        before = ctypes.c_uint32()
        call = ctypes.WinDLL("kernel32").VirtualProtect
        assert call(ctypes.c_void_p(address), ctypes.c_size_t(size), 4 if writable else 2, ctypes.byref(before))
    else:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), 3 if writable else 1) == 0


@pytest.mark.parametrize("world", ["python", "kernel"])
def test_nothing_is_written_where_nothing_changes(world):
    """Read-only memory: a write would end the process."""
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    array = np.frombuffer(memory, np.float64)
    array[:3] = 1, np.nan, -1
    in_world(world, "max")(array, 0, 0)  # compiled
    address = array.__array_interface__["data"][0]
    protect(address, mmap.PAGESIZE, False)
    try:
        for name, index, value in [("max", 0, 1), ("min", 0, 2), ("max", 1, 5), ("min", 1, 5), ("nanmax", 0, np.nan)]:
            in_world(world, name)(array, index, value)
        assert in_world(world, "cas")(array, 0, 7, 8) == 1
        assert in_world(world, "load")(array, 2) == -1
    finally:
        protect(address, mmap.PAGESIZE, True)


def test_the_type_that_a_kernel_answers():
    for dtype in [*INTEGERS, *FLOATS, BOOL]:
        array = np.zeros(1, dtype)
        compiled = kernel("exch")
        compiled(array, 0, 1)
        signatures = [s for s in compiled.nopython_signatures if s.args[0] == typeof(array)]
        assert signatures and all(s.return_type == typeof(array).dtype for s in signatures)


def changes(array, number, change):
    """Numbers of a user's classes that change the array when they are converted."""

    class Index:
        def __index__(self):
            change(array)
            return number

    class Subclass(np.int64):
        __index__ = __float__ = Index.__index__

    return Index(), Subclass(number)


@pytest.mark.parametrize("kind", [0, 1], ids=["class", "subclass of int64"])
@pytest.mark.parametrize("argument", ["index", "value"])
def test_a_number_that_changes_the_array(kind, argument):
    # The element's address was computed before, so that the operation wrote to memory that had been freed.
    def apply(change, number=1):
        array = np.zeros(4, np.int64)
        culprit = changes(array, number, change)[kind]
        atomic.add(array, *((culprit, 7) if argument == "index" else (1, culprit)))
        return array

    expected = 7 if argument == "index" else 1
    assert apply(lambda array: array.resize(100_000, refcheck=False))[1] == expected
    assert apply(lambda array: array.strides and setattr(array, "shape", (4,)))[1] == expected
    with pytest.raises(IndexError):
        apply(lambda array: setattr(array, "shape", (2, 2)))
    with pytest.raises(IndexError):
        apply(lambda array: array.resize(1, refcheck=False))
    with pytest.raises(ValueError, match="has changed"):
        apply(lambda array: setattr(array, "dtype", np.float64))
