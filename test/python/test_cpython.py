"""CPython's own tests of its locks, run against ours where the interpreter brings them along."""

import threading

import pytest

import interlock

lock_tests = pytest.importorskip("test.lock_tests", reason="this Python is installed without its tests")


class LockTests(lock_tests.LockTests):
    locktype = staticmethod(interlock.Lock)


class RLockTests(lock_tests.RLockTests):
    locktype = staticmethod(interlock.RLock)


class EventTests(lock_tests.EventTests):
    eventtype = staticmethod(interlock.Event)


class ConditionTests(lock_tests.ConditionTests):
    condtype = staticmethod(interlock.Condition)


def on(new):
    """A condition on a lock of that kind, in those tests that do not acquire it twice."""

    class ConditionTestsOn(lock_tests.ConditionTests):
        @staticmethod
        def condtype(lock=None):
            return interlock.Condition(new() if lock is None else lock)

        def test_acquire(self):
            if new in (interlock.Lock, interlock.Mutex, threading.Lock):
                self.skipTest("it acquires the lock twice")
            super().test_acquire()

    return ConditionTestsOn


ConditionTestsOnLock = on(interlock.Lock)
ConditionTestsOnMutex = on(interlock.Mutex)
ConditionTestsOnFairMutex = on(lambda: interlock.Mutex(fair=True, recursive=True))
ConditionTestsOnThePythonLock = on(threading.Lock)
ConditionTestsOnThePythonRLock = on(threading.RLock)


class PythonsConditionOnOurLock(lock_tests.ConditionTests):
    @staticmethod
    def condtype(lock=None):
        return threading.Condition(interlock.RLock() if lock is None else lock)


class SemaphoreTests(lock_tests.SemaphoreTests):
    semtype = staticmethod(interlock.Semaphore)


class BoundedSemaphoreTests(lock_tests.BoundedSemaphoreTests):
    semtype = staticmethod(interlock.BoundedSemaphore)


class BarrierTests(lock_tests.BarrierTests):
    barriertype = staticmethod(interlock.Barrier)
