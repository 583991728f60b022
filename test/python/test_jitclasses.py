"""The jitclasses. The last test runs all the others once more, with Numba switched off."""

import ast
import inspect
import os
import queue
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit, types
from numba.core import config

import interlock
from conftest import PATIENCE, live
from interlock import DeadlockError, HandleError, jitclasses
from interlock._numba.methods import METHODS
from interlock.jitclasses import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Counter,
    Event,
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
)

# How each is made, and a call that succeeds while its handle lives.
ALL = {
    Barrier: ((1,), lambda thing: thing.wait()),
    BoundedSemaphore: ((1,), lambda thing: thing.value),
    Condition: ((), lambda thing: thing.notify()),
    Counter: ((0,), lambda thing: thing.load()),
    Event: ((), lambda thing: thing.is_set()),
    Latch: ((2,), lambda thing: thing.value),
    Local: ((), lambda thing: thing.get()),
    Lock: ((), lambda thing: thing.locked()),
    LockArray: ((3, False), lambda thing: thing.acquire(0)),
    Mutex: ((False, False), lambda thing: thing.locked()),
    Once: ((), lambda thing: thing.begin()),
    Queue: ((2,), lambda thing: thing.qsize()),
    RLock: ((), lambda thing: thing.locked()),
    RWLock: ((), lambda thing: thing.acquire_read()),
    Semaphore: ((1, 0), lambda thing: thing.value),
    Tally: ((), lambda thing: thing.sum()),
}
NAMES = {new.__name__: new for new in ALL}

only_compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="asks what is compiled")


def functions(new):
    """The methods and properties of a jitclass, as Python has them."""
    if config.DISABLE_JIT:
        every = {name: thing for base in reversed(new.__mro__[:-1]) for name, thing in vars(base).items()}
        return {name: thing for name, thing in every.items() if not name.startswith("__") or name == "__init__"}
    made = new.class_type
    return {**{name: method.py_func for name, method in made.jit_methods.items()}, **made.jit_props}


@pytest.mark.parametrize("new", ALL, ids=NAMES)
def test_one_field_and_a_close(new):
    arguments, use = ALL[new]
    before = live()
    thing = new(*arguments)
    fields = list(vars(thing)) if config.DISABLE_JIT else list(new.class_type.struct)
    assert fields == ["ptr"]
    assert config.DISABLE_JIT or new.class_type.struct["ptr"] == types.intp
    assert thing.ptr != 0
    assert live() == before + 1
    free = thing.free if new is Queue else thing.close
    free()
    free()
    assert thing.ptr == 0
    assert live() == before
    with pytest.raises(HandleError):
        use(thing)


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_those_of_the_class(name):
    """By name, and with the parameters of Python's."""
    made = functions(NAMES[name])
    for method in METHODS[name]:
        if method in ("__len__", "capacity", "full", "parties") or name == "Condition":
            continue
        python = getattr(getattr(interlock, name), method)
        if isinstance(python, property):
            assert method in made
        else:
            ours, theirs = (inspect.signature(f).parameters.values() for f in (made[method], python))
            assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_all_are_typed(root):
    """The stub names every class and method."""
    stub = ast.parse((root / "python/interlock/jitclasses.pyi").read_text())
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    assert {name for name in classes if not name.startswith("_")} == set(NAMES)
    for name, new in NAMES.items():
        bodies = [classes[name], *(classes[base.id] for base in classes[name].bases)]
        stubbed = {node.name for body in bodies for node in body.body if isinstance(node, ast.FunctionDef)}
        assert stubbed == set(functions(new))


def test_mutex():
    mutex = Mutex()
    assert mutex.acquire() and mutex.locked()
    assert not mutex.acquire(False)
    with pytest.raises(DeadlockError):
        mutex.acquire(True, 1.0)
    mutex.release()
    assert not mutex.locked()
    with pytest.raises(RuntimeError):
        mutex.release()
    for blocking, timeout, error in ((False, 1.0, ValueError), (True, -2.0, ValueError), (True, 1e100, OverflowError)):
        with pytest.raises(error):
            mutex.acquire(blocking, timeout)
    mutex.close()
    with pytest.raises(HandleError):
        mutex.acquire()
    recursive = Mutex(False, True)
    assert recursive.acquire() and recursive.acquire(True, 0.5)
    recursive.release()
    with pytest.raises(RuntimeError, match="still held"):
        recursive.close()
    recursive.release()
    recursive.close()


