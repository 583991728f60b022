"""`with held(lock)`, in Python and in kernels: each kernel runs both ways and must do the same."""

import re
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from numba import njit, objmode, prange
from numba.core import errors
from numba.core.runtime import _nrt_python, rtsys

import interlock
from interlock import held
from interlock.jitclasses import Mutex, Semaphore

UNSUPPORTED = (errors.NumbaError, getattr(errors, "UnsupportedBytecodeError", errors.NumbaError))


@njit
def fail(code):
    if code:
        raise ValueError("failed", 3)
    return 1


# Kernels that could fail at each way out: the result shows whether the lock was held, inside and after.


def normal(a, b, x):
    n = x
    with held(a):
        n += 10 * a.locked()
    return n + 100 * a.locked()


def function_fails(a, b, x):
    with held(a):
        x = fail(x)
    return x


def division_fails(a, b, x):
    with held(a):
        y = 12 // x
    return y


def index_fails(a, b, x):
    t = (1, 2)
    with held(a):
        return t[x]


def returns(a, b, x):
    with held(a):
        if x:
            return x + 10 * a.locked()
        x = 5
    return x + 100 * a.locked()


def returns_only(a, b, x):
    with held(a):
        return x + 10 * a.locked()


def returns_twice(a, b, x):
    with held(a):
        if x:
            return x + 10 * a.locked()
        else:
            return 20 * a.locked()


def returns_nothing(a, b, x):
    with held(a):
        if x:
            return
        x = 3


def returns_perhaps(a, b, x):
    with held(a):
        if x:
            return None
        return 3.0


def breaks_and_continues(a, b, x):
    n = 0
    for i in range(10):
        with held(a):
            if i == 2:
                continue
            if i == x:
                break
            n += a.locked()
        n += 100 * a.locked()
    return n


def while_loop(a, b, x):
    n = 0
    while True:
        n += 100 * a.locked()
        with held(a):
            n += 1
            if n == x:
                break
            if n == 5:
                return -n
    return n


def loop_in_body(a, b, x):
    with held(a):
        for i in range(9):
            if i == x:
                break
        else:
            return 100
        while x < 3:
            x += 1
            if x == 2:
                continue
    return i + 10 * x


def two_in_a_loop(a, b, x):
    n = 0
    for i in range(5):
        with held(a):
            n += 1
        with held(b):
            if i == x:
                continue
            n += 10
        with held(a):
            if i == x + 2:
                break
            n += 100
    return n


def one_after_a_loop_that_continues(a, b, x):
    for i in range(5):
        with held(a):
            if i > x:
                continue
            x += 1
    with held(b):
        x += 10
        if x > 12:
            return -x
    return x


def nested(a, b, x):
    with held(a):
        with held(b):
            if x == 1:
                return 1
            if x == 3:
                fail(x)
            x += 10 * b.locked() + 100 * a.locked()
        if b.locked():
            return -1
        if x == 112:
            return 2
        if x == 114:
            fail(x)
    return x + a.locked() + b.locked()


def nested_in_one(a, b, x):
    with held(a), held(b):
        if x == 1:
            return a.locked() + b.locked()
        fail(x - 2)
    return 3


def nested_empty(a, b, x):
    with held(a):
        with held(b):
            pass
    return x


def nested_in_loops(a, b, x):
    n = 0
    for i in range(5):
        with held(a):
            for j in range(5):
                with held(b):
                    if j == x:
                        break
                    if i == x + 1:
                        continue
                    n += 1 + a.locked() + 2 * b.locked()
                    if n == 40:
                        return n
                n += 100 * b.locked()
                if i == x:
                    break
            else:
                n += 100
            if i == 3:
                continue
            n += 1000
        n += 10000 * a.locked()
    return n


def released_in_body(a, b, x):
    with held(a):
        a.release()
        fail(x)


def acquire_fails(a, b, x):
    with held(a):
        with held(a):
            x = 1
    return x


