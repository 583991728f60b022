"""Calls from Python code: methods in C do what the Python methods do, which call C by ctypes."""

import ctypes
import json
import os
import re
import sys
import sysconfig
import threading
import time
import types
from unittest.mock import MagicMock

import pytest

import interlock
from conftest import WINE, live, needs_complex, until, until_waiting
from interlock import _calls, atomic, capi
from interlock._constants import ILK_EBUSY, ILK_EINVAL, ILK_ENOTSUP

ABI = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
KINDS = [interlock.Lock, interlock.RLock, interlock.Mutex, interlock.RWLock, interlock.Semaphore, interlock.BoundedSemaphore]
KINDS += [interlock.Condition, interlock.Event, lambda: interlock.Barrier(2), lambda: interlock.Latch(1), interlock.Once]
KINDS += [interlock.Counter, interlock.Tally, lambda: interlock.LockArray(3), lambda: interlock.Queue(2), interlock.Local]
KINDS += [interlock.ErrorSlot, lambda: interlock.PerThread(3), lambda: interlock.Queue(2, "f8")]
in_c = pytest.mark.skipif(_calls.WAY != "C", reason="calls are by ctypes")

# Each statement in a new namespace after the lines above it; what it gives, or raises, is the same both ways.
PROGRAM = """
import ctypes, json, warnings
import interlock
from interlock import *
from interlock import _calls, capi

def lock_in_thread(lock, handle):
    # Not one of Python's: those live on for a moment after a join.
    thread = capi.ilk_thread_start(ctypes.cast(lock, ctypes.c_void_p).value, handle)
    assert capi.ilk_thread_join(thread) == 0

def outcome(statement, names):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = repr(eval(statement, names))
        except BaseException as e:
            result = f"{type(e).__name__}: {e}"
    return [statement, result, *(f"{w.category.__name__} {w.filename} {w.lineno} {w.message}" for w in caught)]

def let_go(rw):
    for release in rw.release_read, rw.release_write:
        try:
            while True:
                release()
        except RuntimeError:
            pass

outcomes = []
for before, statements in json.loads(CASES):
    for statement in statements:
        names = dict(globals())
        exec(before, names)
        outcomes.append(outcome(statement, names))
        if "state" in names:
            outcomes[-1].append(repr(names["state"]()))
        if isinstance(names.get("x"), RWLock):
            let_go(names["x"])
print(json.dumps([_calls.WAY, outcomes]))
"""

ACQUIRES = [
    *("()", "(True)", "(False)", "(1)", "(0)", "(2)", "(None)", "([])", "('x')", "(2**70)"),
    *("(blocking=True)", "(blocking=False)", "(blocking=0)", "(True, -1)", "(True, 0)", "(True, 0.0)", "(True, 0.001)"),
    *("(timeout=-1)", "(timeout=-1.0)", "(timeout=0)", "(timeout=0.001)", "(timeout=True)", "(timeout=-2)"),
    *(
        "(timeout=None)",
        "(False, -1)",
        "(False, 0)",
        "(False, 1)",
        "(False, timeout=1)",
        "(blocking=False, timeout=-1)",
        "(False, None)",
    ),
    *("(timeout=1e9)", "(timeout=1e30)", "(timeout=float('nan'))", "(timeout=float('inf'))", "(timeout='1')"),
    *("(timeout=10**30)", "(True, True)", "(True, 1, 2)", "(True, blocking=True)", "(x=1)", "(True, x=1)", "(**{'': 1})"),
    *("(timeout=0, blocking=True)", "(timeout=0, blocking=False)"),
]
# These would wait forever if the lock is held.
WAITS = {"()", "(True)", "(1)", "(2)", "('x')", "(2**70)", "(blocking=True)", "(True, -1)", "(timeout=-1)", "(timeout=-1.0)"}
WAITS |= {"(timeout=1e9)", "(timeout=None)", "(timeout=True)", "(True, True)", "(**{'': 1})"}