def test_lock_and_rlock(in_thread):
    lock, rlock = Lock(), RLock()
    assert lock.acquire() and not lock.acquire(True, 0.01)
    in_thread(lock.release)
    assert not lock.locked()
    assert rlock.acquire() and rlock.acquire()
    assert not in_thread(lambda: rlock.acquire(False))
    rlock.release()
    rlock.release()
    lock.close()
    rlock.close()


def test_semaphore():
    semaphore = Semaphore(1, 2)
    assert semaphore.acquire()
    assert not semaphore.acquire(False)
    assert not semaphore.acquire(True, 0.01)
    assert not semaphore.acquire(True, -0.5)
    semaphore.release(2)
    assert semaphore.value == 2
    with pytest.raises(OverflowError):
        semaphore.release()
    with pytest.raises(ValueError):
        semaphore.release(-1)
    with pytest.raises(ValueError):
        semaphore.acquire(False, 1.0)
    semaphore.close()
    with pytest.raises(HandleError):
        _ = semaphore.value
    with pytest.raises(ValueError):
        Semaphore(-1)


def test_bounded_semaphore():
    semaphore = BoundedSemaphore(2)
    assert semaphore.acquire() and semaphore.acquire(True, 0.01)
    assert not semaphore.acquire(False)
    semaphore.release(2)
    for n in (0, 1, 2**31 + 1):
        with pytest.raises(ValueError):
            semaphore.release(n)
    assert semaphore.value == 2
    semaphore.close()
    with pytest.raises(HandleError):
        semaphore.release()
    for value in (0, -1):
        with pytest.raises(ValueError):
            BoundedSemaphore(value)


def test_counter():
    counter = Counter(-(2**63))
    assert counter.load() == -(2**63)
    counter.store(5)
    assert counter.fetch_add() == 5
    assert counter.exchange(1) == 6
    assert counter.compare_exchange(1, 2) == 1
    assert counter.wait(2) and not counter.wait(3, 0.01) and not counter.wait(3, -7)
    counter.close()
    with pytest.raises(HandleError):
        counter.load()
    with pytest.raises(HandleError):
        counter.wait(1)


def test_rwlock(in_thread):
    lock = RWLock()
    assert lock.acquire_read() and lock.acquire_read(True, 1)
    assert not in_thread(lambda: lock.acquire_write(False))
    lock.release_read()
    lock.release_read()
    assert lock.acquire_write()
    assert not in_thread(lambda: lock.acquire_read(True, 0.01))
    lock.downgrade()
    assert in_thread(lambda: lock.acquire_read(False) and lock.release_read() is None)
    lock.release_read()
    with pytest.raises(RuntimeError, match="writing"):
        lock.release_write()
    lock.close()


def test_condition_is_given_its_lock():
    @njit(nogil=True)
    def wait(condition, mutex, state):
        mutex.acquire()
        state[0] = 1
        while state[1] == 0:
            condition.wait(mutex)
        mutex.release()

    condition, mutex, state = Condition(), Mutex(), np.zeros(2, np.int64)
    state[1] = 1
    wait(condition, mutex, state)
    state[:] = 0
    thread = threading.Thread(target=wait, args=(condition, mutex, state))
    thread.start()
    while not state[0]:
        pass
    mutex.acquire()
    state[1] = 1
    condition.notify()
    mutex.release()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="un-acquired"):
        condition.wait(mutex)
    mutex.acquire()
    assert not condition.wait(mutex, 0.01)
    condition.notify_all()
    mutex.release()
    condition.close()
    mutex.close()


