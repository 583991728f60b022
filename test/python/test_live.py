"""Global arrays in kernels: an atomic operation works on the array itself, not on Numba's copy of it."""

import threading
import types as python

import numpy as np
import pytest
from numba import literal_unroll, njit, objmode, prange, typed, types
from numba.core.errors import TypingError
from numba.experimental import jitclass
from numba.extending import intrinsic, overload, register_jitable

from conftest import until
from interlock import Condition, Event, Lock, LockArray, atomic, capi, nb, words

FLAG = np.zeros(1, np.int64)
COUNTS = np.zeros(8, np.int64)
LOCKS = np.zeros(4, np.uint32)
SEEN = np.zeros(4, np.float64)
module = python.ModuleType("module")
module.counts = np.zeros(3, np.int64)


def test_a_stop_flag_is_seen():
    @njit(nogil=True)
    def work(started):
        started.set()
        while atomic.load(FLAG, 0) == 0:
            pass

    started = Event()
    FLAG[0] = 1
    work(started)  # compiled here
    FLAG[0] = 0
    started.clear()
    thread = threading.Thread(target=work, args=(started,))
    thread.start()
    assert started.wait()
    atomic.store(FLAG, 0, 1)
    thread.join()


@pytest.mark.parametrize("parallel", [False, True])
def test_counts_are_the_arrays(parallel):
    @njit(parallel=parallel)
    def count(n):
        for i in prange(n):
            atomic.add(COUNTS, i % 8, 1)
        return COUNTS[3]  # a plain read of the same array

    COUNTS[:] = 100
    assert count(16) == 102
    assert (COUNTS == 102).all()


@njit(parallel=True)
def count_and_double(n):
    for i in range(n):
        atomic.add(COUNTS, i % 8, 1)
    for i in prange(8):
        COUNTS[i] *= 2
    return COUNTS[3]


@njit(parallel=True)
def count_and_set(n):
    for i in range(n):
        atomic.add(COUNTS, i % 8, 1)
    COUNTS[:] = n
    return COUNTS[3]


@njit(parallel=True)
def count_and_set_each(n):
    for i in range(n):
        atomic.add(COUNTS, i % 8, 1)
    for i in prange(8):
        COUNTS[i] = n  # nothing in the kernel reads it
    return n


@pytest.mark.parametrize("kernel", [count_and_double, count_and_set, count_and_set_each])
def test_assignments_to_a_live_array_in_a_parallel_loop_are_made_and_seen(kernel):
    """Each reference was an array of its own to Numba: it read before the loop, and left the assignments out."""
    COUNTS[:] = 6
    assert kernel(16) == 16 and COUNTS.tolist() == [16] * 8


def test_an_assignment_beside_a_closure_is_made():
    """Numba left it out, as of an array that the kernel had made, and that nothing read afterwards."""

    @njit
    def kernel():
        double = lambda n: 2 * n  # noqa: E731
        atomic.add(COUNTS, 0, double(1))
        COUNTS[1] = 7

    COUNTS[:] = 0
    kernel()
    assert COUNTS.tolist() == [2, 7, 0, 0, 0, 0, 0, 0]


def test_captured_and_in_a_module():
    own = np.zeros((2, 2))

    @njit
    def kernel(i):
        atomic.add(own, (i, 1), 2.5)
        atomic.max(module.counts, i, 7)

        def inner():
            return atomic.sub(COUNTS, i, 1)

        return own[i, 1] + inner()

    COUNTS[:] = 5
    assert kernel(1) == 7.5 and kernel(1) == 9.0
    assert own.tolist() == [[0, 0], [0, 5]] and COUNTS[1] == 3
    assert module.counts.tolist() == [0, 7, 0]


def test_locks_of_a_global_array():
    @njit
    def take():
        return words.lock(LOCKS, 2, timeout=0.0)

    assert take() and not words.trylock(LOCKS, 2)
    words.unlock(LOCKS, 2)


def test_other_global_arrays_are_numbas():
    @njit
    def read():
        return SEEN[0]

    SEEN[0] = 1
    assert read() == 1
    SEEN[0] = 2
    assert read() == 1  # a constant, as Numba documents