def after_a_try(a, b, x):
    try:
        fail(x)
    except Exception:
        x = 5
    with held(a):
        x += a.locked()
    return x


def values_cross(a, b, x):
    v, t, k = np.arange(3), (1, "a", 2.5), 4

    def add(y):
        return y + k

    items = [1]
    with held(a):
        w = v * 2
        s = t[1] + "b"
        items.append(add(x))
        v[0] += 7
        squares = [i * i for i in range(3)]
    return float(w.sum()), s, items, int(v[0]), squares


def optional(a, b, x):
    y = None
    with held(a):
        if x:
            y = x
    return y


def unset_on_another_way(a, b, x):
    with held(a):
        if x:
            y = np.ones(x)
    if x:
        return float(y.sum())
    return 0.0


def by_module(a, b, x):
    with interlock.held(a):
        return x + a.locked()


def raises(a, b, x):
    with held(a):
        if x == 1:
            raise ValueError("one", 1)
        if x == 2:
            raise KeyError
        if x == 3:
            raise AssertionError("three")
    return x


def raises_value(a, b, x):
    with held(a):
        if x > 3:
            raise ValueError(x, "is too much")
    return x


def raises_always(a, b, x):
    with held(a):
        raise ValueError("x")


def raises_in_a_loop(a, b, x):
    for i in range(5):
        with held(a), held(b):
            if i == x:
                raise IndexError("i")
            if i == 3:
                return i
    return x


def try_around(a, b, x):
    try:
        with held(a):
            fail(x)
            x += a.locked()
    except Exception:
        x = 9 + 100 * a.locked()
    return x


def try_around_two(a, b, x):
    n = 0
    for i in range(4):
        try:
            with held(a):
                if i == 0:
                    continue
                with held(b):
                    fail(i - x)
                    n += 1
                if i == 3:
                    break
                fail(x - 2)
                n += 10
        except Exception:
            n += 100 + 1000 * (a.locked() + b.locked())
    return n


def try_around_returns(a, b, x):
    try:
        with held(a):
            if x == 1:
                return 1
            fail(x)
            return 2
    except Exception:
        return 3 + a.locked()
    return 4


def try_inside(a, b, x):
    with held(a):
        try:
            fail(x)
            x = 7
        except Exception:
            x = 9 + a.locked()
        x += a.locked()
    return x


def try_inside_returns(a, b, x):
    for i in range(3):
        with held(a):
            try:
                fail(x)
                if i == 1:
                    return 20
            except Exception:
                if x == 2:
                    return 30 + a.locked()
                if x == 3:
                    break
                continue
            finally:
                x += 1
    return x


def try_raises_inside(a, b, x):
    with held(a):
        try:
            if x == 1:
                raise ValueError("x")
            with held(b):
                if x == 2:
                    raise KeyError("y")
        except Exception:
            x = 10 + a.locked() + 2 * b.locked()
        if x == 3:
            raise IndexError("z")
    return x


def try_on_both_sides(a, b, x):
    n = 0
    try:
        with held(a):
            try:
                with held(b):
                    fail(x - 1)
                    n += 1
                n += 10
            except Exception:
                n += 100 * a.locked() + 1000 * b.locked()
            fail(x)
    except Exception:
        n += 10_000 * (1 + a.locked() + b.locked())
    return n


def acquire_fails_in_a_try(a, b, x):
    try:
        with held(b):
            with held(b):
                x = 1
    except Exception:
        x = 2 + 10 * b.locked()
    return x


def iterator_across_a_try(a, b, x):
    n = 0
    for i in range(3):
        for j in (1, 2, 3):
            try:
                with held(a):
                    fail(i - x)
                    n += j
            except Exception:
                n += 100
    return n


