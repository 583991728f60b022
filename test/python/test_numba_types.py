"""interlock's objects in kernels: as arguments, in containers, jitclasses, globals; their methods, errors and lifetime."""

import gc
import re
import sys
import threading
import weakref
from collections import namedtuple

import numpy as np
import pytest
from numba import njit, prange, typed, typeof, types
from numba.core.errors import NumbaWarning, TypingError
from numba.experimental import jitclass
from numba.extending import as_numba_type

import interlock
from conftest import PATIENCE, live
from interlock import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Counter,
    ErrorSlot,
    Event,
    HandleError,
    Latch,
    Local,
    Lock,
    LockArray,
    Mutex,
    Once,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    Tally,
    held,
    words,
)
from interlock._numba.methods import METHODS

MAKE = {
    "Barrier": lambda: Barrier(1),
    "BoundedSemaphore": lambda: BoundedSemaphore(2),
    "Condition": Condition,
    "Counter": Counter,
    "ErrorSlot": ErrorSlot,
    "Event": Event,
    "Latch": lambda: Latch(2),
    "Local": Local,
    "Lock": Lock,
    "LockArray": lambda: LockArray(4),
    "Mutex": Mutex,
    "Once": Once,
    "Queue": lambda: Queue(2),
    "RLock": RLock,
    "RWLock": RWLock,
    "Semaphore": Semaphore,
    "Tally": Tally,
}

# What is called on a new object `x`; a kernel must return what Python returns.
CALLS = {
    "Barrier": [
        "x.wait(), x.wait(1), x.wait(timeout=None), x.parties, x.n_waiting, x.broken",
        "x.abort(), x.broken, x.reset(), x.broken, x.wait()",
        "x.abort(), x.wait()",
    ],
    "BoundedSemaphore": ["x.acquire(), x.value, x.release(), x.value", "x.release()", "x.acquire(), x.release(2)"],
    "Condition": [
        "x.acquire(), x.locked(), x.wait(0.01), x.wait(timeout=-3), x.notify(), x.notify(2), x.notify(n=0), x.release()",
        "x.acquire(True, 0.5), x.notify_all(), x.notify(2**40), x.notify(-1), x.release(), x.locked()",
        "x.wait(0.01)",
        "x.notify()",
        "x.notify_all()",
    ],
    "Counter": [
        "x.load(), x.fetch_add(), x.fetch_add(delta=5), x.exchange(-2**63), x.load(), x.store(4), x.load()",
        "x.compare_exchange(0, 9), x.compare_exchange(expected=0, desired=8), x.wait(9), x.wait(10, 0.01), x.wait(9, None)",
    ],
    "ErrorSlot": [
        "x.is_set(), x.code(), x.where(), x.set(3), x.set(code=4, where=2), x.code()",
        "x.set(1), x.clear(), x.is_set(), x.raise_if_set()",
    ],
    "Event": ["x.is_set(), x.wait(0.01), x.wait(0), x.wait(-5), x.wait(-1), x.set(), x.wait(), x.clear(), x.is_set()"],
    "Latch": [
        "x.value, x.add(), x.add(3), x.count_down(n=5), x.wait(0.01), x.count_down(), x.wait(), x.wait(1), x.value",
        "x.count_down(3)",
        "x.add(-1)",
    ],
    "Local": ["x.get(), x.set(-3), x.get(), x.set(2**63 - 1), x.get()"],
    "Lock": [
        "x.acquire(), x.locked(), x.acquire(False), x.acquire(timeout=0.01), x.acquire(True, 0.01), x.release(), x.locked()",
        "x.acquire(blocking=1), x.acquire(0), x.acquire(timeout=0)",
        "x.release()",
        "x.acquire(False, 1)",
        "x.acquire(True, -2)",
        "x.acquire(True, 1e100)",
        "x.acquire(True, 1e400 - 1e400)",
    ],
    "LockArray": [
        "x.acquire(1), x.acquire(i=2, blocking=False), x.release(1), x.release(2), len(x)",
        "x.acquire_pair(3, 1), x.release_pair(1, 3), x.acquire_pair(2, 2), x.release_pair(2, 2)",
        "x.acquire_range(0, 4), x.release_range(0, 4), x.acquire_range(begin=1, end=1), x.release_range(1, 1)",
        "x.acquire_pair(0, 1, True, 0.1), x.acquire_range(2, 4, blocking=False), x.release_range(0, 4)",
        "x.acquire(4)",
        "x.acquire(-1)",
        "x.release(0)",
        "x.acquire(0), x.acquire(0)",
        "x.acquire_range(2, 5)",
    ],
    "Mutex": ["x.acquire(), x.acquire(False), x.release(), x.locked()", "x.acquire(), x.acquire(True, 1)", "x.release()"],
    "Once": [
        "x.begin(), x.end(False), x.begin(), x.end(succeeded=True), x.begin()",
        "x.end()",
        "x.begin(), x.begin()",
    ],
    "Queue": [
        "x.put(7), x.put(8, False), x.qsize(), x.full(), x.empty(), x.get(), x.get(block=False), x.empty(), x.capacity",
        "x.put_nowait(3), x.closed, x.close(), x.closed, x.get_nowait(), x.qsize()",
        "x.get(False)",
        "x.get(True, 0.01)",
        "x.get_nowait()",
        "x.get(timeout=-0.5)",
        "x.put(1), x.put(2), x.put(3, timeout=0.01)",
        "x.put(1), x.put(2), x.put_nowait(3)",
        "x.close(), x.put(1)",
        "x.close(), x.get()",
    ],
    "RLock": ["x.acquire(), x.acquire(timeout=1), x.release(), x.locked(), x.release(), x.locked()", "x.release()"],
    "RWLock": [
        "x.acquire_read(), x.acquire_read(False), x.release_read(), x.release_read()",
        "x.acquire_write(timeout=0.1), x.downgrade(), x.release_read(), x.acquire_write(), x.release_write()",
        "x.release_write()",
        "x.release_read()",
        "x.downgrade()",
        "x.acquire_read(), x.acquire_write()",
    ],
    "Semaphore": [
        "x.acquire(), x.acquire(False), x.acquire(timeout=0.01), x.acquire(True, -0.5), x.acquire(timeout=-1), x.release(2)",
        "x.acquire(True, None), x.release(n=1), x.value",
        "x.release(0)",
        "x.release(2**40)",
        "x.acquire(False, 0.1)",
    ],
    "Tally": ["x.add(), x.add(delta=5), x.sum(), x.reset(), x.sum(), x.add(-2**63), x.sum()"],
}


