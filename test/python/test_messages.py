"""What a kernel cannot call, or calls wrongly, is one sentence: what is wrong, and what to write instead."""

import re

import numpy as np
import pytest
from numba import njit
from numba.core.errors import NumbaError

import interlock
from interlock import (
    Condition,
    Counter,
    LockArray,
    Mutex,
    Once,
    PerThread,
    Queue,
    RWLock,
    Semaphore,
    atomic,
    held,
    nb,
    words,
)
from interlock import jitclasses as jc

FLOATS, NUMBERS, LOCKS = np.zeros(3), np.zeros(3, np.int64), np.zeros(3, np.uint32)

# The body of a kernel, its argument, and the start of the sentence.
WRONG = [
    ("x.acquire(1, 2, 3)", Mutex(), "Mutex.acquire(blocking=True, timeout=-1) cannot take (int64, int64, int64): too many"),
    ("x.acquire(foo=1)", Mutex(), "Mutex.acquire(blocking=True, timeout=-1) cannot take (foo=int64): got an unexpected"),
    ("x.acquire('x')", Mutex(), "Mutex.acquire(blocking=True, timeout=-1): the argument `blocking` must be a bool, not"),
    ("x.acquire(True, 'x')", Mutex(), "Mutex.acquire(blocking=True, timeout=-1): the argument `timeout` must be a number"),
    ("x.acquire()", LockArray(4), "LockArray.acquire(i, blocking=True, timeout=-1) cannot take (): missing a required"),
    ("x.acquire(1.5)", LockArray(4), "LockArray.acquire(i, blocking=True, timeout=-1): the argument `i` must be an integer"),
    ("x.put(1.5)", Queue(2, np.int32), "Queue(int32).put(item, block=True, timeout=None): a queue of int32 cannot hold"),
    ("x.notify(1.5)", Condition(Mutex()), "Condition.notify(n=1): the argument `n` must be an integer, not float64"),
    ("x.aquire()", Mutex(), "Mutex has no `aquire`: did you mean `acquire`?"),
    ("x.acquire()", RWLock(), "RWLock has no `acquire`: did you mean `acquire_read` or `acquire_write`?"),
    ("x.close()", Mutex(), "Mutex.close is for Python code alone: a kernel cannot close an object"),
    ("x.call(3)", Once(), "Once.call is for Python code alone: use `begin` and `end`"),
    ("x.merge(3)", PerThread(2, np.int64), "PerThread(int64, 1d).merge is for Python code alone"),
    (
        "Mutex()",
        1,
        "a kernel cannot make a Mutex: make it in Python and pass it as an argument, or use interlock.jitclasses",
    ),
    ("PerThread(2)", 1, "a kernel cannot make a PerThread: make it in Python and pass it as an argument"),
    ("interlock.report()", 1, "interlock.report is for Python code alone"),
    ("interlock.cancel(True)", 1, "interlock.cancel is for Python code alone"),
    ("x.value = 3", Semaphore(), "a kernel cannot assign to Semaphore.value: it is read-only"),
    (
        "atomic.add(x)",
        NUMBERS,
        "atomic.add(array, index, value, order='seq_cst') cannot take (array(int64, 1d, C)): missing",
    ),
    ("atomic.cas(x, 0, foo=1)", NUMBERS, "atomic.cas(array, index, old, value, order='seq_cst') cannot take (array("),
    ("atomic.add(x, 0.5, 1)", NUMBERS, "atomic.add: the index of an array of 1 dimensions cannot be float64"),
    ("atomic.add(x, 0, 1j)", NUMBERS, "atomic.add: the value cannot be complex128"),
    ("atomic.add(3, 0, x[0])", NUMBERS, "atomic.add takes a numpy array"),
    ("atomic.and_(x, 0, 1)", FLOATS, "atomic.and_ does not work on arrays of float64"),
    ("atomic.load(x, 0, 'late')", NUMBERS, "atomic.load: order must be one of"),
    ("words.lock(x, 0)", NUMBERS, "words.lock: locks are the elements of an array of uint32, not array(int64"),
    ("words.unlock(x)", LOCKS, "words.unlock(array, index, shared=False) cannot take (array(uint32, 1d, C)): missing"),
    ("nb.ilk_mutex_lock(x)", Mutex(), "ilk_mutex_lock: argument 1 is interlock.Mutex, but must be the object's handle"),
    ("nb.ilk_mutex_lock(x)", jc.Mutex(False, False), "ilk_mutex_lock: argument 1 is instance.jitclass"),
    ("nb.ilk_sleep(1.5)", 1, "ilk_sleep: argument 1 is float64, but must be an integer"),
    (
        "nb.ilk_atomic_load_i64(x)",
        NUMBERS,
        "ilk_atomic_load_i64: argument 1 is array(int64, 1d, C), but must be the array's",
    ),
    ("nb.ilk_mutex_lock()", 1, "ilk_mutex_lock takes 1 arguments, not 0"),
    ("with x.held(1.5): pass", LockArray(4), "held: `acquire` of LockArray does not take these arguments: float64"),
    ("with held(x, 2): pass", Semaphore(4), "held: `acquire` of Semaphore does not take these arguments: int64"),
    ("with held(x, 2): pass", jc.Semaphore(4, 0), "held: `acquire` of instance.jitclass.Semaphore"),
    ("with x.held(i=1): pass", LockArray(4), "LockArray.held takes its arguments by position in a kernel"),
    ("with x.reading: pass", RWLock(), "`with` of the method interlock.RWLock.reading lacks the call"),
    ("with Mutex(): pass", 1, "a kernel cannot make a Mutex"),
    ("with interlock.cancel(): pass", 1, "interlock.cancel is for Python code alone"),
]


@pytest.mark.parametrize("body, argument, sentence", WRONG, ids=[body for body, _, _ in WRONG])
def test_the_error_is_a_sentence(body, argument, sentence):
    scope = {
        "Mutex": Mutex,
        "PerThread": PerThread,
        "interlock": interlock,
        "held": held,
        "atomic": atomic,
        "words": words,
        "nb": nb,
    }
    exec(f"def kernel(x):\n    {body}\n", scope)
    with pytest.raises(NumbaError) as caught:
        njit(scope["kernel"])(argument)
    text = re.sub(r"\x1b\[\d*m", "", str(caught.value))  # Numba's colours, where colorama is installed
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Failed in")]
    assert lines[0].startswith(sentence)
    assert "line 2" in text or "(2)" in text


def test_keywords_and_defaults():
    @njit
    def kernel(numbers, locks, counter):
        old = atomic.add(array=numbers, index=0, value=4, order="release")
        old += 10 * atomic.add(numbers, value=1, index=0)
        held = words.lock(locks, index=1, timeout=0.1) and not words.trylock(locks, 1)
        words.unlock(locks, 1, shared=False)
        return old, held, counter.fetch_add(delta=3), atomic.cas(numbers, (0,), 5, value=7)

    assert kernel(np.zeros(1, np.int64), np.zeros(2, np.uint32), Counter(2)) == (40, True, 2, 5)
