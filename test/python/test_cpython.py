"""CPython's own tests of its locks, run against ours where the interpreter brings them along."""

import functools
import threading
import unittest
import warnings

import pytest

import interlock

lock_tests = pytest.importorskip("test.lock_tests", reason="this Python is installed without its tests")


def patient(tests):
    """They count on what other threads do within a moment, which a busy machine may delay, but not again and again."""

    def patiently(test):
        @functools.wraps(test)
        def run(self, *arguments):
            for _ in range(2):
                try:
                    return test(self, *arguments)
                except unittest.SkipTest:
                    raise
                except Exception as error:
                    warnings.warn(f"tried again after {error!r}", stacklevel=2)
                    self.tearDown()
                    self.setUp()
            return test(self, *arguments)

        return run

    for name in dir(tests):
        if name.startswith("test_"):
            setattr(tests, name, patiently(getattr(tests, name)))
    return tests


@patient
class LockTests(lock_tests.LockTests):
    locktype = staticmethod(interlock.Lock)


@patient
class RLockTests(lock_tests.RLockTests):
    locktype = staticmethod(interlock.RLock)


@patient
class EventTests(lock_tests.EventTests):
    eventtype = staticmethod(interlock.Event)


@patient
class ConditionTests(lock_tests.ConditionTests):
    condtype = staticmethod(interlock.Condition)


def on(new):
    """A condition on a lock of that kind, in those tests that do not acquire it twice."""

    @patient
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


@patient
class PythonsConditionOnOurLock(lock_tests.ConditionTests):
    @staticmethod
    def condtype(lock=None):
        return threading.Condition(interlock.RLock() if lock is None else lock)


@patient
class SemaphoreTests(lock_tests.SemaphoreTests):
    semtype = staticmethod(interlock.Semaphore)


@patient
class BoundedSemaphoreTests(lock_tests.BoundedSemaphoreTests):
    semtype = staticmethod(interlock.BoundedSemaphore)


@patient
class BarrierTests(lock_tests.BarrierTests):
    barriertype = staticmethod(interlock.Barrier)