def fails_after_a_try_with_a_loop(a, b, x):
    n = 0
    with held(a):
        try:
            while n < 3:
                n += 1
                with held(b):
                    if n == x:
                        break
            n += 10
        except Exception:
            if x > 7:
                return 7
    fail(x)
    return n


def fails_after_a_try_that_may_return(a, b, x):
    n = 0
    try:
        for i in range(3):
            with held(b):
                if i == x:
                    return i
                fail(x - 4)
            n += 1
        n += 10
    except Exception:
        n += 100
    fail(x - 5)
    return n


def under_a_name(a, b, x):
    h = held(a)
    with h:
        x += a.locked()
    return x


def lock_of_two(a, b, x):
    lock = a
    if x % 2:
        lock = b
    with lock:
        x += a.locked() + 10 * b.locked()
        lock = a  # the lock that was acquired is released
    return x + 100 * a.locked() + 1000 * b.locked()


def in_tuple(a, b, x):
    t = (a, (b, 1))
    with t[0]:
        with t[1][0]:
            x += a.locked() + b.locked()
    return x


def set_in_two_places(a, b, x):
    m = 0
    for v in (3, x, 2):
        with held(a):
            m = max(m, v)
    i, steps = 4, 0
    parent = np.array([0, 0, 1, 2, 3])
    while parent[i] != i and steps < 100:
        with held(a):
            i = parent[i]
        steps += 1
    n = -x
    with held(a):
        n = -n
        if x > 2:
            n = abs(n - 20)
    return m, i, steps, n, not n


def lists_and_slices(a, b, x):
    out = []
    v = np.arange(6)
    for i in range(x):
        with held(a):
            out.append(i)
            v = v[1:]
        with held(b):
            v = np.append(v, i)
    return len(out), v.sum(), list(v)


def closure(a, b, x):
    n = np.zeros(2)

    def add(v):
        with held(a):
            if v == 3:
                return 5
            n[0] += v
        return a.locked()

    m = add(x)
    with held(b):
        m += add(x + 1)
    return m, n[0]


@njit(inline="always")
def inlined_add(lock, n, v):
    with held(lock):
        n[0] += v
        fail(v - 2 if v > 2 else 0)
        if v == 2:
            return 7
    return 1


def inlined(a, b, x):
    n = np.zeros(1)
    with held(b):
        r = inlined_add(a, n, x)
    r += inlined_add(b, n, 1)
    return r, n[0]


KERNELS = [
    normal, function_fails, division_fails, index_fails, returns, returns_only, returns_twice, returns_nothing,
    returns_perhaps, breaks_and_continues, while_loop, loop_in_body, two_in_a_loop, one_after_a_loop_that_continues,
    nested, nested_in_one, nested_empty, nested_in_loops, released_in_body, acquire_fails, after_a_try, values_cross,
    optional, unset_on_another_way, by_module, raises, raises_value, raises_always, raises_in_a_loop, try_around,
    try_around_two, try_around_returns, try_inside, try_inside_returns, try_raises_inside, try_on_both_sides,
    acquire_fails_in_a_try, fails_after_a_try_with_a_loop, fails_after_a_try_that_may_return,
    iterator_across_a_try, under_a_name, lock_of_two, in_tuple, set_in_two_places, lists_and_slices, closure, inlined,
]  # fmt: skip


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except Exception as e:
        # Numba's message for a division by zero differs.
        return type(e), None if isinstance(e, (ZeroDivisionError, IndexError)) else e.args


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.__name__)
def test_kernel_does_as_python(kernel):
    compare(kernel, interlock.Mutex(), interlock.Mutex())


@pytest.mark.parametrize("kernel", [nested_in_loops, try_around_two, try_on_both_sides, inlined], ids=lambda k: k.__name__)
def test_jitclasses(kernel):
    compare(kernel, Mutex(False, False), Mutex(False, False))


