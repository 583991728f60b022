"""What a program can name: its parameters, made anew for every run, and helper functions.

A program is the source of a module with a function `kernel`, whose parameters are names of `PARAMETERS`. Its functions are
decorated with `@helper`, `@inlined` or `@kernel_options`; each way of running it defines these in its own manner.
"""

import random

import numpy as np

import interlock
from interlock import atomic, capi, held, words

LENGTH = 8  # of the one-dimensional arrays
ROWS, COLUMNS = 3, 4
LOCKS = 4  # of the lock array, and of the word locks
GUARD = 16  # elements on each side of an array that no program may change


class Array:
    """An array between two guards. Its values are exact in floating point, and small."""

    def __init__(self, dtype, shape=(LENGTH,), fill=None):
        self.dtype, self.shape, self.fill = np.dtype(dtype), shape, fill

    def make(self, rng, compiled):
        size = int(np.prod(self.shape))
        values = [self._value(rng) for _ in range(size + 2 * GUARD)]
        return np.array(values, self.dtype)[GUARD : GUARD + size].reshape(self.shape)

    def _value(self, rng):
        if self.fill is not None:
            return self.fill
        return rng.randrange(-12, 25) / 4 if self.dtype.kind == "f" else rng.randrange(-3, 10)

    def state(self, array):
        """All of its memory, with the guards."""
        while array.base is not None:
            array = array.base
        return array.tolist()

    plain = make


class Indices(Array):
    """An array of indices into the others."""

    def _value(self, rng):
        return rng.randrange(LENGTH)


class Scalar:
    def __init__(self, *choices):
        self.choices = choices

    def make(self, rng, compiled):
        return rng.choice(self.choices)

    def state(self, value):
        return None

    plain = make


class Thing:
    """One of interlock's objects. In a control it is an array of integers, which `plain.py` works on."""

    def __init__(self, kind, arguments, state, plain):
        self.kind, self.arguments, self._state, self._plain = kind, arguments, state, plain

    def make(self, rng, compiled):
        return getattr(interlock, self.kind)(*self.arguments)

    def state(self, thing):
        return thing.tolist() if isinstance(thing, np.ndarray) else self._state(thing)

    def plain(self, rng, compiled):
        return np.array(self._plain, np.int64)


class JitclassMutex(Thing):
    """A jitclass in a kernel. For Python the ordinary class, which has the same methods and needs no compiling."""

    def make(self, rng, compiled):
        if not compiled:
            return interlock.Mutex()
        from interlock.jitclasses import Mutex

        return Mutex(False, False)

    def state(self, thing):
        if isinstance(thing, interlock.Mutex):
            return int(thing.locked())
        return super().state(thing) if isinstance(thing, np.ndarray) else capi.ilk_mutex_is_locked(thing.ptr)


def _is_free(acquire, release):
    free = acquire()
    if free:
        release()
    return free


def _rwlock_state(rw):
    return _is_free(lambda: rw.acquire_write(blocking=False), rw.release_write)


def _lockarray_state(locks):
    return [_is_free(lambda i=i: _try(locks, i), lambda i=i: locks.release(i)) for i in range(LOCKS)]


def _try(locks, i):
    try:
        return locks.acquire(i, blocking=False)
    except interlock.DeadlockError:  # held by this very thread
        return False


def _drained(queue):
    items = []
    while not queue.empty():
        items.append(queue.get_nowait())
    return [queue.closed, *items]


PARAMETERS = {
    "n": Scalar(0, 1, 3, 5, 6),
    "x": Scalar(*range(-4, 12)),
    "y": Scalar(*range(-4, 12)),
    "z": Scalar(-1.5, 0.25, 3.0, 2.5),
    "a": Array(np.int64),
    "b": Array(np.int64),
    "c": Array(np.int32),
    "f": Array(np.float64),
    "m": Array(np.int64, (ROWS, COLUMNS)),
    "idx": Indices(np.int64),
    "w": Array(np.uint32, (LOCKS,), 0),
    "lock": Thing("Lock", (), lambda t: t.locked(), [0]),
    "lock2": Thing("Lock", (), lambda t: t.locked(), [0]),
    "rlock": Thing("RLock", (), lambda t: t._recursion_count(), [0]),
    "mutex": Thing("Mutex", (), lambda t: t.locked(), [0]),
    "jm": JitclassMutex("Mutex", (), None, [0]),
    "cond": Thing("Condition", (), lambda t: t.locked(), [0]),
    "sem": Thing("Semaphore", (1,), lambda t: t.value, [1]),
    "rw": Thing("RWLock", (), _rwlock_state, [0, 0]),
    "locks": Thing("LockArray", (LOCKS,), _lockarray_state, [0] * LOCKS),
    "counter": Thing("Counter", (5,), lambda t: t.load(), [5]),
    "tally": Thing("Tally", (), lambda t: t.sum(), [0]),
    "latch": Thing("Latch", (3,), lambda t: t.value, [3]),
    "event": Thing("Event", (), lambda t: t.is_set(), [0]),
    "pool": Thing("Semaphore", (2,), lambda t: t.value, [2]),
    "queue": Thing("Queue", (3,), _drained, [0, 0, 0, 0, 0]),
    "local": Thing("Local", (), lambda t: t.get(), [0]),
}

OBJECTS = {name for name, value in PARAMETERS.items() if isinstance(value, Thing)}


def arguments(names, seed, run, how="make", compiled=False):
    """The arguments of one run: the same whenever they are made."""
    made = []
    for name in names:
        rng = random.Random(f"{seed} {run} {name}")
        made.append(getattr(PARAMETERS[name], how)(rng, compiled))
    return made


def states(names, values):
    """What remains in the arguments after a run."""
    return {name: PARAMETERS[name].state(value) for name, value in zip(names, values)}


def guards(names, values):
    """What stands on both sides of each array."""
    kept = {name: PARAMETERS[name].state(value) for name, value in zip(names, values) if isinstance(PARAMETERS[name], Array)}
    return {name: (state[:GUARD], state[-GUARD:]) for name, state in kept.items()}


# --- helper functions, in Python; `how` is what makes a compiled function of each ----------------------------------


def fail_if(v):
    if v > 3:
        raise ValueError("failed", 3)
    return v + 1


def twice(v):
    return 2 * (v % 50)


def bump(array, i, v):
    array[i % len(array)] += v % 5


def quotient(v, u):
    return int(v) // int(u % 3)


def rescued(v):
    result = 0
    try:
        result = fail_if(v)
    except Exception:
        result = -1
    return result


HELPERS = (fail_if, twice, bump, quotient, rescued)


def names(decorate, inline, options, helper=None):
    """The globals of a program. `decorate` compiles a function; `helper` those here, if they are to be other."""
    scope = {"np": np, "held": held, "atomic": atomic, "words": words}
    for function in HELPERS:
        # Each with globals of its own, as `rescued` is to call the compiled `fail_if`.
        copy = type(function)(function.__code__, scope, function.__name__)
        scope[function.__name__] = (helper or decorate)(copy)
    try:
        from numba import objmode, prange

        scope.update(prange=prange, objmode=objmode)
    except ImportError:
        pass
    return {**scope, "helper": decorate, "inlined": inline, "kernel_options": options}
