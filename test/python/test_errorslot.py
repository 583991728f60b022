"""ErrorSlot: exactly one error is kept, and Python raises it."""

import pickle
import threading

import numpy as np
import pytest
from numba import njit, prange
from numba.core import config

from interlock import ErrorSlot, HandleError, KernelError


@njit(parallel=True, nogil=True)
def check(samples, errors):
    for i in prange(len(samples)):
        if not errors.is_set() and samples[i] < 0:
            errors.set(1, i)


@njit
def raise_in_kernel(errors):
    errors.raise_if_set()
    return 1


@njit
def record(errors, code, where):
    return errors.set(code, where), errors.is_set(), errors.code(), errors.where()


def test_a_mapping_that_cannot_be_raised_is_refused_at_once():
    """It was a TypeError or IndexError in place of a worker's error."""
    for bad in (
        *(ValueError("x"), "text", None, int, KeyboardInterrupt, print),
        *((), (ValueError,), (ValueError, 1), ("text", ValueError), ((ValueError, "x"), "y"), (ValueError, "x", "y")),
    ):
        with pytest.raises(TypeError, match="the code 3 needs an exception class"):
            ErrorSlot({1: ValueError, 3: bad})

    class OfTwo(Exception):
        def __init__(self, sample, reason):
            super().__init__(sample, reason)

    for bad in (OfTwo, UnicodeDecodeError, (OfTwo, "sample {where}")):
        with pytest.raises(TypeError, match="the code 3 needs an exception class that takes one text"):
            ErrorSlot({3: bad})
    for code in (1.5, "1", None):
        with pytest.raises(TypeError):
            ErrorSlot({code: ValueError})


def test_an_error_leaves_a_prange():
    samples = np.ones(10_000)
    with ErrorSlot({1: (ValueError, "sample {where} is negative")}) as errors:
        check(samples, errors)
    samples[[77, 9000]] = -1
    with pytest.raises(ValueError, match=r"^sample (77|9000) is negative$"), errors:
        check(samples, errors)
    assert errors.where() in (77, 9000)
    errors.clear()
    assert not errors.is_set() and errors.code() == 0
    errors.raise_if_set()


def test_exactly_one_wins():
    errors, won, gate = ErrorSlot(), [], threading.Barrier(8)

    def work(k):
        gate.wait()
        if errors.set(k + 1, -k):
            won.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert (errors.code(), errors.where()) == (won[0] + 1, -won[0])


@pytest.mark.parametrize("code", [1, 32766, 0, -1, 32767, 2**40, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("where", [0, -1, 2**47 - 1, -(2**47) + 1, 2**47, -(2**63), 2**63 - 1])
def test_extremes_are_recorded_alike(code, where):
    ours, kernels = ErrorSlot(), ErrorSlot()
    assert (ours.set(code, where), ours.is_set(), ours.code(), ours.where()) == record(kernels, code, where)
    assert ours.code() == (code if 0 < code < 32767 else 32767)
    assert ours.where() == (where if abs(where) < 2**47 else -(2**47))
    with pytest.raises(KernelError) as caught:
        ours.raise_if_set()
    assert caught.value.code == ours.code()
    assert caught.value.where == (where if abs(where) < 2**47 else None)


def test_in_a_kernel_after_the_loop():
    errors = ErrorSlot({5: ZeroDivisionError})
    assert raise_in_kernel(errors) == 1
    errors.set(5, 9)
    # A kernel cannot use the exceptions of the object; plain Python can.
    expected = ZeroDivisionError if config.DISABLE_JIT else RuntimeError
    with pytest.raises(expected, match="code 5 at 9" if config.DISABLE_JIT else "a worker recorded an error"):
        raise_in_kernel(errors)
    with pytest.raises(ZeroDivisionError, match="code 5 at 9"), errors:
        raise_in_kernel(errors)
    with pytest.raises(KeyError), errors:
        raise KeyError


def test_misuse():
    for code in (0, 32767, -1):
        with pytest.raises(ValueError, match="is not in"):
            ErrorSlot({code: ValueError})
    errors = ErrorSlot()
    assert repr(errors).endswith(": not set>")
    errors.set(2, 3)
    assert repr(errors).endswith(": code=2, where=3>")
    errors.clear()
    assert errors.set(2**70, -(2**70))  # raised OverflowError, and the error was lost
    assert (errors.code(), errors.where()) == (32767, -(2**47))
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(errors)
    errors.close()
    for use in (errors.is_set, errors.raise_if_set, errors.clear, lambda: errors.set(1), lambda: record(errors, 1, 1)):
        with pytest.raises(HandleError):
            use()


def test_a_code_of_a_users_class():
    class Code:
        def __index__(self):
            return 3

    slot = ErrorSlot({Code(): ValueError})  # was accepted and never found: KernelError
    slot.set(Code(), 7)
    with pytest.raises(ValueError, match="code 3 at 7"):
        slot.raise_if_set()