def compare(kernel, a, b):
    if kernel is raises_value and numba.version_info < (0, 57):
        pytest.skip("Numba 0.56 raises only constants")
    compiled = njit(kernel)
    for x in range(6):
        assert outcome(compiled, a, b, x) == outcome(kernel, a, b, x), x
        assert not a.locked() and not b.locked(), x
    a.close()
    b.close()


def yields(a, x):
    with held(a):
        yield x


def no_lock(a, x):
    with held():
        return x


def not_a_lock(a, x):
    with held(x):
        return x


def keyword(a, x):
    with held(lock=a):
        return x


def bound(a, x):
    with held(a) as b:  # noqa: F841
        return x


def object_mode(a, x):
    with objmode():
        with held(a):
            print(x)
    return x


def by_name(a, x):
    with held:
        return x


def readers_writer_lock(a, x):
    with RW:
        return x


def lock_array(a, x):
    with LOCKS:
        return x


def event(a, x):
    with EVENT:
        return x


def mode_at_run_time(a, x):
    with held(RW, "read" if x else "write"):
        return x


def unknown_mode(a, x):
    with held(RW, "reed"):
        return x


RW, LOCKS, EVENT = interlock.RWLock(), interlock.LockArray(4), interlock.Event()

# Kernels, and the text of their errors.
REFUSED = [
    (yields, r"a generator cannot yield inside `with held\(lock\):`"),
    (no_lock, r"held takes a lock: write `with held\(lock\):`"),
    (not_a_lock, r"take a lock of interlock, .* not int64: write `with lock:`"),
    (keyword, "by position: `with held"),
    (bound, r"cannot write `with \.\.\. as x`: write `with lock:`"),
    (object_mode, "cannot stand inside `with objmode`"),
    (by_name, r"`with held:` lacks the call: write `with held\(lock\):`"),
    (readers_writer_lock, r"write `with rw\.reading\(\):` or `with rw\.writing\(\):`"),
    (lock_array, r"write `with locks\.held\(i\):`"),
    (event, "Event has no method `acquire`"),
    (mode_at_run_time, "the mode must be a constant string"),
    (unknown_mode, "RWLock has no method `acquire_reed`"),
]


@pytest.mark.parametrize("kernel, sentence", REFUSED, ids=lambda k: getattr(k, "__name__", ""))
def test_what_it_cannot_do_is_an_error_when_compiled(kernel, sentence):
    a = Mutex(False, False)
    with pytest.raises(UNSUPPORTED, match=sentence) as e:
        njit(kernel)(a, 1)
    # The sentence comes first, after Numba's heading, and the line is shown.
    lines = [line for line in str(e.value).splitlines() if line and not line.startswith("Failed in")]
    assert re.search(sentence, lines[0]), str(e.value)
    assert re.search(r"line \d+|\(\d+\)", str(e.value))
    assert not a.locked()
    a.close()


def test_a_function_carries_what_the_body_cannot():
    @njit
    def careful(x):
        try:
            fail(x)
        except Exception:
            return 9
        return 0

    @njit
    def under_lock(a, x):
        with held(a):
            r = careful(x)
            fail(x - 1)
        return r

    @njit
    def caught(a, x):
        try:
            return under_lock(a, x)
        except Exception:
            return -1

    a = Mutex(False, False)
    assert [caught(a, x) for x in range(3)] == [-1, 9, -1]
    with pytest.raises(ValueError) as e:
        under_lock(a, 2)
    assert e.value.args == ("failed", 3)
    assert not a.locked()
    a.close()