GETS = ["(False)", "(block=False)", "(0)", "(False, None)", "(False, 1)", "(False, -1)", "(timeout=0)", "(True, 0.001)"]
GETS += ["(timeout=-1)", "(timeout=-2)", "(True, 0, 1)", "(x=1)", "(blocking=False)", "(timeout='x')", "(timeout=1e30)"]
PUTS = [f"(5, {a[1:]}" for a in GETS]
PUTS += ["()", "('x', False)", "(2**63, False)", "(-2**63, False)", "(True, False)", "(1.5, False)", "(None, False)"]
PUTS += ["(item=5, block=False)", "(5, False, item=1)", "(block=False)"]


def cases():
    for made in ("Lock()", "Mutex()", "Mutex(recursive=True)", "RLock()"):
        state = f"x = {made}\nstate = lambda: (x.locked(), x._recursion_count())\n"
        held = state + "x.acquire()\n"
        others = state + "lock_in_thread(capi.ilk_mutex_lock, x.handle)\n"  # and for all but Lock: its owner is dead
        closed = state + "state = lambda: x.closed\nx.close()\n"
        yield state, [f"x.{how}{a}" for how in ("acquire", "__enter__") for a in ACQUIRES]
        yield held, [f"x.acquire{a}" for a in ACQUIRES if a not in WAITS or made != "Lock()"]
        yield others, [f"x.acquire{a}" for a in ACQUIRES if a not in WAITS or made != "Lock()"]
        yield closed, [f"x.acquire{a}" for a in ACQUIRES if a not in ("(True, 0.001)", "(timeout=0.001)")]
        for before in (state, held, others, closed):
            yield before, ["x.release()", "x.release(1)", "x.release(x=1)", "x.locked()", "x.__exit__()"]
            yield before, ["x.__exit__(None, None, None)", "x.__exit__(1)", "x.__exit__(x=1)"]
    for kind in ("read", "write"):
        free = "x = RWLock()\n"
        held = f"{free}x.acquire_{kind}()\n"
        dead = f"{free}lock_in_thread(capi.ilk_rwlock_write_lock, x.handle)\n"
        for before in (free, held, dead, free + "x.close()\n"):
            yield before, [f"x.acquire_{kind}{a}" for a in ACQUIRES]
            yield before, [f"x.release_{kind}()", f"x.release_{kind}(1)"]
    for made in ("Semaphore(1)", "Semaphore(0)", "BoundedSemaphore(1)", "BoundedSemaphore(0)"):
        state = f"x = {made}\nstate = lambda: x.value\n"
        waits = WAITS if "0" in made else set()
        yield state, [f"x.acquire{a}" for a in ACQUIRES if a not in waits]
        yield state, ["x.__exit__(None, None, None)", "x.release()", "x.release(1)", "x.release(n=2)", "x.release(0)"]
        yield state, ["x.release(2**40)", "x.release('1')", "x.release(m=1)", "x.release(1, 2)", "x.release(None)"]
        closed = state + "state = lambda: x.closed\nx.close()\n"
        yield closed, ["x.acquire()", "x.release()", "x.__exit__()", "x.acquire(False)"]
    for before in ("", "x.acquire(1)\n", "x.acquire_pair(1, 2)\n", "x.close()\n"):
        locks = "x, i = LockArray(4), __import__('numpy').int64(1)\ntry_it = capi.ilk_lockarray_trylock\n"
        locks += "state = lambda: [try_it(x._handle, i) or capi.ilk_lockarray_unlock(x._handle, i) for i in range(4)]\n"
        indices = ["(1)", "(i=1)", "(4)", "(-1)", "(2**63)", "('1')", "(True)", "(None)", "()", "(i)"]
        indices += ["(1, 2)", "(1, 1)", "(j=2, i=1)", "(1, 9)", "(2, 1)", "(1, 2, 3)", "(1, None)", "(1, i)"]
        releases = ("release", "release_pair", "release_range")
        yield locks + before, [f"x.{release}{a}" for release in releases for a in indices]
    for made in ("held(m)", "held(a, 1)", "held(a, 'pair', 1, 2)", "Condition(m)", "Condition(c)"):
        names = "m, a, c = Mutex(), LockArray(4), __import__('threading').RLock()\n"
        names += f"x = {made}\nstate = lambda: (m.locked(), capi.ilk_lockarray_trylock(a.handle, 1))\n"
        for before in (names, names + "x.__enter__()\n"):
            yield before, ["x.__exit__(None, None, None)", "x.__exit__()", "x.__exit__(1)", "(x.__exit__(), x.__exit__())"]
    items = "x = Queue(3)\nx.put(1)\nx.put(2)\nstate = lambda: (x.qsize(), x.closed)\n"
    for before in ("x = Queue(2)\nstate = x.qsize\n", items, items + "x.put(3)\n", items + "x.close()\n"):
        yield before, [f"x.get{a}" for a in GETS]
        yield before, [f"x.put{a}" for a in PUTS]
        yield before, ["x.get_nowait()", "x.get_nowait(1)", "x.put_nowait(5)", "x.put_nowait()", "x.put_nowait(item=5)"]
        yield before, ["x.put_nowait(1, 2)", "x.put_nowait('x')", "x.get_nowait(), x.get_nowait(), x.get_nowait()"]
    yield items + "x.close(); x.get()\n", ["(x.get(), x.get())", "(x.get_nowait(), x.get_nowait())"]
    yield "x = Queue(1)\nx._returned.append(7)\nx._only_python = 1\n", ["(x.get(), x.put(1), x.get(), x.get(False))"]
    for dtype in ("'f8'", "'u1'", "[('a', 'f8'), ('b', 'i4')]"):
        made = f"x = Queue(2, __import__('numpy').dtype({dtype}))\n"
        item = "(1, 2)" if "[" in dtype else "1"
        yield made, [f"(x.put({item}), x.put_nowait({item}), x.get(), x.get_nowait())", "x.get(False)", "x.put('x')"]
        yield made, [f"(x.put({item}), x.put({item}), x.put({item}, False))", "x.get(timeout=0)", "x.put_nowait([])"]
    made = ["Lock()", "Lock(1)", "Lock(x=1)", "RLock()", "RLock(None)", "Mutex()", "Mutex(True)", "Mutex(False, True)"]
    made += ["Mutex(recursive=True)", "Mutex(fair=1, recursive=[])", "Mutex(1, 2, 3)", "Mutex(recursive=True, x=1)"]
    yield "", [f"(type(x := {m}).__name__, x.acquire(), x.locked(), x.release(), x.closed)" for m in made]
    yield "", [f"(x := {m}, x.acquire(), x.acquire(False))[2]" for m in made]
    for made in ("Mutex()", "Lock()", "RLock()"):
        again = f"x = {made}\nstate = lambda: (x.locked(), x._recursion_count())\nx.acquire()\n"
        yield again, ["x.__init__()", "x.__init__(recursive=True)"]
    full = "x = Semaphore(2**31 - 1)\nstate = lambda: x.value\n"
    yield full, ["x.release()", "x.__exit__(None, None, None)"]