@njit
def is_seen():
    return SEEN[1] != 0


@njit
def is_at_least(a, n):
    return a[0] >= n


def test_a_predicate_sees_a_global_array_and_its_arguments():
    @njit(nogil=True)
    def consume(condition, a):
        condition.acquire()
        seen = condition.wait_for(is_seen)
        enough = condition.wait_for(is_at_least, 100.0, (a, 2))
        never = condition.wait_for(is_at_least, 0.01, (a, 9))
        condition.release()
        return seen, enough, never

    condition, a, results = Condition(Lock()), np.zeros(1), []
    SEEN[1] = 0
    thread = threading.Thread(target=lambda: results.append(consume(condition, a)))
    thread.start()
    for change in (SEEN, 1), (a, 0), (a, 0):
        with condition:
            change[0][change[1]] += 1
            condition.notify_all()
    until(lambda: results)
    thread.join()
    assert results == [(True, True, False)]


@pytest.mark.parametrize("predicate", ["lambda: a[0] >= n", "is_ready"])
def test_a_predicate_that_captures_is_refused(predicate):
    """As most users write it first. To Numba what a function captures is a constant."""
    scope = {}
    exec(
        f"""def kernel(condition, a, n):
    def is_ready():
        return a[0] >= n
    with condition:
        condition.wait_for({predicate}, 1.0)
""",
        scope,
    )
    with pytest.raises(
        TypingError, match=r"captures? variables of a kernel, as it does a, n: .*lambda a, n: ..., args=\(a, n\)"
    ):
        njit(scope["kernel"])(Condition(), np.zeros(1), 1)


def test_a_predicate_with_arguments_in_python():
    condition = Condition()
    with condition:
        assert condition.wait_for(lambda a, b: a + b, 1, (1, 2)) == 3
        assert not condition.wait_for(lambda a: a, 0, (0,))


CACHED = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
from numba import njit
from interlock import atomic

COUNTS = np.zeros(2, np.int64)

@njit(cache=True)
def count():
    return atomic.add(COUNTS, 1, 1)