def test_excludes_threads():
    @njit(nogil=True)
    def add(lock, total, n):
        for i in range(n):
            with held(lock):
                if i % 3 == 0:
                    total[0] += 2
                    continue
                if i % 7 == 0:
                    fail(0)
                total[0] += 1

    lock, total, n = Mutex(False, False), np.zeros(1, np.int64), 30_000
    add(lock, total, 0)
    threads = [threading.Thread(target=add, args=(lock, total, n)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == 4 * (n + n // 3)
    lock.close()


def test_excludes_iterations_of_a_prange():
    @njit(nogil=True, parallel=True)
    def count(lock, bins, x):
        for i in prange(len(x)):
            with held(lock):
                if x[i] < 0:
                    continue
                bins[x[i]] += 1
                bins[:] += 1  # parallel code in parallel code, if the body were compiled so

    lock, bins, x = Mutex(False, False), np.zeros(4, np.int64), np.arange(20_000) % 5 - 1
    count(lock, bins, x)
    assert (bins == 20_000 // 5 * 4 + 20_000 // 5).all()
    assert not lock.locked()
    lock.close()


def test_a_prange_in_the_body():
    @njit(parallel=True)
    def total(lock, x):
        s = 0
        with held(lock):
            for i in prange(len(x)):
                s += x[i]
        return s

    lock = Mutex(False, False)
    assert total(lock, np.arange(1000)) == 499_500
    assert not lock.locked()
    lock.close()


def test_a_body_in_object_mode_that_raises():
    @njit
    def parse(lock, x):
        with held(lock):
            with objmode(y="int64"):
                y = int("12x"[:x])
        return y

    lock = Mutex(False, False)
    assert parse(lock, 2) == 12
    with pytest.raises(ValueError, match="12x"):
        parse(lock, 3)
    assert not lock.locked()
    lock.close()


def test_a_semaphore():
    @njit
    def use(s, x):
        with held(s):
            fail(x)
            return s.value

    s = Semaphore(2, 2)
    assert use(s, 0) == 1
    with pytest.raises(ValueError):
        use(s, 1)
    assert s.value == 2
    s.close()


@pytest.mark.parametrize("new", [interlock.Lock, interlock.Mutex, interlock.RLock, interlock.Condition])
def test_objects(new):
    @njit
    def use(lock, x):
        with held(lock):
            fail(x)
            return 5

    lock = new()
    assert use(lock, 0) == 5
    with pytest.raises(ValueError):
        use(lock, 1)
    assert lock.acquire(False)
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


def test_modes_and_elements():
    @njit
    def read(rw, x):
        with held(rw, "read"):
            fail(x)
            return True

    @njit
    def write(rw, x):
        with held(rw, "write"):
            fail(x)
            return True

    @njit
    def element(locks, x):
        with held(locks, 2):
            fail(x)
            return not locks.acquire(2, False)

    @njit
    def pair(locks, x):
        with held(locks, "pair", 0, 1):
            fail(x)
            return not locks.acquire(1, False)

    @njit
    def section(locks, x):
        with held(locks, "range", 3, 5):
            fail(x)
            return not locks.acquire(4, False)

    rw, locks = interlock.RWLock(), interlock.LockArray(5)
    for kernel, lock in (read, rw), (write, rw), (element, locks), (pair, locks), (section, locks):
        for function in (kernel, kernel.py_func):
            assert function(lock, 0)
            with pytest.raises(ValueError):
                function(lock, 1)
    assert rw.acquire_write(False)
    rw.release_write()
    for i in range(5):
        assert locks.acquire(i, False)
        locks.release(i)


def test_leaks_no_memory():
    @njit
    def use(lock, x):
        r = np.zeros(4)
        for i in range(x):
            with held(lock):
                if i % 3 == 1:
                    continue
                r = r + np.ones(4)
                if i == 7:
                    return r * 2
        return r

    if hasattr(_nrt_python, "memsys_enable_stats"):  # before Numba 0.57 they are always kept
        _nrt_python.memsys_enable_stats()
    lock = Mutex(False, False)
    use(lock, 5)
    before = rtsys.get_allocation_stats()
    for x in range(10):
        use(lock, x)
    after = rtsys.get_allocation_stats()
    assert after.alloc - before.alloc == after.free - before.free > 0
    lock.close()


CACHED = """
from numba import njit
from interlock import Mutex, held

@njit(cache=True)
def fail(x):
    if x == 2:
        raise ValueError("failed", 3)
    return x

@njit(cache=True)
def inner(a, b, x):
    with held(a):
        with held(b):
            if x == 1:
                return 10 + a.locked() + b.locked()
        x = fail(x)
    return x

@njit(cache=True)
def kernel(a, b, x):
    return inner(a, b, x)

a, b = Mutex(), Mutex()
assert kernel(a, b, 0) == 0 and kernel(a, b, 1) == 12
try:
    kernel(a, b, 2)
except ValueError as e:
    assert e.args == ("failed", 3)
else:
    raise AssertionError
assert not a.locked() and not b.locked()
print(sum(kernel.stats.cache_hits.values()))
"""


def test_is_cached_for_a_second_process(python, tmp_path):
    script = tmp_path / "cached.py"
    script.write_text(CACHED)
    hits = [python(script, NUMBA_CACHE_DIR=str(tmp_path / "cache")).stdout.strip() for _ in range(2)]
    assert hits == ["0", "1"]


def test_without_the_compiler(python):
    code = CACHED.replace("print(sum(kernel.stats.cache_hits.values()))", "print('ran')")
    assert python(code, NUMBA_DISABLE_JIT="1").stdout == "ran\n"


def test_does_not_import_numba():
    code = (
        "import sys, interlock\nlock = interlock.Lock()\n"
        "with interlock.held(lock): assert lock.locked()\nassert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_methods_and_arguments():
    class Noted:
        def __init__(self):
            self.calls = []

        def __getattr__(self, name):
            if name.partition("_")[0] not in ("acquire", "release"):
                raise AttributeError(name)
            return lambda *arguments: self.calls.append((name, *arguments))

    lock = Noted()
    with held(lock):
        pass
    with held(lock, 3):
        pass
    with held(lock, "read"):
        pass
    with pytest.raises(KeyError), held(lock, "pair", 1, 2):
        raise KeyError
    assert lock.calls == [
        ("acquire",), ("release",), ("acquire", 3), ("release", 3), ("acquire_read",), ("release_read",),
        ("acquire_pair", 1, 2), ("release_pair", 1, 2),
    ]  # fmt: skip
    with pytest.raises(AttributeError):
        held(3)


def test_one_inlined_function_with_two_kinds_of_locks():
    @njit(inline="always")
    def add(lock, a):
        with lock:
            a[0] += 1
            fail(a[0] - 3 if a[0] > 3 else 0)

    @njit
    def kernel(x, y, a):
        add(x, a)
        add(y, a)
        try:
            add(x, a)
            add(y, a)
        except Exception:
            return not x.locked() and not y.locked()
        return False

    assert kernel(interlock.Mutex(), interlock.RLock(), np.zeros(1, np.int64))


def test_a_try_around_a_with_in_a_closure():
    @njit
    def kernel(lock, a):
        def inner(v):
            try:
                with held(lock):
                    a[0] += 1
                    fail(v)
            except Exception:
                v += 1
            return v

        return inner(2) + inner(0)

    lock = Mutex(False, False)
    assert kernel(lock, np.zeros(1)) == 3 and not lock.locked()
    lock.close()


def test_a_try_around_a_with_of_a_captured_lock():
    """The `with` begins a block of its own, and Numba's "null()" stood for the handler's variables on the way there."""

    @njit
    def kernel(lock):
        def inner(v):
            try:
                with lock:
                    fail(v)
            except Exception:
                v += 1
            return v

        return inner(2) + inner(0)

    lock = interlock.Mutex()
    assert kernel(lock) == 3 and not lock.locked()


def test_a_with_in_a_handler_in_a_with():
    """Numba 0.56 did not reach the inner one: "illegal statements in with's head-block"."""

    @njit
    def kernel(outer, inner, a, v):
        with outer:
            try:
                fail(v)
            except Exception:
                v = -1
                with inner:
                    a[1] += 1
        return v

    outer, inner, a = interlock.Mutex(), interlock.Mutex(), np.zeros(2, np.int64)
    assert kernel(outer, inner, a, 0) == 0 and kernel(outer, inner, a, 3) == -1
    assert a[1] == 1 and not outer.locked() and not inner.locked()


def test_methods_for_a_with():
    @njit
    def write(rw, x):
        with rw.writing():
            if x == 1:
                rw.downgrade()
            fail(x - 1 if x > 1 else 0)
        with rw.reading():
            return not rw.acquire_write(False)

    @njit
    def hold(locks, x):
        with locks.held(x):
            alone = not locks.acquire(x, False)
        with locks.holding(x):
            alone &= not locks.acquire(x, False)
        with locks.held_pair(x, 0):
            alone &= not locks.acquire(0, False)
        with locks.held_range(1, 3):
            fail(x - 1)
            return alone and not locks.acquire(2, False)

    rw, locks = interlock.RWLock(), interlock.LockArray(3)
    for write_or in (write, write.py_func):
        assert write_or(rw, 0) and write_or(rw, 1)
        with pytest.raises(ValueError):
            write_or(rw, 2)
        assert rw.acquire_write(False)
        rw.release_write()
    for hold_or in (hold, hold.py_func):
        assert hold_or(locks, 1)
        with pytest.raises(ValueError):
            hold_or(locks, 2)
        with pytest.raises(ValueError, match=r"index 3 .*length 3"):
            hold_or(locks, 3)
        assert locks.acquire_range(0, 3, False)
        locks.release_range(0, 3)


class Striped:
    """A user's lock."""

    def __init__(self):
        self.calls = []

    def acquire(self, index, *, timeout=None):
        self.calls.append(("acquire", index))

    def release(self, number):
        self.calls.append(("release", number))

    def acquire_many(self, *indices):
        self.calls.append(("acquire", *indices))

    release_many = release


class Weighted(interlock.Semaphore):
    def acquire(self, n=1):
        return all([super(Weighted, self).acquire() for _ in range(n)])


NOT_TAKEN = [
    (interlock.Lock, (False,)),
    (interlock.Mutex, (0,)),
    (interlock.Mutex, (True, 1.5)),
    (interlock.RLock, (1.5,)),
    (interlock.Semaphore, (2,)),
    (lambda: interlock.BoundedSemaphore(3), (2,)),
    (interlock.RWLock, ("read", False)),
    (interlock.RWLock, ("write", 1)),
    (interlock.Condition, (False,)),
    (lambda: interlock.LockArray(4), (1, False)),
    (lambda: interlock.LockArray(4), ("pair", 0, 1, False)),
    (lambda: interlock.LockArray(4), ("range", 0, 1, True, 5)),
    (Striped, (1, 2)),
]


@pytest.mark.parametrize("new, arguments", NOT_TAKEN, ids=lambda x: getattr(x, "__name__", str(x)))
def test_arguments_that_the_release_does_not_take_are_refused_at_once(new, arguments):
    """The block ran, even without the lock; then the release failed, or released two where one was acquired."""
    lock = new()
    before = repr(lock).partition(" at ")
    with pytest.raises(TypeError, match="do not both take these arguments"):
        held(lock, *arguments)
    assert repr(lock).partition(" at ") == before


def test_arguments_that_both_take():
    striped, semaphore, locks = Striped(), Weighted(3), interlock.LockArray(4)
    with held(striped, 7), held(striped, "many", 5):
        pass
    assert striped.calls == [("acquire", 7), ("acquire", 5), ("release", 5), ("release", 7)]
    with held(semaphore, 2):
        assert semaphore.value == 1
    assert semaphore.value == 3
    with held(locks, 1), held(locks, "pair", 2, 3), held(threading.Lock()):
        assert not locks.acquire(0) or locks.release(0) is None