def outcomes(python, way):
    text = json.dumps(list(cases()))
    found, outcomes = json.loads(python(f"CASES = {text!r}\n{PROGRAM}", INTERLOCK_PYTHON_CALLS=way).stdout)
    assert found == ("C" if ABI and way != "ctypes" else "ctypes")
    return outcomes


def test_both_ways_do_the_same(python):
    c, plain = outcomes(python, ""), outcomes(python, "ctypes")
    assert len(c) > 700
    for one, other in zip(c, plain):
        if one[1].startswith("TypeError: ") and "argument" in one[1]:
            one[1], other[1] = (text.partition(":")[0] for text in (one[1], other[1]))  # Python's own words
        assert one == other
    seen = {outcome[1].partition(":")[0] for outcome in c}
    assert seen >= {"True", "False", "None", "TypeError", "ValueError", "RuntimeError", "HandleError", "DeadlockError"}
    assert any("OwnerDiedWarning" in warning for outcome in c for warning in outcome[2:])


def test_the_way():
    assert _calls.WAY == ("C" if ABI and os.environ.get("INTERLOCK_PYTHON_CALLS") != "ctypes" else "ctypes")


@in_c
def test_methods_are_in_c():
    for cls, names in (
        (interlock.Lock, "acquire release __enter__ __exit__ locked"),
        (interlock.RLock, "acquire release __enter__ __exit__ locked"),
        (interlock.Mutex, "acquire release __enter__ __exit__ locked"),
        (interlock.RWLock, "acquire_read release_read acquire_write release_write"),
        (interlock.Semaphore, "acquire release __enter__ __exit__"),
        (interlock.BoundedSemaphore, "acquire release __enter__ __exit__"),
        (interlock.Queue, "put get put_nowait get_nowait"),
        (interlock.LockArray, "release release_pair release_range"),
        (interlock.Condition, "__exit__"),
        (interlock.held, "__exit__"),
    ):
        for name in names.split():
            assert isinstance(getattr(cls, name), types.MethodDescriptorType), (cls, name)


