"""cancel() and report(): a program that hangs."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import interlock
from conftest import PATIENCE, for_this_system, until
from interlock import Condition, Event, Latch, Lock, Mutex, Queue, Semaphore, cancel, capi, report
from interlock._constants import ILK_ECANCELED


@pytest.fixture(autouse=True)
def off_again():
    yield
    cancel(False)


def blocked(n):
    """Once n threads wait in the library."""
    until(lambda: capi.ilk_waiting() >= n)


def kernels(*calls):
    """Threads that make a C call each, as a kernel would."""
    results = []
    threads = [threading.Thread(target=lambda call=call: results.append(call[0](*call[1:])), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    blocked(len(threads))
    return threads, results


def join(threads):
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_on_and_off():
    event = Event()
    threads, results = kernels(*[(capi.ilk_event_wait, event.handle)] * 3)
    assert cancel(True) is None
    join(threads)
    assert results == [ILK_ECANCELED] * 3
    for wait in (
        event.wait,
        lambda: event.wait(PATIENCE),
        Latch(1).wait,
        Semaphore(0).acquire,
        Queue(1).get,
        interlock.Barrier(2).wait,
        interlock.Barrier(2, print).wait,
    ):
        with pytest.raises(RuntimeError, match="cancelled"):
            wait()
    condition = Condition()
    with condition, pytest.raises(RuntimeError, match="cancelled"):
        condition.wait()
    with condition:  # it was held, and is released
        pass
    condition.close()
    cancel(False)
    assert event.wait(0.01) is False


@pytest.mark.parametrize("exception", [KeyboardInterrupt, ValueError])
def test_body_that_is_left_by_an_exception(exception):
    event, mutex, queue = Event(), Mutex(), Queue(1)
    mutex.acquire()
    threads, results = kernels(
        (capi.ilk_event_wait, event.handle),
        (capi.ilk_mutex_lock, mutex.handle),
        (capi.ilk_queue_get, queue.handle, queue_item()),
    )
    with pytest.raises(exception), cancel():
        raise exception
    join(threads)
    assert results == [ILK_ECANCELED] * 3
    assert event.wait(0.01) is False  # it is off
    mutex.release()


def queue_item():
    import ctypes

    return ctypes.byref(ctypes.c_int64())


def test_body_that_ends_cancels_nothing():
    event = Event()
    threads, results = kernels((capi.ilk_event_wait, event.handle))
    with cancel():
        pass
    assert capi.ilk_waiting() == 1
    event.set()
    join(threads)
    assert results == [0]


def test_one_wait_after_the_other_is_cancelled():
    # A kernel that waits again as soon as a wait has ended, or a little later. It may be so much later, on a busy
    # machine, that it does not count; but not again and again.
    def wait_for_all(events, results):
        for event in events:
            results.append(capi.ilk_event_wait(event.handle))
            time.sleep(0.02)

    for _ in range(10):
        events, results = [Event() for _ in range(5)], []
        thread = threading.Thread(target=wait_for_all, args=(events, results), daemon=True)
        thread.start()
        blocked(1)
        start = time.perf_counter()
        with pytest.raises(KeyError), cancel():
            raise KeyError
        assert time.perf_counter() - start >= 0.1
        for event in events:  # those that are waited for only now
            event.set()
        join([thread])
        if results == [ILK_ECANCELED] * 5:
            break
    assert results == [ILK_ECANCELED] * 5


def test_it_ends_although_a_thread_goes_on_waiting():
    # A reacquire of a mutex is never cancelled, and its holder keeps it.
    mutex, condition = Mutex(), interlock.capi.ilk_condition_new(0)

    def wait():
        capi.ilk_mutex_lock(mutex.handle)
        results.append(capi.ilk_condition_wait(condition, mutex.handle))
        capi.ilk_mutex_unlock(mutex.handle)

    results = []
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    blocked(1)
    with mutex, pytest.raises(KeyError), cancel():
        raise KeyError
    join([thread])
    assert results == [ILK_ECANCELED]
    assert Event().wait(0.01) is False
    assert capi.ilk_condition_free(condition) == 0


def test_ctrl_c_while_it_is_on_switches_it_off(python):
    python(
        "import os, signal, threading, time, interlock\n"
        "from interlock import capi\n"
        "armed = []\n"
        "def handler(*_):\n"
        "    if armed: armed.clear(); raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGINT, handler)\n"
        "def never_quiet():\n"
        "    while True: capi.ilk_sleep(10**6)\n"
        "def interrupt(): time.sleep(0.05); os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=never_quiet, daemon=True).start()\n"
        "event = interlock.Event()\n"
        "for _ in range(5):\n"
        "    thread = threading.Thread(target=interrupt)\n"
        "    thread.start()\n"
        "    try:\n"
        "        try:\n"
        "            armed.append(1)\n"
        "            with interlock.cancel(): raise KeyError\n"
        "        except KeyError: armed.clear()\n"
        "    except KeyboardInterrupt: pass\n"
        "    thread.join()\n"
        "    assert event.wait(0.01) is False\n"
        "os._exit(0)\n"
    )


def test_report():
    lock, event = Lock(), Event()
    lock.acquire()
    threads, _ = kernels((capi.ilk_event_wait, event.handle))
    text = report()
    assert isinstance(text, str) and text.startswith("interlock ") and text.endswith("\n")
    assert f"mutex {lock.handle:#x}  locked" in text
    assert f"event {event.handle:#x}  not set, 1 waiting" in text
    assert "waits for event" in text
    event.set()
    join(threads)
    assert "waits for" not in report()


def test_report_of_thousands():
    locks = [Lock() for _ in range(3000)]
    lines = report().splitlines()
    assert len(lines) >= 3001 and "live handles" in lines[0]
    assert all(f" {lock.handle:#x}  unlocked" in "\n".join(lines) for lock in locks[::500])


CTRL_C = """
import faulthandler, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import interlock
from interlock import capi
faulthandler.dump_traceback_later(300, exit=True)
signal.signal(signal.SIGINT, signal.default_int_handler)
queue, item = interlock.Queue(1), (__import__("ctypes").c_int64)()
pressed = threading.Event()
def work():
    # As a kernel: it computes for longer than a second after Ctrl-C, and then waits.
    pressed.wait()
    end = time.monotonic() + {compute}
    while time.monotonic() < end:
        pass
    return capi.ilk_queue_get(queue.handle, __import__("ctypes").addressof(item))
