"""`is`, `==` and the truth of objects: the same in kernels as in Python."""

import numpy as np
import pytest
from numba import njit, typed

from interlock import Lock, LockArray, Mutex, PerThread, Queue

GLOBAL = Mutex()


@njit
def pick(thing, chosen):
    return thing if chosen else None


def same(a, b, c):
    return a is a, a is b, a is not a, a is not b, a is c, a is not c, a is GLOBAL


def equal(a, b, c):
    return a == a, a == b, a != a, a != b, a == c, a != c, a == GLOBAL, a in (b, a), a not in (b,)


def perhaps_none(a, b, c):
    x, y = pick(a, True), pick(a, False)
    return x is a, a is x, x is b, y is a, x is x, x is y, y is None, x is None, x is not a, a is None


def true(a, b, c):
    if a and c:
        return not b, bool(a), bool(c), not c
    return None


@pytest.mark.parametrize("kernel", [same, equal, perhaps_none, true])
@pytest.mark.parametrize("a", [GLOBAL, Mutex()], ids=["global", "argument"])
def test_does_as_python(kernel, a):
    arguments = a, Mutex(), LockArray(3)
    assert njit(kernel)(*arguments) == kernel(*arguments)


@pytest.mark.parametrize("new", [lambda: PerThread(2, np.int64), lambda: Queue(2, np.float32)])
def test_types_of_a_dtype(new):
    arguments = new(), new(), Lock()
    assert njit(same)(*arguments) == same(*arguments)


def test_closed_objects_are_not_the_same():
    a, b = Mutex(), Mutex()
    a.close()
    b.close()
    assert njit(lambda a, b: (a is b, a == b, a is a))(a, b) == (False, False, True)


def test_in_a_list():
    locks = typed.List([Mutex(), Mutex()])

    @njit
    def places(locks, lock):
        return [other is lock for other in locks]

    assert places(locks, locks[1]) == [False, True]


def test_optional_numbers_are_as_before():
    assert not njit(lambda x: pick(x, True) is pick(x, False))(3)