count()
assert COUNTS[1] == 1
"""


def test_such_a_kernel_is_not_cached(python, tmp_path):
    script = tmp_path / "cached.py"
    script.write_text(CACHED)
    for _ in range(2):
        python(script, NUMBA_CACHE_DIR=str(tmp_path / "cache"))


PAIR = (np.zeros(1, np.int64), np.zeros(1, np.int64))
HOW = "pass the array as an argument"


@njit
def value_of(array):
    return atomic.load(array, 0)


@njit
def value_two_levels_deep(n, array):
    return n + value_of(array)


@njit
def add_first(counts, table):
    return atomic.add(counts, 0, table[0])


def test_parts_of_a_global_array():
    @njit
    def of_a_slice():
        part = COUNTS[2:]
        return atomic.load(part, 0)

    @njit
    def of_a_view():
        return atomic.load(COUNTS.reshape(2, 4), (0, 2))

    @njit
    def of_either(i, other):
        array = COUNTS if i else other
        return atomic.load(array[2:], 0)

    for kernel, arguments in (of_a_slice, ()), (of_a_view, ()), (of_either, (1, np.zeros(3, np.int64))):
        for value in 3, 4:
            COUNTS[2] = value
            assert kernel(*arguments) == value


def test_by_helpers():
    @njit
    def kernel():
        add_first(COUNTS, COUNTS[7:])
        return value_of(COUNTS) + value_two_levels_deep(100, array=COUNTS[1:])

    COUNTS[:] = 1
    assert [kernel(), kernel()] == [103, 104]


@njit
def count_there(i):
    return atomic.add(COUNTS, i, 1)


@njit
def count_two_levels_deeper(i):
    return count_there(i)


def test_an_array_on_which_a_helper_operates_by_its_own_name():
    """The kernel read its copy, and so returned the count of when it was compiled."""

    @njit
    def kernel(i):
        before = COUNTS[i]
        count_two_levels_deeper(i)
        return before, COUNTS[i], COUNTS[i:][0]

    COUNTS[:] = 1
    assert [kernel(3), kernel(3)] == [(1, 2, 2), (2, 3, 3)]
    COUNTS[3] = 9
    assert kernel(3) == (9, 10, 10)


@njit
def of_a_closure():
    def count():
        return atomic.add(COUNTS, 0, 1)

    return count() + COUNTS[0]


@njit
def of_a_list_comprehension():
    loads = [atomic.load(COUNTS, i) for i in range(1)]
    return loads[0] + COUNTS[0] + 1


@njit
def of_a_closure_that_reads():
    def read():
        return COUNTS[0]

    return atomic.add(COUNTS, 0, 1) + read()


@njit
def loads_in_a_list_comprehension(array):
    return [atomic.load(array, i) for i in range(1)]


@njit
def of_a_helper_with_a_list_comprehension():
    return loads_in_a_list_comprehension(COUNTS)[0] + COUNTS[0] + 1


def count_by_overload():
    raise NotImplementedError


@overload(count_by_overload)
def _count_by_overload():
    def count():
        return atomic.add(COUNTS, 0, 1)

    return count


@njit
def of_an_overload():
    return count_by_overload() + COUNTS[0]


@njit
def of_a_helper_and_a_default(counts=COUNTS):
    return count_there(0) + counts[0]


TAIL, ROWS = COUNTS[2:], COUNTS.reshape(4, 2)


@njit
def count_there_by_default(counts=COUNTS):
    atomic.add(counts, 0, 1)


@njit
def of_a_helpers_default():
    count_there_by_default()
    return COUNTS[0] + COUNTS[1]


@njit
def of_a_block_of_objmode():
    with objmode():
        atomic.add(COUNTS, 0, 1)
    return COUNTS[0] + COUNTS[1]


@njit
def of_a_view_elsewhere():
    return atomic.add(ROWS, (1, 0), 1) + TAIL[0]


@pytest.mark.parametrize(
    "kernel",
    [
        of_a_closure,
        of_a_list_comprehension,
        of_a_closure_that_reads,
        of_a_helper_with_a_list_comprehension,
        of_an_overload,
        of_a_helper_and_a_default,
        of_a_helpers_default,
        of_a_block_of_objmode,
        of_a_view_elsewhere,
    ],
)
def test_an_array_on_which_a_closure_or_a_view_operates(kernel):
    """The other references were to a copy."""
    COUNTS[:] = 1
    assert kernel() == 3
    COUNTS[:] = 5
    assert kernel() == 11


@njit
def first_count():
    return COUNTS[0]


def first_count_by_overload():
    raise NotImplementedError


@overload(first_count_by_overload)
def _first_count_by_overload():
    return lambda: COUNTS[0]


@njit
def calls_an_overload_that_reads():
    return atomic.add(COUNTS, 0, 1) + first_count_by_overload()


@njit
def called(function):
    return function()


@njit
def calls_two_that_read_and_count():
    return count_there(0) + first_count()


@njit
def calls_one_that_reads():
    return atomic.add(COUNTS, 0, 1) + first_count()


@njit
def passes_one_that_reads():
    return atomic.add(COUNTS, 0, 1) + called(first_count)


@jitclass([])
class Table:
    def __init__(self):
        pass

    def first(self):
        return COUNTS[0]

    @property
    def second(self):
        return COUNTS[1]

    def __len__(self):
        return COUNTS[2]

    def size(self):
        return COUNTS.size


@njit
def calls_a_method_that_reads():
    return atomic.add(COUNTS, 0, 1) + Table().first()


@njit
def has_a_property_that_reads():
    return atomic.add(COUNTS, 0, 1) + Table().second


@njit
def has_a_length_that_reads():
    return atomic.add(COUNTS, 0, 1) + len(Table())


@njit
def calls_its_argument(function=first_count):
    return atomic.add(COUNTS, 0, 1) + function()


FUNCTIONS = (count_there, first_count)


@njit
def calls_one_of_a_tuple():
    return FUNCTIONS[0](0) + FUNCTIONS[1]()


@njit
def calls_each_of_a_tuple():
    total = 0
    for function in literal_unroll((number_of_counts, first_count)):
        total += function()
    return atomic.add(COUNTS, 0, 1) + total


@register_jitable
def first_count_jitable():
    return COUNTS[0]


@njit
def calls_a_jitable_one_that_reads():
    return atomic.add(COUNTS, 0, 1) + first_count_jitable()


@njit
def reads_its_default(counts=COUNTS):
    return counts[0]


@njit
def calls_one_that_reads_its_default():
    return atomic.add(COUNTS, 0, 1) + reads_its_default()


@njit
def passes_one_of_its_own():
    return atomic.add(COUNTS, 0, 1) + called(lambda: COUNTS[0])


@pytest.mark.parametrize(
    "kernel",
    [
        calls_two_that_read_and_count,
        calls_one_that_reads,
        calls_an_overload_that_reads,
        passes_one_that_reads,
        passes_one_of_its_own,
        calls_a_method_that_reads,
        has_a_property_that_reads,
        has_a_length_that_reads,
        calls_its_argument,
        calls_one_of_a_tuple,
        calls_each_of_a_tuple,
        calls_a_jitable_one_that_reads,
        calls_one_that_reads_its_default,
    ],
)
def test_a_helper_that_reads_a_copy_is_refused(kernel):
    """It returned what was there when it was compiled."""
    with pytest.raises(
        TypingError, match=r"(\w+|<lambda>) reads (COUNTS|counts), which this function changes or loads.*" + HOW
    ):
        kernel()


@njit
def number_of_counts():
    return len(COUNTS) * COUNTS.shape[0] + COUNTS.size


@njit
def first_count_in_python():
    with objmode(count="int64"):
        count = COUNTS[0]
    return count


@njit
def calls_ones_that_read_no_copy(condition):
    own = called(lambda: atomic.add(COUNTS, 0, 1)) + COUNTS[0]
    own += reads_its_default(np.zeros(1, np.int64)) + Table().size() - 8
    return own + number_of_counts() + first_count_in_python() + condition.wait_for(first_count)


@njit
def calls_one_that_reads_what_is_stored(box):
    box.array = COUNTS  # where an operation may find it, or not
    return first_count() + atomic.load(LOCKS, 0)


def test_a_helper_that_reads_no_copy_is_called():
    condition = Condition(Lock())
    with condition:
        COUNTS[:] = 4
        assert calls_ones_that_read_no_copy(condition) == 4 + 5 + 72 + 5 + 5
        COUNTS[:] = 6
        assert calls_ones_that_read_no_copy(condition) == 6 + 7 + 72 + 7 + 7
    calls_one_that_reads_what_is_stored(Box(COUNTS))


@pytest.mark.parametrize("numbers", [(), (1, 2), (1, (2.5, "a"))], ids=str)
def test_a_captured_tuple_of_numbers_is_no_array(numbers):
    @intrinsic
    def count(context, array, numbers):
        def lower(context, builder, sig, args):
            return context.get_constant(types.intp, len(sig.args[1]))

        return types.intp(array, numbers), lower

    @njit
    def kernel(array):
        atomic.add(array, 0, 1)
        return count(array, numbers)

    array = np.zeros(1, np.int64)
    assert kernel(array) == len(numbers) and array[0] == 1


def test_arrays_in_a_global_tuple_are_refused():
    @njit
    def load(i):
        return atomic.load(PAIR[i], 0)

    @njit
    def add():
        return atomic.add(PAIR[1], 0, 1)

    @njit
    def helped():
        return value_of(PAIR[0])

    for kernel, arguments in (load, (1,)), (add, ()), (helped, ()):
        with pytest.raises(TypingError, match="PAIR.*" + HOW) as caught:
            kernel(*arguments)
        assert "test_live.py" in str(caught.value) and "line" in str(caught.value)


def test_a_read_only_array():
    @njit
    def kernel(flag, counts):
        add_first(counts, SEEN)  # a table to read may be global
        return atomic.load(flag, 0), value_of(flag)

    @njit
    def add(flag):
        atomic.add(flag, 0, 1)

    flag = np.ones(1, np.int64)
    flag.flags.writeable = False
    assert kernel(flag, np.zeros(1, np.int64)) == (1, 1)
    with pytest.raises(TypingError, match="read-only"):
        add(flag)


WAYS = np.zeros(2, np.int64)


def load_by_overload(a):
    raise NotImplementedError


@overload(load_by_overload)
def _load_by_overload(a):
    return lambda a: atomic.load(a, 0)


@register_jitable
def load_jitable(a):
    return atomic.load(a, 0)


@jitclass([("array", types.int64[:])])
class Reader:
    def __init__(self, array):
        self.array = array

    def load(self, other):
        return atomic.load(self.array, 0) + atomic.load(other, 0)


@njit
def load(a=WAYS):
    return atomic.load(a, 0)


@njit
def load_first(n, *arrays):
    return atomic.load(arrays[0], 0)


@njit
def apply(function, a):
    return function(a)


@njit
def same(a):
    return a


@njit
def load_in_a_loop():
    for a, i in zip((WAYS, WAYS), (0, 0)):
        if atomic.load(a, i):
            return 1
    return 0


# Ways from a global array to an operation on it.
LOADS = {
    "a C function": lambda: nb.ilk_atomic_load_i64(WAYS.ctypes.data),
    "a C function of capi": lambda: capi.ilk_atomic_load_i64(WAYS.ctypes.data),
    "an overload": lambda: load_by_overload(WAYS),
    "register_jitable": lambda: load_jitable(WAYS),
    "a jitclass": lambda: Reader(WAYS).load(WAYS) // 2,
    "a function as argument": lambda: apply(load, WAYS),
    "a default": lambda: load(),
    "other arguments": lambda: load_first(0, WAYS),
    "a tuple": lambda: atomic.load((WAYS, 1)[0], 0),
    "a list": lambda: atomic.load([WAYS][0], 0),
    "a loop": lambda: load_in_a_loop(),
    "numpy": lambda: atomic.load(np.ravel(WAYS), 0),
    "a result": lambda: atomic.load(same(WAYS), 0),
}


@pytest.mark.parametrize("way", LOADS)
def test_ways_to_an_operation(way):
    kernel = njit(LOADS[way])
    WAYS[0] = 0
    assert kernel() == 0
    WAYS[0] = 1
    assert kernel() == 1


def test_a_default_is_changed():
    @njit
    def add(a=WAYS):
        return atomic.add(a, 1, 1)

    @njit
    def lock_and_add():
        nb.ilk_word_lock(LOCKS.ctypes.data, 0)
        nb.ilk_word_unlock(LOCKS.ctypes.data, 0)
        return add() + 10 * nb.ilk_atomic_fetch_add_i64(WAYS.ctypes.data, 2)

    WAYS[:] = 0, 5
    assert add() == 5 and lock_and_add() == 6 and WAYS.tolist() == [2, 7]


def test_an_array_that_a_helper_returns_is_refused():
    @njit
    def get():
        return WAYS

    with pytest.raises(TypingError, match="WAYS, which a compiled function returns.*" + HOW):
        njit(lambda: atomic.load(get(), 0))()


def test_tables_beside_operations_are_constants():
    table = np.array([3, 1, 2])

    @njit
    def kernel(a, locks):
        with locks.held(table[1]):
            atomic.add(a, table[0], table[2])
        locks.acquire(table[0])
        locks.release(table[0])
        nb.ilk_sleep(table[1])
        return (table[1:] * 2).sum() + len(table)

    a = np.zeros(4, np.int64)
    assert kernel(a, LockArray(4)) == 9 and a.tolist() == [0, 0, 0, 2]
    table[:] = 0
    assert kernel(a, LockArray(4)) == 9


@jitclass([("array", types.int64[:])])
class Box:
    def __init__(self, array):
        self.array = array


ARRAY = types.int64[:]


@njit
def from_a_dict(own):
    arrays = typed.Dict.empty(types.int64, ARRAY)
    arrays[0] = WAYS
    return atomic.load(arrays[0], 0)


@njit
def from_a_dict_with_items(own):
    arrays = {1: own, 2: WAYS}
    return atomic.load(arrays[2], 0)


@njit
def from_a_list(own):
    arrays = [own]
    arrays[0] = WAYS
    return atomic.load(arrays[0], 0)


@njit
def from_a_slice_of_a_list(own):
    arrays = [own, own]
    arrays[0:1] = [WAYS]
    return atomic.load(arrays[0], 0)


@njit
def from_a_tuple_in_a_list(own):
    pairs = [(own, 1)]
    pairs[0] = (WAYS, 2)
    for array, _n in pairs:
        return atomic.load(array, 0)


@njit
def from_an_appended_tuple(own):
    pairs = [(own, 1)]
    pairs.append((WAYS, 2))
    return atomic.load(pairs[1][0], 0)


@njit
def from_an_attribute(own):
    box = Box(own)
    box.array = WAYS
    return atomic.load(box.array, 0)


@njit
def from_a_tuple_of_a_loop(own):
    arrays = (own, own)
    for _i in range(2):
        arrays = (arrays[1], WAYS)
    return atomic.load(arrays[0], 0)


@njit
def from_a_sum_of_tuples(own):
    arrays = (own,) + (WAYS,)  # noqa: RUF005
    return atomic.load(arrays[1], 0)


@njit
def from_a_sum_of_lists(own):
    arrays = [own]
    arrays += [WAYS]
    return atomic.load(arrays[1], 0)


@njit
def from_a_picked_array(own):
    array = (WAYS, own)[0]
    return nb.ilk_atomic_load_i64(array.ctypes.data)


@njit
def with_a_number(array):
    return array, 1


@njit
def from_an_unpacked_result(own):
    array, _n = with_a_number(WAYS)
    return nb.ilk_atomic_load_i64(array.ctypes.data)


@pytest.mark.parametrize("kernel", [
    from_a_dict, from_a_dict_with_items, from_a_list, from_a_slice_of_a_list, from_a_tuple_in_a_list, from_an_appended_tuple,
    from_an_attribute, from_a_tuple_of_a_loop, from_a_sum_of_tuples, from_a_sum_of_lists, from_a_picked_array,
    from_an_unpacked_result,
], ids=lambda kernel: kernel.__name__)  # fmt: skip
def test_an_array_in_a_container_is_the_array_itself(kernel):
    own = np.full(1, 9, np.int64)
    WAYS[0] = 0
    assert kernel(own) == 0
    WAYS[0] = 1
    assert kernel(own) == 1


def test_an_array_stored_for_another_kernel_is_the_array_itself():
    @njit
    def fill(lock, arrays):
        with lock:
            arrays[0] = WAYS

    @njit
    def load_first_of(arrays):
        return atomic.load(arrays[0], 0)

    arrays = typed.List([np.full(1, 9, np.int64)])
    WAYS[0] = 0
    fill(Lock(), arrays)
    assert load_first_of(arrays) == 0
    WAYS[0] = 1
    assert load_first_of(arrays) == 1


def test_an_array_that_a_generator_yields_is_refused():
    @njit
    def generate():
        yield WAYS

    @njit
    def kernel():
        for array in generate():
            return atomic.load(array, 0)

    with pytest.raises(TypingError, match="WAYS, which a compiled function returns.*" + HOW):
        kernel()


def test_elements_of_tables_that_a_kernel_stores_are_constants():
    table, square = np.array([3, 1, 2]), np.array([[1, 2], [3, 4]])

    @njit
    def kernel(a, i, j):
        atomic.add(a, 0, 0)
        a[:3] = table
        a[1] = table[i]
        a[2] = square[i, j] + square[i][j]
        a[3] = square[int(i), 0]
        for k, x in enumerate(table):
            a[k + 4] = x

    a = np.zeros(8, np.int64)
    kernel(a, 1, 1)
    table[:] = square[:] = 0
    a[:] = 0
    kernel(a, 1, 1)
    assert a.tolist() == [3, 1, 8, 3, 3, 1, 2, 0]


def test_a_variable_of_two_global_arrays_is_the_arrays_themselves():
    """Also where it is assigned twice: Numba finds no value for such a name."""
    one, other = np.zeros(1, np.int64), np.zeros(1, np.int64)
    flags = python.ModuleType("flags")
    flags.one, flags.other = np.zeros(1, np.int64), np.zeros(1, np.int64)

    @njit
    def in_turn(n):
        flag, seen = one, 0
        for _ in range(n):
            seen += atomic.load(flag, 0)
            flag = other
        return seen

    @njit
    def of_a_module(n):
        flag, seen = flags.one, 0
        for _ in range(n):
            seen += atomic.load(flag, 0)
            flag = flags.other
        return seen

    @njit
    def swapped(n):
        front, back, seen = one, other, 0
        for _ in range(n):
            front, back = back, front
            seen += atomic.load(front, 0)
        return seen

    for kernel, arrays in ((in_turn, (one, other)), (of_a_module, (flags.one, flags.other)), (swapped, (one, other))):
        for array in arrays:
            array[0] = 0
        assert kernel(2) == 0
        for array in arrays:
            array[0] = 4
        assert kernel(2) == 8, kernel


def test_views_by_attributes_of_a_global_array():
    table, numbers = np.zeros((2, 2), np.int64), np.zeros(2, np.complex128)

    @njit
    def kernel():
        first, second = table.T, table.T
        seen = atomic.load(first, (1, 0)) + atomic.load(second, (1, 0)) + atomic.load(table.T.T, (0, 1))
        return seen + atomic.load(numbers.real, 1) + atomic.load(numbers.imag, 1)

    assert kernel() == 0
    table[0, 1], numbers[1] = 2, 3 + 4j
    assert kernel() == 13


def test_a_predicates_helpers_see_a_global_array():
    """Numba's copy of it never changed, so that the kernel waited forever."""
    ready = np.zeros(2, np.int64)

    @njit
    def is_ready(i):
        return ready[i] != 0

    @njit(inline="always")
    def is_ready_inlined(i):
        return ready[i] != 0

    @njit
    def last(n):
        return is_ready(1) if n == 0 else last(n - 1)

    @njit
    def by_helper():
        return is_ready(0) and last(2)

    @njit
    def by_inlined():
        return is_ready_inlined(0) and is_ready_inlined(1)

    for predicate in (by_helper, by_inlined):

        @njit
        def wait(condition):
            with condition:
                return condition.wait_for(predicate, 0.001)  # noqa: B023

        ready[:] = 0
        condition = Condition(Lock())
        assert not wait(condition)
        ready[:] = 1
        assert wait(condition), predicate


def test_a_predicate_with_a_global_array_keeps_its_options():
    divisors = np.zeros(1)

    @njit(error_model="numpy")
    def divides():
        return 1 / divisors[0] > 0

    @njit
    def wait(condition):
        with condition:
            return condition.wait_for(divides, 0.001)

    assert wait(Condition(Lock()))  # by the default error model, a ZeroDivisionError


def test_an_array_in_a_global_record_is_refused():
    """Numba copies the record: a change of its field was never seen. Other uses of it are as ever."""
    record = np.zeros(1, [("counts", np.int64, (2,)), ("i", np.int64)])[0]

    @njit
    def load(array):
        return atomic.load(array, 0)

    @njit
    def by_item():
        return atomic.load(record["counts"], 0)

    @njit
    def by_name():
        return atomic.load(record.counts, 0)

    @njit
    def by_helper():
        return load(record["counts"])

    for kernel in (by_item, by_name, by_helper):
        with pytest.raises(TypingError, match="record holds an array, and is not an argument"):
            kernel()

    @njit
    def other_uses(counts):
        atomic.add(counts, record["i"], 1)
        return record.i + load(counts)

    assert other_uses(np.zeros(2, np.int64)) == 1