def test_documentation():
    import inspect

    def parameters(method):
        return [p.replace(kind=p.POSITIONAL_ONLY, annotation=p.empty) for p in inspect.signature(method).parameters.values()]

    for cls in (interlock.Lock, interlock.RWLock, interlock.Semaphore, interlock.BoundedSemaphore):
        for name in dir(cls):
            python = getattr(cls, f"_python_{name}", None)
            if python is not None:
                method = getattr(cls, name)
                assert parameters(method) == parameters(python)
                assert python.__doc__ is None or inspect.getdoc(method) == inspect.getdoc(python)
                assert method.__name__ == name


def test_a_subclass_that_overrides_a_method():
    calls = []

    class Noisy(interlock.Lock):
        def acquire(self, blocking=True, timeout=-1):
            calls.append("acquire")
            return super().acquire(blocking, timeout)

        def release(self):
            calls.append("release")
            super().release()

    class Child(Noisy):
        pass

    class Mixin:
        def release(self, n=1):
            calls.append("release")
            super().release(n)

    class Mixed(Mixin, interlock.BoundedSemaphore):
        pass

    for cls in (Noisy, Child, Mixed):
        thing = cls()
        with thing:
            assert not thing.acquire(False)
        assert calls.count("release") == 1, cls
        assert thing.acquire(False)
        calls.clear()
        with pytest.raises((RuntimeError, ValueError)):
            thing.release()
            thing.release()
        calls.clear()


def test_a_subclass_with_an_attribute_that_has_every_attribute():
    class Logged(interlock.Lock):
        log = MagicMock()  # was taken for a method in C

    with Logged() as held:
        assert held


def test_objects_are_freed():
    class Own(interlock.Mutex):
        def __init__(self, name):
            super().__init__(fair=True)
            self.name = name

        def __del__(self):
            deleted.append(self.name)
            super().__del__()

    deleted, before = [], live()
    Own("a")
    for make in KINDS:
        thing = make()
        thing.itself = thing
        make().close()
    del thing
    assert live() == before and deleted == ["a"]
    lock = interlock.Lock()
    lock.acquire()
    lock.__del__()  # it is held
    assert lock.locked()
    lock.release()
    lock.__del__()
    lock.__del__()
    with pytest.raises(interlock.HandleError):
        lock.acquire()
    del lock
    assert live() == before


def test_a_queue_that_overrides_put_and_get():
    class Doubling(interlock.Queue):
        def put(self, item, block=True, timeout=None):
            super().put(2 * item, block, timeout)

        def get(self, block=True, timeout=None):
            return super().get(block, timeout) + 1

    queue = Doubling(3)
    queue.put(1)
    queue.put_nowait(2)
    assert [queue.get_nowait(), queue.get()] == [3, 5]


def test_a_put_and_a_get_wait():
    for get in (lambda queue: queue.get(), lambda queue: queue.get(True, 60), lambda queue: queue.get(timeout=60)):
        queue, results = interlock.Queue(1), []
        thread = threading.Thread(target=lambda get=get, q=queue, r=results: r.append(get(q)))
        thread.start()
        until_waiting(queue)
        queue.put(5)
        thread.join()
        assert results == [5]
        queue.put(1)
        thread = threading.Thread(target=queue.put, args=(2,))
        thread.start()
        until_waiting(queue)
        assert queue.get() == 1
        thread.join()
        assert queue.get() == 2


