"""The ownership of handles, and the effect of any other value."""

import copy
import gc
import os
import pickle
import random
import threading
import warnings

import pytest

import interlock
from conftest import PATIENCE, live, until, until_waiting
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
    OwnerDiedWarning,
    PerThread,
    Queue,
    RLock,
    RWLock,
    Semaphore,
    Tally,
    capi,
)
from interlock._constants import ILK_EBUSY, ILK_EHANDLE, ILK_NO_VALUE
from interlock._handle import Handle
from interlock._signatures import SIGNATURES

KINDS = {
    Barrier: lambda: Barrier(2),
    BoundedSemaphore: BoundedSemaphore,
    Condition: Condition,
    Counter: Counter,
    ErrorSlot: ErrorSlot,
    Event: Event,
    Latch: lambda: Latch(1),
    Local: Local,
    Lock: Lock,
    LockArray: lambda: LockArray(4),
    Mutex: Mutex,
    Once: Once,
    PerThread: lambda: PerThread(3),
    Queue: lambda: Queue(4),
    RLock: RLock,
    RWLock: RWLock,
    Semaphore: Semaphore,
    Tally: Tally,
}
each_kind = pytest.mark.parametrize("kind", KINDS)

# Calls that a closed object rejects, without arguments and with some.
LOCK = ["acquire", "release", "locked", "__enter__"]
SEMAPHORE = ["acquire", "release", "value", "__enter__"]
CALLS = {
    Barrier: ["wait", "abort", "reset", "n_waiting", "broken"],
    BoundedSemaphore: SEMAPHORE,
    Condition: ["wait", "notify", "notify_all"],
    Counter: ["load", "fetch_add", ("store", 1), ("exchange", 1), ("compare_exchange", 1, 2), ("wait", 0)],
    ErrorSlot: ["is_set", "code", "where", "clear", "raise_if_set", ("set", 1)],
    Event: ["set", "clear", "is_set", "wait"],
    Latch: ["add", "count_down", "wait", "value"],
    Local: ["get", ("set", 1)],
    Lock: LOCK,
    LockArray: [
        (call, *indices)
        for suffix, *indices in (("", 0), ("_pair", 0, 1), ("_range", 0, 1))
        for call in ("acquire" + suffix, "release" + suffix)
    ],
    Mutex: LOCK,
    Once: ["begin", "end", ("call", print)],
    PerThread: ["local", "sum", "max", "min", "clear", ("merge", max)],
    Queue: ["get", "get_nowait", "qsize", "empty", "full", ("put", 1), ("put_nowait", 1)],
    RLock: LOCK,
    RWLock: ["acquire_read", "release_read", "acquire_write", "release_write", "downgrade"],
    Semaphore: SEMAPHORE,
    Tally: ["add", "sum", "reset"],
}


def close(thing):
    if isinstance(thing, (Queue, PerThread)):
        Handle.close(thing)  # a queue's own close() means that no more items will come, and PerThread's frees later
    else:
        thing.close()


def test_every_class_is_here():
    classes = {getattr(interlock, name) for name in interlock.__all__}
    assert {c for c in classes if isinstance(c, type) and issubclass(c, Handle)} == set(KINDS) == set(CALLS)


@each_kind
def test_collection_frees(kind):
    before = live()
    things = [KINDS[kind]() for _ in range(100)]
    assert live() >= before + 100
    assert len({thing.handle for thing in things}) == 100
    del things
    assert live() == before


@each_kind
def test_dropped_without_the_collector(kind):
    gc.collect()
    gc.disable()
    try:
        before = capi.ilk_live()
        KINDS[kind]()
        assert capi.ilk_live() == before  # no cycle of references holds it
    finally:
        gc.enable()


@each_kind
def test_close(kind):
    before = live()
    thing = KINDS[kind]()
    assert not thing.closed
    handle = thing.handle
    assert type(handle) is int and handle != 0 and thing._handle == handle
    assert f"interlock.{kind.__name__} " in repr(thing) and "closed" not in repr(thing)
    close(thing)
    close(thing)
    assert live() == before
    assert "closed" in repr(thing)
    with pytest.raises(HandleError):
        _ = thing.handle
    for call in CALLS[kind]:
        name, *arguments = (call,) if isinstance(call, str) else call
        with pytest.raises(HandleError):
            method = getattr(thing, name)
            method(*arguments)
    assert thing.closed