def function(expression):
    scope = {}
    exec(f"def call(x): return {expression}", scope)
    return scope["call"]


def outcome(call, thing):
    try:
        return call(thing)
    except Exception as error:
        # Some that a kernel raises are subclasses of what Python raises.
        kind = next(each for each in type(error).__mro__ if not each.__module__.startswith("interlock._numba"))
        return kind, error.args


@pytest.mark.parametrize("kind", MAKE)
def test_answers_as_in_python(kind):
    for expression in [*CALLS[kind], "x.handle > 0, x.closed"]:
        call = function(expression)
        in_python = outcome(call, MAKE[kind]())
        in_kernel = outcome(njit(call), MAKE[kind]())
        assert in_kernel == in_python, expression


@pytest.mark.parametrize("kind", MAKE)
def test_every_method_is_tested_here(kind):
    called = " ".join(CALLS[kind])
    for name in METHODS[kind]:
        assert name.startswith("_") or f"x.{name}" in called, name
    public = {name for name in dir(getattr(interlock, kind)) if not name.startswith("_")}
    # Only for Python: callbacks, methods with Python objects, freeing, and old names.
    python = {"close", "call", "lock", "isSet", "notifyAll"}
    elsewhere = {"holding", "held", "held_pair", "held_range", "reading", "writing", "wait_for"}  # test_held, test_condition
    assert public - {"handle", "closed"} - python - elsewhere <= set(METHODS[kind])