def test_many_threads_put_and_get():
    queue, n, seen = interlock.Queue(2), 500, []
    threads = [threading.Thread(target=lambda k=k: [queue.put(k * n + i) for i in range(n)]) for k in range(3)]
    threads += [threading.Thread(target=lambda: seen.extend([queue.get() for _ in range(n)])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(3 * n))


def test_a_subclass_may_forget_to_call_init():
    class Forgetful(interlock.Mutex):
        def __init__(self):
            pass

    lock = Forgetful()
    for call in (lock.acquire, lock.release, lock.__enter__, lock.__exit__, lock.locked, lambda: lock.acquire(False)):
        with pytest.raises(interlock.HandleError):
            call()
    assert lock.closed


def test_methods_refuse_other_objects():
    for other in (object(), None, interlock.Semaphore(1), interlock.Counter(), 1):
        for method in (interlock.Lock.acquire, interlock.Lock.release, interlock.RWLock.acquire_read):
            with pytest.raises((TypeError, AttributeError, interlock.HandleError)):
                method(other)


def test_the_handle_field():
    lock = interlock.Lock()
    assert lock._handle == lock.handle > 0
    handle = lock._handle
    for bad in ("x", None):
        if _calls.WAY == "C":
            with pytest.raises(TypeError):
                lock._handle = bad
    lock._handle = handle
    assert lock.acquire()
    lock.release()


def test_close_beside_calls():
    """A call uses the object or raises HandleError, while another thread closes it; nothing else."""
    made = [interlock.Lock, interlock.Mutex, lambda: interlock.Semaphore(1), interlock.RWLock]
    for make in made * 5:
        thing, seen, started = make(), [], threading.Event()

        def use(thing=thing, seen=seen, started=started):
            acquire = getattr(thing, "acquire", None) or thing.acquire_write
            release = getattr(thing, "release", None) or thing.release_write
            try:
                while True:
                    if acquire(False):
                        release()
                    started.set()
                    time.sleep(0)  # with the lock free, so that the close succeeds
            except interlock.HandleError as e:
                seen.append(e)

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()

        def close(thing=thing):
            try:
                thing.close()
            except RuntimeError:
                return False
            return True

        until(close)
        for thread in threads:
            thread.join()
        assert len(seen) == 3


def test_a_wait_releases_the_gil():
    for lock in (interlock.Lock(), interlock.Mutex(), interlock.RLock(), interlock.Semaphore(1)):
        for call in (lock.acquire, lock.__enter__, lambda lock=lock: lock.acquire(True, 60)):
            lock.acquire()
            results = []
            thread = threading.Thread(target=lambda call=call, results=results: results.append(call()))
            thread.start()
            until_waiting(lock)  # this thread runs
            lock.release()
            if not isinstance(lock, (interlock.Lock, interlock.Semaphore)):
                thread.join()
                assert results == [True]
                with pytest.warns(interlock.OwnerDiedWarning):
                    lock.acquire()
                lock.release()
                continue
            thread.join()
            assert results == [True]
            lock.release()


INTERPRETERS = """
import sys, interlock
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    make = lambda: interpreters.create("legacy")
else:
    import _xxsubinterpreters as interpreters
    make = lambda: interpreters.create(isolated=False)
lock = interlock.Lock()
for _ in range(3):
    other = make()
    interpreters.run_string(other, f'''
import sys
sys.path[:] = {sys.path!r}
import interlock
with interlock.Lock() as held:
    assert held
lock = interlock.Mutex()
assert lock.acquire() and lock.locked()
lock.release()
try:
    lock.release()
except RuntimeError:
    pass
keep = [interlock.Lock() for _ in range(10)]
''')
    interpreters.destroy(other)
    with lock:
        assert not lock.acquire(False)
print("done")
"""


def test_other_interpreters_have_methods_of_their_own(python):
    pytest.importorskip("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    assert python(INTERPRETERS).stdout == "done\n"


@in_c
def test_at_exit(python):
    """Objects that outlive their module."""
    code = """
import interlock, os, sys
class Late:
    def __init__(self):
        self.lock, self.semaphore = interlock.Lock(), interlock.BoundedSemaphore(1)
    def __del__(self, write=os.write):
        with self.lock, self.semaphore:
            write(1, b"%d\\n" % self.lock.acquire(False))
late = Late()
late.itself = late
sys.late = Late()
"""
    assert python(code).stdout.split() == ["0", "0"]


RELOAD = """
import sys, interlock
old = interlock.Lock()
for name in [name for name in sys.modules if name.startswith("interlock")]:
    del sys.modules[name]
import interlock as new
assert new.Lock is not type(old)
with old, new.Lock() as held:
    assert held and not old.acquire(False)
"""


def test_a_reload(python):
    python(RELOAD)


# --- atomics -----------------------------------------------------------------------------------------------

NUMBERS = [0, 1, -1, True, 127, 128, 255, 256, -129, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30, 10**400]
NUMBERS += [0.0, -0.0, 1.5, 1e300, float("nan"), float("inf"), None, "1", b"1", [], 1j]


def apply_both_ways(operation, array, *arguments):
    """What the function in C does, and the one in Python, on a copy each."""
    results = []
    for apply in atomic._apply, atomic._apply.__self__:
        copy = array.copy()
        copy.flags.writeable = array.flags.writeable
        try:
            result = apply(operation, copy, *arguments)
            if operation == atomic._STORE:
                result = None
            results.append((type(result), repr(result), copy.tobytes()))
        except Exception as e:
            results.append((type(e), str(e), copy.tobytes()))
    return results


@pytest.fixture
def numbers():
    import numpy as np

    scalars = [
        np.int8(-1),
        np.int64(5),
        np.uint8(200),
        np.uint64(2**64 - 1),
        np.float32(1.5),
        np.float64(-2.5),
        np.float16(3),
    ]
    others = [
        np.bool_(True),
        *([] if WINE else [np.complex128(1j)]),  # Wine 8 lacks functions of complex numbers, which numpy calls
        np.str_("1"),
        np.bytes_(b"1"),
        np.timedelta64(1),
        np.array(1),
        np.longdouble(2),
    ]
    return NUMBERS + scalars + others


needs_numpy_in_c = pytest.mark.skipif("not hasattr(atomic._apply, '__self__')", reason="atomics are by ctypes")


@needs_numpy_in_c
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [*"?bBhHiIlLqQefd", ">i4", pytest.param("F", marks=needs_complex), "O", "M8[s]"])
def test_atomics_both_ways(dtype, numbers):
    import numpy as np

    array = np.array([1, 0, 1, 1], dtype) if dtype != "M8[s]" else np.zeros(4, dtype)
    operations = sorted(code for code in atomic._NAMES if code >= 0)
    compared = 0
    for operation in (*operations, 99, -7):
        for value in numbers:
            values = [value] * {atomic._LOAD: 0, atomic._COMPARE_EXCHANGE: 2}.get(operation, 1)
            c, plain = apply_both_ways(operation, array, 2, "seq_cst", *values)
            assert c == plain, (operation, value)
            compared += 1
    for old in numbers:
        c, plain = apply_both_ways(atomic._COMPARE_EXCHANGE, array, 0, "relaxed", old, 0)
        assert c == plain, old
    for values in [], [1, 1], [1, 1, 1]:
        for operation in atomic._LOAD, atomic._ADD, atomic._COMPARE_EXCHANGE:
            c, plain = apply_both_ways(operation, array, 0, "seq_cst", *values)
            assert c[0] == plain[0] and c[2] == plain[2]
    assert compared > 400


class Index:
    def __index__(self):
        return 1


INDICES = [0, 1, -1, 2, 3, -3, -4, 2**62, -(2**63), 2**63, 10**30, True, None, 1.0, "1", (), (1,), (0, 1), (1, -2), (-2, -3)]
INDICES += [(0, 3), (2, 0), (0, 0, 0), [0, 1], Index(), (Index(), 0), (0, None), slice(None), Ellipsis, (0,) * 70]


@needs_numpy_in_c
def test_indices_both_ways():
    import numpy as np

    whole = np.arange(24, dtype=np.int32).reshape(4, 6)
    arrays = [
        whole[0, :3],
        whole[:2, :3],
        whole[::-2, ::2],
        whole.T,
        whole[0, ::-2],
        np.zeros(0, np.int32),
        np.zeros((0, 3), "i"),
    ]
    arrays += [
        np.array(1, np.int32),
        np.broadcast_to(np.int32(1), (2, 3)),
        np.ma.array([1, 2, 3]),
        np.zeros((2, 3), "i", "F"),
    ]
    arrays += [
        np.zeros(9, np.int8)[1:].view(np.int32),
        np.zeros(9, np.int8).view([("a", "b"), ("x", "<i4"), ("y", "<i4")])["x"],
    ]
    read_only = np.zeros(3, np.int32)
    read_only.flags.writeable = False
    arrays.append(read_only)
    for array in arrays:
        for index in (
            *INDICES,
            np.int64(1),
            np.uint8(0),
            (np.int8(-1), np.int64(0)),
            np.bool_(True),
            np.array(1),
            np.array([1]),
        ):
            for operation in atomic._LOAD, atomic._ADD:
                before, results = array.tobytes(), []
                for apply in atomic._apply, atomic._apply.__self__:
                    try:
                        result = apply(operation, array, index, "seq_cst", *([1] if operation == atomic._ADD else []))
                        results.append((type(result), result, array.tobytes()))
                        if operation == atomic._ADD:
                            atomic._apply.__self__(atomic._SUB, array, index, "seq_cst", 1)
                    except Exception as e:
                        results.append((type(e), str(e), array.tobytes()))
                assert results[0] == results[1], (array, index)
                assert array.tobytes() == before
    for other in [1, 2], None, 1, "x", object():
        for apply in atomic._apply, atomic._apply.__self__:
            with pytest.raises(TypeError, match="takes a numpy array"):
                apply(atomic._ADD, other, 0, "seq_cst", 1)


@needs_numpy_in_c
def test_orders_both_ways():
    import numpy as np

    array = np.ones(2, np.int64)
    orders = [
        "relaxed",
        "acquire",
        "release",
        "acq_rel",
        "seq_cst",
        "",
        "consume",
        "seq_cst\0",
        "Seq_cst",
        None,
        1,
        b"seq_cst",
        [],
    ]
    for operation in atomic._LOAD, atomic._STORE, atomic._ADD, atomic._COMPARE_EXCHANGE:
        for order in (*orders, np.str_("relaxed")):
            values = [1] * {atomic._LOAD: 0, atomic._COMPARE_EXCHANGE: 2}.get(operation, 1)
            c, plain = apply_both_ways(operation, array, 1, order, *values)
            assert c == plain, (operation, order)


@needs_numpy_in_c
def test_atomics_count_references():
    import numpy as np

    array, index, value = np.zeros((2, 2)), (1, 1), 1e300
    order = "".join(["seq", "_cst"])
    things = array, index, value, order, array.dtype, atomic._apply.__self__
    before = [sys.getrefcount(thing) for thing in things]
    for _ in range(1000):
        atomic._apply(atomic._ADD, array, index, order, value)
        with pytest.raises(IndexError):
            atomic._apply(atomic._ADD, array, (1, 2), order, value)
    assert all(abs(sys.getrefcount(thing) - count) < 100 for thing, count in zip(things, before))


@in_c
def test_an_unknown_numpy_is_refused():
    @ctypes.CFUNCTYPE(ctypes.c_uint)
    def version():
        return 0x3000000

    table = (ctypes.c_void_p * 100)(ctypes.cast(version, ctypes.c_void_p).value)
    assert capi.ilk_python_numpy(ctypes.addressof(table)) == ILK_ENOTSUP
    assert capi.ilk_python_numpy(None) == ILK_EINVAL


# --- what it is made with ------------------------------------------------------------------------------------


def symbols():
    names = []
    while capi.ilk_python_symbol(len(names)):
        names.append(ctypes.string_at(capi.ilk_python_symbol(len(names))).decode())
    return names


def test_the_documentation_lists_what_is_used(root):
    rows = re.findall(r"^\| `(\w+)` +\|", (root / "docs/calls.md").read_text(), re.M)
    made = ["PyType_FromSpec", "PyDescr_NewMethod", "PyCFunction_NewEx", "PyCapsule_GetPointer"]
    assert sorted(rows) == sorted([*symbols(), *made])


@in_c
def test_other_addresses_are_refused():
    header, n = object.__basicsize__, len(symbols())
    assert n > 10 and capi.ilk_python_symbol(-1) is None and capi.ilk_python_symbol(n + 1) is None
    others = (ctypes.c_void_p * n)()
    for bad in (0, 8, header + 1, 10**6, -header):
        assert capi.ilk_python_methods(ctypes.addressof(others), bad) is None
        assert capi.ilk_last_error() == ILK_EINVAL
    assert capi.ilk_python_methods(None, header) is None and capi.ilk_last_error() == ILK_EINVAL
    assert capi.ilk_python_methods(ctypes.addressof(others), header) is None
    assert capi.ilk_last_error() == ILK_EBUSY