def press():
    until_asleep.wait()
    time.sleep(0.1)
    pressed.set()
    os.kill(os.getpid(), signal.SIGINT)
    if {twice}:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
until_asleep = threading.Event()
presser = threading.Thread(target=press, daemon=True)
presser.start()
try:
    try:
        with {first}, {second}:
            {start}
            until_asleep.set()
            while True:
                time.sleep(0.05)  # a signal that comes just before a sleep does not end it
    except KeyboardInterrupt:
        pass
    if {twice}:
        presser.join()  # the second may come late
        signal.signal(signal.SIGINT, signal.SIG_IGN)
except KeyboardInterrupt:
    pass
if not {twice}:
    assert work_result() == interlock._constants.ILK_ECANCELED
    assert not interlock.cancelled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("ended", flush=True)
os._exit(0)
"""
POOL = "ThreadPoolExecutor(1) as pool"


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_block_within_itself_is_refused(handler):
    """It took its own handler of Ctrl-C for the program's, and left it there: the next Ctrl-C was a RecursionError.

    Where Ctrl-C is ignored, as by a shell's background job, a block has no handler, and was not refused.
    """
    before, block = signal.signal(signal.SIGINT, handler), interlock.cancel()
    try:
        for _ in range(2):  # one after the other it may be used again
            with block:
                with pytest.raises(RuntimeError, match="has begun already"), block:
                    pass
                with interlock.cancel():
                    pass
            assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("compute", [0, 1.5])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("order", ["cancel outside", "cancel inside", "thread"])
def test_ctrl_c_ends_what_a_pool_or_a_thread_does(order, compute, twice):
    first, second = ("interlock.cancel()", POOL) if order == "cancel outside" else (POOL, "interlock.cancel()")
    start = "future = pool.submit(work)\n            work_result = future.result"
    if order == "thread":
        results = "results = []; t = threading.Thread(target=lambda: results.append(work()), daemon=True); t.start()"
        start = results + "\n            work_result = lambda: (t.join(), results[0])[1]"
        first, second = "interlock.cancel()", "interlock.Event()"
    program = CTRL_C.format(first=first, second=second, start=start, compute=compute, twice=twice)
    result = subprocess.run(
        [sys.executable, "-c", for_this_system(program)], capture_output=True, text=True, timeout=PATIENCE * 3
    )
    assert result.stdout == "ended\n", result.stderr


def test_cancelled():
    assert interlock.cancelled() is False
    cancel(True)
    assert interlock.cancelled() is True
    cancel(False)
    assert interlock.cancelled() is False


def test_a_handler_of_the_programs_own_still_runs():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(interlock.cancelled()))
    try:
        with cancel():
            signal.raise_signal(signal.SIGINT)
            assert interlock.cancelled()
        assert seen == [True]
        assert not interlock.cancelled()
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_exception_does_not_wait_for_work_of_before():
    begun, end = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambda: (begun.set(), end.wait(PATIENCE)))
        begun.wait()
        try:
            with pytest.raises(KeyError), cancel():
                raise KeyError
            assert not first.done()
        finally:
            end.set()


def test_a_handler_set_in_the_body_stays():
    before = signal.getsignal(signal.SIGINT)
    try:
        with cancel():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_blocks_in_several_threads():
    """The first block that ended switched the others' cancelling off: what their threads waited for next never came."""
    both, ends, went_on = threading.Event(), threading.Event(), []

    def another():
        with pytest.raises(KeyError), cancel():
            both.set()
            ends.wait(PATIENCE)
            raise KeyError

    thread = threading.Thread(target=another)
    thread.start()
    both.wait()
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with cancel():
            signal.raise_signal(signal.SIGINT)
            ends.set()
            thread.join(PATIENCE)
            went_on.append(interlock.cancelled())
            with pytest.raises(KeyError), cancel():
                raise KeyError
            went_on.append(interlock.cancelled())
        assert went_on == [True, True] and not interlock.cancelled()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_block_does_not_end_what_cancel_began():
    cancel(True)
    with pytest.raises(KeyError), cancel():
        raise KeyError
    assert interlock.cancelled()
    cancel(False)
    assert not interlock.cancelled()