@pytest.mark.parametrize("kind", sorted(set(MAKE) - {"Queue"}))
def test_closed_raises(kind):
    first = CALLS[kind][0].partition("),")[0]
    call = function(first if "(" not in first else first + ")")
    thing = MAKE[kind]()
    njit(call)(thing)
    thing = MAKE[kind]()
    thing.close()
    with pytest.raises(HandleError):
        njit(call)(thing)
    assert njit(function("x.closed"))(thing)


def test_bad_arguments_are_typing_errors():
    for expression in ("x.acquire('x')", "x.release(1.5)", "x.nothing()", "x.acquire(1, 2, 3)", "x.acquire(foo=3)"):
        with pytest.raises(TypingError):
            njit(function(expression))(Semaphore())
    with pytest.raises(TypingError, match=r"none of interlock.s is for Python code alone"):
        njit(function("x.acquire()"))(Condition(threading.Lock()))


@pytest.mark.parametrize(
    ("new", "expression", "name"),
    [
        (Counter, "x.fetch_add(None)", "delta"),
        (Counter, "x.wait(None)", "at_least"),
        (lambda: Queue(1), "x.put(None)", "item"),
        (lambda: Queue(1), "x.get(None)", "block"),
        (Once, "x.end(None)", "succeeded"),
        (Lock, "x.acquire(None)", "blocking"),
        (Lock, "x.acquire(True, None)", "timeout"),
        (RWLock, "x.acquire_read(timeout=None)", "timeout"),
        (lambda: LockArray(1), "x.acquire(0, True, None)", "timeout"),
        (lambda: LockArray(1), "x.acquire(None)", "i"),
    ],
)
def test_none_is_an_argument_only_where_it_is_the_default(new, expression, name):
    """A lock's timeout of None would wait forever, where Python has a TypeError; elsewhere the message named no argument."""
    with pytest.raises(TypingError, match=f"the argument `{name}` must be .*, not none"):
        njit(function(expression))(new())

    @njit
    def by_default(x, nothing=None):
        return x.acquire(True, nothing)

    with pytest.raises(TypingError, match="the argument `timeout` must be a number of seconds, not none"):
        by_default(Lock())
    assert by_default(Semaphore())


@njit(nogil=True)
def add(lock, total, n):
    for _ in range(n):
        lock.acquire()
        total[0] += 1
        lock.release()


