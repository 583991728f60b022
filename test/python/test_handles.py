"""Who owns a handle, and what any other value does."""

import copy
import gc
import os
import pickle
import random
import threading
import time
import warnings

import pytest

import interlock
from interlock import BoundedSemaphore, Counter, HandleError, Lock, Mutex, RLock, Semaphore, capi
from interlock._constants import ILK_EHANDLE, ILK_NO_VALUE
from interlock._signatures import SIGNATURES

KINDS = [Lock, Mutex, RLock, Semaphore, BoundedSemaphore, Counter]
each_kind = pytest.mark.parametrize("new", KINDS)


def live():
    gc.collect()
    return capi.ilk_live()


@each_kind
def test_collection_frees(new):
    before = live()
    things = [new() for _ in range(100)]
    assert live() == before + 100
    assert len({thing.handle for thing in things}) == 100
    del things
    assert live() == before


@each_kind
def test_close(new):
    before = live()
    thing = new()
    assert not thing.closed
    handle = thing.handle
    assert isinstance(handle, int) and handle != 0
    thing.close()
    thing.close()
    assert thing.closed
    assert live() == before
    with pytest.raises(HandleError):
        _ = thing.handle
    calls = {
        Counter: ["load", "fetch_add"],
        Semaphore: ["acquire", "release", "__enter__"],
        BoundedSemaphore: ["acquire", "release", "__enter__"],
    }
    for name in calls.get(new, ["acquire", "release", "locked", "__enter__"]):
        with pytest.raises(HandleError):
            getattr(thing, name)()
    assert "closed" in repr(thing)


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
    # Whoever has the handle may go on.
    assert capi.ilk_mutex_unlock(handle) == 0
    assert capi.ilk_mutex_free(handle) == 0


def test_close_while_another_thread_waits():
    counter = Counter()
    results = []
    thread = threading.Thread(target=lambda: results.append(counter.wait(1, timeout=10)))
    thread.start()
    time.sleep(0.1)  # it waits by then
    with pytest.raises(RuntimeError, match="waited for"):
        counter.close()
    assert not counter.closed
    counter.fetch_add()
    thread.join()
    assert results == [True]


@each_kind
def test_no_pickle_and_no_copy(new):
    for save in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=f"cannot pickle '{new.__name__}' object"):
            save(new())


def test_failed_construction():
    before = live()
    for bad in (lambda: Semaphore(-1), lambda: Counter(2**70), lambda: Counter("x")):
        with pytest.raises((ValueError, OverflowError, TypeError)):
            bad()
    assert live() == before


def bad_handles():
    closed = Mutex()
    freed = closed.handle
    closed.close()
    yield from (None, 0, 1, 2, 8, freed, 2**63, 2**64 - 1, id(closed), Counter.__basicsize__)
    generator = random.Random(7)
    for _ in range(2000):
        yield generator.getrandbits(generator.choice((16, 32, 48, 64)))


# Those of arrays and text take an address, and ilk_thread_start a function.
TAKE_AN_ADDRESS = ("ilk_atomic_", "ilk_word_", "ilk_report", "ilk_thread_start")
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
    keep = [kind() for kind in KINDS]
    others = [thing.handle for thing in keep if not belongs(thing, name)]
    for handle in (*bad_handles(), *others):
        assert function(handle, *[0] * (len(arguments) - 1)) == failure
        assert capi.ilk_last_error() == ILK_EHANDLE
    for thing in keep:
        assert not thing.closed and repr(thing)


def belongs(thing, name):
    kinds = {Lock: "mutex", Mutex: "mutex", RLock: "mutex", Counter: "counter"}
    return f"ilk_{kinds.get(type(thing), 'semaphore')}_" in name


def test_shutdown_with_live_objects(python):
    result = python(
        "import interlock, sys\n"
        "lock = interlock.Lock(); lock.acquire()\n"
        "keep = [kind() for kind in (interlock.Mutex, interlock.Semaphore, interlock.Counter)]\n"
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