def test_the_others():
    event = Event()
    assert not event.is_set() and not event.wait(0.01)
    event.set()
    assert event.is_set() and event.wait()
    event.clear()
    assert not event.is_set()

    barrier = Barrier(2)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.01)
    assert barrier.broken and barrier.n_waiting == 0
    barrier.reset()
    assert not barrier.broken
    barrier.abort()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    for parties in (0, -1, 2**31, 2**32 + 1, -(2**32) + 2):
        with pytest.raises(ValueError):
            Barrier(parties)

    latch = Latch(2)
    latch.add()
    latch.count_down(3)
    assert latch.value == 0 and latch.wait() and latch.wait(1)
    with pytest.raises(ValueError):
        latch.count_down()

    once = Once()
    assert once.begin()
    once.end(False)
    assert once.begin()
    once.end()
    assert not once.begin()

    tally = Tally()
    tally.add()
    tally.add(-5)
    assert tally.sum() == -4
    tally.reset()
    assert tally.sum() == 0

    locks = LockArray(3, True)
    assert locks.acquire(0) and locks.acquire_pair(2, 1)
    locks.release(0)
    locks.release_pair(1, 2)
    assert locks.acquire_range(0, 3, True, 1)
    locks.release_range(0, 3)
    with pytest.raises(ValueError):
        locks.acquire(3)

    items = Queue(1)
    items.put(5)
    with pytest.raises(queue.Full):
        items.put_nowait(6)
    assert items.qsize() == 1 and not items.empty() and not items.closed
    assert items.get() == 5 and items.empty()
    with pytest.raises(queue.Empty):
        items.get(True, 0.01)
    items.close()
    assert items.closed
    with pytest.raises(interlock.ShutDown):
        items.get_nowait()

    local = Local()
    assert local.get() == 0
    local.set(-7)
    assert local.get() == -7
    for thing in (event, barrier, latch, once, tally, locks, local):
        thing.close()
    items.free()


def test_in_kernels_of_threads():
    @njit(nogil=True)
    def add(mutex, counter, total, n):
        for _ in range(n):
            mutex.acquire()
            total[0] += 1
            mutex.release()
            counter.fetch_add(1)

    @njit
    def make():
        # All arguments: Numba fills in no defaults here.
        return Mutex(True, False)

    mutex, counter = make(), Counter()
    total = np.zeros(1, np.int64)
    add(mutex, counter, total, 0)
    threads = [threading.Thread(target=add, args=(mutex, counter, total, 20_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == counter.load() == 80_000
    mutex.close()
    counter.close()


def test_errors_in_kernels():
    @njit
    def release_twice(mutex):
        mutex.acquire()
        mutex.release()
        mutex.release()

    mutex = Mutex()
    with pytest.raises(RuntimeError):
        release_twice(mutex)
    mutex.close()
    with pytest.raises(HandleError):
        release_twice(mutex)


def test_works_on_the_handle_of_a_class():
    mutex, jit = interlock.Mutex(), Mutex()
    jit.close()
    jit.ptr = mutex.handle
    jit.acquire()
    assert mutex.locked()
    jit.release()


def test_condition_waits_for_a_predicate():
    notified = interlock.Event()

    @njit
    def is_set():
        return notified.is_set()

    @njit(nogil=True)
    def wait_for(condition, mutex, timeout):
        mutex.acquire()
        result = condition.wait_for(mutex, is_set, timeout)
        mutex.release()
        return result

    condition, mutex = Condition(), Mutex()
    assert not wait_for(condition, mutex, 0.01)
    results = []
    threads = [threading.Thread(target=lambda t=t: results.append(wait_for(condition, mutex, t))) for t in (None, 30)]
    wait_for(condition, mutex, 0)
    for thread in threads:
        thread.start()
    mutex.acquire()
    notified.set()
    condition.notify_all()
    mutex.release()
    for thread in threads:
        thread.join(30)
    assert results == [True, True]
    condition.close()
    mutex.close()


def test_all_are_there():
    """One for each class of the package that has a handle."""
    assert set(NAMES) == {name for name in interlock.__all__ if hasattr(getattr(interlock, name), "handle")} - {
        "ErrorSlot",
        "PerThread",
    }
    assert all(getattr(jitclasses, name) is new for name, new in NAMES.items())


@only_compiled
def test_all_that_with_numba_switched_off():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 1 skipped" in result.stdout
