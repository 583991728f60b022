"""CPython's own tests of its locks, run against ours where the interpreter brings them along."""

import threading

import pytest

import interlock

lock_tests = pytest.importorskip("test.lock_tests", reason="this Python is installed without its tests")


class LockTests(lock_tests.LockTests):
    locktype = staticmethod(interlock.Lock)


class RLockTests(lock_tests.RLockTests):
    locktype = staticmethod(interlock.RLock)


class SemaphoreTests(lock_tests.SemaphoreTests):
    semtype = staticmethod(interlock.Semaphore)


class BoundedSemaphoreTests(lock_tests.BoundedSemaphoreTests):
    semtype = staticmethod(interlock.BoundedSemaphore)


class ConditionOnOurLock(lock_tests.ConditionTests):
    """The interpreter's condition, on our recursive lock."""

    @staticmethod
    def condtype(lock=None):
        return threading.Condition(interlock.RLock() if lock is None else lock)