@pytest.mark.parametrize("kind", [Lock, Semaphore, Event])
def test_a_close_that_fails_disturbs_no_other_thread(kind, monkeypatch):
    # close() took the handle away while it tried: other threads, a release too, got a HandleError although it stayed open.
    thing = kind()
    handle, seen = thing.handle, []
    with monkeypatch.context() as context:
        context.setattr(kind, "_free", lambda _: (seen.append(thing._handle), ILK_EBUSY)[1])
        with pytest.raises(RuntimeError, match="still held"):
            thing.close()
    assert seen == [handle] and not thing.closed
    assert kind._free(handle) == 0
    thing.close()  # another thread has freed it a moment ago
    assert thing.closed


def test_close_while_held():
    lock = Lock()
    with lock:
        with pytest.raises(RuntimeError, match="still held"):
            lock.close()
        assert not lock.closed
    lock.close()


def test_collected_while_held():
    lock = Lock()
    lock.acquire()
    handle = lock.handle
    del lock
    gc.collect()
    # A caller that has the handle may go on.
    assert capi.ilk_mutex_unlock(handle) == 0
    assert capi.ilk_mutex_free(handle) == 0


def test_close_while_another_thread_waits():
    counter = Counter()
    results = []
    thread = threading.Thread(target=lambda: results.append(counter.wait(1)))
    thread.start()
    until_waiting(counter)
    with pytest.raises(RuntimeError, match="waited for"):
        counter.close()
    assert not counter.closed
    counter.fetch_add()
    thread.join()
    assert results == [True]


@each_kind
def test_no_pickle_and_no_copy(kind):
    for save in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=f"cannot pickle '{kind.__name__}' object"):
            save(KINDS[kind]())


def test_failed_construction():
    before = live()
    for bad in (
        lambda: Barrier(0),
        lambda: Barrier(2**31),
        lambda: Barrier(2.5),
        lambda: Counter(2**70),
        lambda: Counter("x"),
        lambda: Latch(-1),
        lambda: Latch(2**63),
        lambda: LockArray(0),
        lambda: LockArray(-1),
        lambda: LockArray(2**64 + 1),
        lambda: Queue(0),
        lambda: Queue(2**64 + 1),
        lambda: Semaphore(-1),
    ):
        with pytest.raises((ValueError, OverflowError, TypeError)):
            bad()
    assert live() == before


class Integer:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


def test_integers_of_a_users_class():
    """They were kept as they are, and compared with integers later: a TypeError instead of the index error."""
    locks, queue, latch = LockArray(Integer(2)), Queue(Integer(1)), Latch(Integer(1))
    assert len(locks) == 2
    with pytest.raises(ValueError, match="index 5 is out of range for a LockArray of length 2"):
        locks.acquire(Integer(5))
    assert not queue.full()
    queue.put(Integer(7))
    assert queue.full() and queue.capacity == 1 and queue.get() == 7
    with pytest.raises(ValueError, match="too many"):
        latch.count_down(Integer(2))
    assert latch.value == 1


def bad_handles():
    closed = Mutex()
    freed = closed.handle
    closed.close()
    yield from (None, 0, 1, 2, 8, freed, 2**63, 2**64 - 1, id(closed), Counter.__basicsize__)
    generator = random.Random(7)
    for _ in range(2000):
        yield generator.getrandbits(generator.choice((16, 32, 48, 64)))


# Those of arrays, slices and text take an address; ilk_thread_start, ilk_gil_... and ilk_python_..., functions.
TAKE_AN_ADDRESS = (
    *("ilk_atomic_", "ilk_word_", "ilk_robust_", "ilk_report", "ilk_thread_start", "ilk_gil_", "ilk_python_"),
    *("ilk_slices_attach", "ilk_slices_drop"),
)
TAKE_A_HANDLE = {
    name: (result, arguments)
    for name, (result, arguments) in SIGNATURES.items()
    if arguments[:1] == ("void *",) and not name.startswith(TAKE_AN_ADDRESS)
}