def in_threads(kernel, *arguments, threads=4):
    threads = [threading.Thread(target=kernel, args=arguments) for _ in range(threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("new", [Lock, RLock, Mutex, Semaphore, lambda: Mutex(fair=True)])
def test_exclusion(new):
    lock, total = new(), np.zeros(1, np.int64)
    n = 20_000
    add(lock, total, 0)
    in_threads(add, lock, total, n)
    assert total[0] == 4 * n


@njit
def _third(lock):
    lock.acquire()
    return lock.locked()


@njit
def _second(lock):
    return _third(lock)


@njit
def _first(lock):
    held = _second(lock)
    lock.release()
    return held and not lock.locked()


def test_through_three_levels():
    assert _first(Mutex())


def test_is_the_same_object_on_return():
    for new in MAKE.values():
        thing = new()
        assert njit(lambda x: x)(thing) is thing


def test_a_kernels_own_defaults_are_passed_on():
    @njit
    def acquire(lock, blocking=True, timeout=-1):
        return lock.acquire(blocking, timeout)

    @njit
    def release(semaphore, n=2, timeout=None):
        semaphore.release(n)
        return semaphore.acquire(timeout=timeout)

    lock, semaphore = Lock(), Semaphore(0)
    assert acquire(lock) and not acquire(lock, False) and not acquire(lock, timeout=0.01)
    assert release(semaphore) and semaphore.value == 1


Locks = namedtuple("Locks", "mutex counter")


def test_tuples_and_namedtuples():
    @njit
    def uniform(locks, i):
        locks[i].acquire()
        return locks[i].locked(), locks[0].locked()

    @njit
    def mixed(locks):
        locks[0].acquire()
        return locks[1].fetch_add(2)

    @njit
    def named(locks):
        locks.mutex.release()
        return locks

    a, b, counter = Mutex(), Mutex(), Counter()
    assert uniform((a, b), 1) == (True, False)
    assert mixed((a, counter)) == 0 and counter.load() == 2
    assert named(Locks(a, counter)).mutex is a and not a.locked()


def test_typed_containers_and_lists():
    @njit
    def acquire(locks, i):
        locks[i].acquire()
        return locks[i]

    @njit
    def grow(locks, lock):
        locks.append(lock)
        held = 0
        for one in locks:
            held += one.locked()
        return held

    @njit
    def collect(a, b):
        return [a, b]

    a, b = Mutex(), Mutex()
    locks = typed.List([a, b])
    assert acquire(locks, 1) is b and b.locked()
    assert grow(locks, b) == 2 and len(locks) == 3
    named = typed.Dict.empty(types.int64, typeof(a))
    named[5] = a
    assert acquire(named, 5) is a
    assert [x is y for x, y in zip(collect(a, b), (a, b))] == [True, True]


@jitclass([("lock", as_numba_type(Mutex)), ("n", types.int64)])
class Account:
    def __init__(self, lock):
        self.lock = lock
        self.n = 0

    def add(self, times):
        for _ in range(times):
            self.lock.acquire()
            self.n += 1
            self.lock.release()


def test_jitclass_attribute_keeps_it_alive():
    lock = Mutex()
    alive = weakref.ref(lock)
    account = Account(lock)
    account.add(1)
    assert account.lock is lock
    del lock
    gc.collect()
    assert alive() is not None
    in_threads(njit(nogil=True)(lambda account, n: account.add(n)), account, 1000)
    assert account.n == 4001
    del account
    gc.collect()
    assert alive() is None


def popped(counters):
    counters.pop().fetch_add(5)
    counter = counters.pop()
    return counter.fetch_add(5) + counters.pop().load()


def by_method(counters):
    add = counters.pop().fetch_add
    return add(1) + add(2)


def replaced(counters):
    first = counters[0]
    counters[0] = counters[1]
    return first.fetch_add(1) + 10 * first.load()


def in_a_prange(counters):
    seen = np.zeros(len(counters), np.int64)
    lock = np.zeros(1, np.uint32)
    for i in prange(len(seen)):
        words.lock(lock, 0)
        seen[i] = counters.pop().fetch_add(1)
        words.unlock(lock, 0)
    return seen.sum()


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("kernel", [popped, by_method, replaced, in_a_prange])
def test_an_object_that_only_a_variable_refers_to_is_alive_when_it_is_called(kernel, parallel):
    """It was closed: its last use was that of the method, before the call."""

    def counters():
        return [Counter(n) for n in (3, 4, 5)]

    result = kernel(counters())
    assert njit(parallel=parallel, nogil=True)(kernel)(typed.List(counters())) == result


def test_an_attribute_that_is_replaced_is_alive_when_it_is_called():
    @njit
    def kernel(account, other):
        lock = account.lock
        lock.acquire()
        account.lock = other
        lock.release()
        return lock.locked()

    assert not kernel(Account(Mutex()), Mutex())


@jitclass([("counters", types.ListType(as_numba_type(Counter)))])
class Stock:
    def __init__(self, counters):
        self.counters = counters

    @property
    def last(self):
        return self.counters.pop()


def test_an_object_that_a_property_makes_available_is_alive_when_it_is_called():
    """A property was taken for an attribute, which the jitclass keeps alive."""

    @njit
    def kernel(stock):
        add = stock.last.fetch_add
        return stock.last.load() + add(1)

    stock = Stock(typed.List([Counter(3), Counter(4)]))
    assert kernel(stock) == 7


def with_reading(locks):
    with locks.pop().reading():
        return 1


def with_reading_of_a_variable(locks):
    lock = locks.pop()
    with lock.reading():
        return 1


def with_held(locks):
    with held(locks.pop(), "read"):
        return 1


def with_held_in_a_loop(locks):
    n = 0
    while locks:
        lock = locks.pop()
        with held(lock, "write"):
            n += 1
    return n


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("kernel", [with_reading, with_reading_of_a_variable, with_held, with_held_in_a_loop])
def test_an_object_that_only_a_with_refers_to_is_alive_until_its_end(kernel, parallel):
    """It was closed before it was acquired."""
    before = live()
    result = njit(parallel=parallel)(kernel)(typed.List([RWLock()]))  # an assert would keep its parts alive
    assert result == 1 and live() == before


def test_a_barrier_that_only_a_variable_refers_to_runs_its_action():
    @njit
    def kernel(barriers):
        return barriers.pop().wait()

    ran = []
    barriers = typed.List([Barrier(1, action=lambda: ran.append(gc.collect())) for _ in range(3)])
    assert [kernel(barriers) for _ in range(3)] == [0, 0, 0] and len(ran) == 3


def test_annotated_jitclass():
    @jitclass
    class Shelf:
        locks: LockArray
        done: Event

        def __init__(self, locks, done):
            self.locks = locks
            self.done = done

    @njit
    def use(shelf):
        shelf.locks.acquire(1)
        shelf.done.set()

    done = Event()
    use(Shelf(LockArray(2), done))
    assert done.is_set()


GLOBAL = Mutex()


def test_global_and_closure():
    closed_over = Counter()

    @njit(nogil=True)
    def work(total, n):
        for _ in range(n):
            GLOBAL.acquire()
            total[0] += 1
            GLOBAL.release()
            closed_over.fetch_add()
        return GLOBAL

    total = np.zeros(1, np.int64)
    assert work(total, 1) is GLOBAL
    in_threads(work, total, 5000)
    assert total[0] == closed_over.load() == 20_001


def test_global_is_not_cached(tmp_path, python):
    (tmp_path / "kernel.py").write_text(
        "from numba import njit\nfrom interlock import Mutex\nlock = Mutex()\n"
        "@njit(cache=True)\ndef held():\n    lock.acquire()\n    lock.release()\n    return 1\n"
    )
    main = "import kernel\nassert kernel.held() == 1 and not kernel.lock.locked()\n"
    for _ in range(2):
        assert NumbaWarning.__name__ in python(main).stderr


def test_global_lives_as_long_as_its_kernel():
    def make():
        lock = Mutex()
        return njit(lambda: lock.acquire() and lock.release() is None), weakref.ref(lock)

    work, lock = make()
    assert work()
    gc.collect()
    assert work() and not lock().locked()


def test_subclass_is_its_base():
    class Named(Mutex):
        name = "x"

    mutex = Named()
    assert njit(lambda x: x.acquire() and x.locked())(mutex) and mutex.locked()


@pytest.mark.parametrize("kind", MAKE)
def test_no_reference_is_lost(kind):
    @njit
    def plain(x, n):
        for _ in range(n):
            y = x
        return y

    @njit
    def held(x):
        return typed.List([x, x])[0], (x, x)

    thing = MAKE[kind]()
    before = None
    for _ in range(5):
        plain(thing, 10)
        held(thing)
        after = sys.getrefcount(thing)
        assert before in (None, after)
        before = after
    alive = weakref.ref(thing)
    del thing
    gc.collect()
    assert alive() is None


def test_no_reference_is_lost_without_the_gil():
    mutex, total = Mutex(), np.zeros(1, np.int64)
    add(mutex, total, 1)
    before = sys.getrefcount(mutex)
    for _ in range(5):
        in_threads(add, mutex, total, 100)
    assert sys.getrefcount(mutex) == before


def test_loop_counts_no_references():
    """In a loop, a method is a call of the C function, without Numba's reference counting."""
    add(Mutex(), np.zeros(1, np.int64), 1)
    for code in add.inspect_llvm().values():
        calling = [block for block in re.split(r"\n(?:}|[^\s;]+:)", code) if re.search(r" call .*@ilk_", block)]
        assert len(calling) == 2
        assert not any("NRT_" in block for block in calling)


def test_except_in_a_kernel():
    @njit
    def release(mutex, seen):
        try:
            mutex.release()
            seen[0] = 1
        except Exception:
            seen[1] = 1
        return seen

    assert list(release(Mutex(), np.zeros(2))) == [0, 1]


ITEMS = Counter()


@njit
def _is_there():
    return ITEMS.load() > 0


def test_wait_for_a_compiled_predicate():
    @njit(nogil=True)
    def look(condition, timeout):
        condition.acquire()
        found = condition.wait_for(_is_there, timeout)
        condition.release()
        return found

    @njit(nogil=True)
    def take(condition):
        condition.acquire()
        condition.wait_for(_is_there)
        ITEMS.fetch_add(-1)
        condition.release()

    condition = Condition()
    assert not look(condition, 0.01)
    with pytest.raises(RuntimeError):  # it waits once at least, and needs the lock for that
        njit(lambda condition: condition.wait_for(_is_there, 0))(condition)
    ITEMS.store(1)
    assert look(condition, 0.01)
    take(condition)
    assert ITEMS.load() == 0
    thread = threading.Thread(target=take, args=(condition,))
    thread.start()
    with condition:
        ITEMS.store(1)
        condition.notify()
    thread.join(PATIENCE)
    assert not thread.is_alive() and ITEMS.load() == 0


def test_kernels_and_python_share_a_queue():
    @njit(nogil=True)
    def double(inbox, outbox, n):
        for _ in range(n):
            outbox.put(2 * inbox.get())

    inbox, outbox = Queue(2), Queue(2)
    thread = threading.Thread(target=double, args=(inbox, outbox, 50))
    thread.start()
    for i in range(50):
        inbox.put(i)
        assert outbox.get(timeout=PATIENCE) == 2 * i
    thread.join(PATIENCE)


def test_barrier_takes_its_own_timeout():
    with pytest.raises(threading.BrokenBarrierError):
        njit(lambda x: x.wait())(Barrier(2, timeout=0.01))
    with pytest.raises(threading.BrokenBarrierError):
        njit(lambda x: x.wait(0.01))(Barrier(2))


def test_acquire_after_a_death_succeeds(in_thread):
    """The classes warn; a kernel cannot, and ilk_mutex_lock returns ILK_OWNER_DIED there."""
    mutex = Mutex()
    in_thread(mutex.acquire)
    assert njit(lambda x: x.acquire() and x.release() is None)(mutex)


def test_in_prange_exclusion():
    @njit(parallel=True, nogil=True)
    def count(lock, locks, total, n):
        for i in prange(n):
            lock.acquire()
            total[0] += 1
            lock.release()
            locks.acquire(i % 4)
            total[1 + i % 4] += 1
            locks.release(i % 4)

    lock, locks, total = Mutex(), LockArray(4), np.zeros(5, np.int64)
    count(lock, locks, total, 20_000)
    assert list(total) == [20_000] + [5_000] * 4
    before = sys.getrefcount(lock)
    count(lock, locks, total, 20_000)
    assert sys.getrefcount(lock) == before


PRANGE = """
import sys, warnings
import numpy as np
import numba
from numba import njit, prange
from interlock import Mutex

@njit(parallel=True, nogil=True)
def work(mutex, total, n, bad):
    for i in prange(n):
        mutex.acquire()
        total[0] += 1
        mutex.release()
        if i == bad:
            mutex.release()

mutex, total = Mutex(), np.zeros(1, np.int64)
try:
    work(mutex, total, 20_000, -1)
except Exception as error:  # some versions of Numba wrap the ValueError
    if "No threading layer could be loaded" not in str(error):
        raise
    print("absent")
    sys.exit()
assert total[0] == 20_000 and not mutex.locked()
assert numba.threading_layer() == sys.argv[1]
total[0] = 0
try:
    work(mutex, total, 20_000, 0)
    print("lost", total[0])
except SystemError as error:
    assert type(error.__cause__) is RuntimeError
    print("SystemError", total[0])
"""


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
def test_in_prange_of_each_layer(layer, python):
    """Exclusion, and the fate of an exception as described in docs/numba.md."""
    what, *done = python(PRANGE, layer, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2", timeout=120).stdout.split()
    if what == "absent":
        pytest.skip(f"Numba's threading layer {layer} is not installed here")
    assert what in (("lost",) if layer == "workqueue" else ("lost", "SystemError"))
    # The share of the thread that raised has ended there, the other shares have not.
    assert int(done[0]) < 20_000
    assert int(done[0]) > 1