@pytest.mark.parametrize("name", TAKE_A_HANDLE)
def test_bad_handles(name):
    result, arguments = TAKE_A_HANDLE[name]
    function = getattr(capi, name)
    failure = {"int": ILK_EHANDLE, "int64_t": ILK_NO_VALUE, "void *": None}[result]
    keep = [new() for new in KINDS.values()]
    others = [thing.handle for thing in keep if not belongs(thing, name)]
    for handle in (*bad_handles(), *others):
        assert function(handle, *[0] * (len(arguments) - 1)) == failure
        assert capi.ilk_last_error() == ILK_EHANDLE
    for thing in keep:
        assert not thing.closed and "closed" not in repr(thing)


def belongs(thing, name):
    if name in ("ilk_wait_begin", "ilk_wait_end"):
        return True  # they take an object of any kind
    names = {Lock: "mutex", Mutex: "mutex", RLock: "mutex", BoundedSemaphore: "semaphore"}
    names.update({ErrorSlot: "counter", PerThread: "slices"})
    return name.startswith(f"ilk_{names.get(type(thing), type(thing).__name__.lower())}_")


def test_shutdown_with_live_objects(python):
    result = python(
        "import interlock, sys\n"
        "lock = interlock.Lock(); lock.acquire()\n"
        "keep = [kind() for kind in (interlock.Mutex, interlock.Condition, interlock.Event, interlock.RWLock)]\n"
        "keep.append(keep)\n"
        "sys.keep = interlock.RLock()\n"
    )
    assert result.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork():
    unowned, mutex, other, counter = Lock(), Mutex(), Mutex(), Counter(5)
    unowned.acquire()
    mutex.acquire()
    held, stop = threading.Event(), threading.Event()

    def hold():
        with other:
            held.set()
            stop.wait()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads and fork do not mix
        child = os.fork()
    if child == 0:
        status = 1
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                other.acquire()  # its holder did not survive
            assert [w.category for w in caught] == [interlock.OwnerDiedWarning]
            mutex.release()  # we did
            assert unowned.locked() and not unowned.acquire(False)
            unowned._at_fork_reinit()
            assert unowned.acquire(False)
            assert counter.fetch_add() == 5
            counter.close()
            Mutex().acquire()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert counter.load() == 5
    stop.set()
    thread.join()
    mutex.release()
    assert not other.locked()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_fork_with_the_rest():
    event, latch, once, tally, local = Event(), Latch(1), Once(), Tally(), Local()
    queue, locks, rwlock, condition = Queue(2), LockArray(3), RWLock(), Condition()
    barrier = Barrier(2)
    tally.add(5)
    local.set(6)
    queue.put(7)
    stop = threading.Event()
    holds = threading.Barrier(7)

    def hold(acquire, *arguments):
        acquire(*arguments)
        holds.wait()
        stop.wait()

    holders = [(once.begin,), (locks.acquire, 1), (rwlock.acquire_write,), (condition.acquire,)]
    threads = [threading.Thread(target=hold, args=holder, daemon=True) for holder in holders]
    threads.append(threading.Thread(target=lambda: (holds.wait(), event.wait()), daemon=True))
    threads.append(threading.Thread(target=lambda: (holds.wait(), barrier.wait()), daemon=True))
    for thread in threads:
        thread.start()
    holds.wait()
    until(lambda: capi.ilk_waiting() >= 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                locks.acquire(1)
                rwlock.acquire_write()
                condition.acquire()
                assert once.begin()  # the thread that began did not survive
            assert [w.category for w in caught] == [OwnerDiedWarning] * 3
            once.end()
            condition.notify_all()
            assert condition.wait(0.01) is False
            assert not event.is_set() and event.wait(0.01) is False
            event.set()
            assert event.wait()
            latch.count_down()
            assert latch.wait()
            assert tally.sum() == 5 and local.get() == 6 and queue.get() == 7
            assert barrier.n_waiting == 0 and not barrier.broken
            thread = threading.Thread(target=barrier.wait)
            thread.start()
            barrier.wait()
            thread.join()
            condition.release()
            for thing in (event, latch, once, tally, local, barrier, condition):
                thing.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    event.set()
    barrier.wait()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
