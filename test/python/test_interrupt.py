"""Ctrl-C ends a wait, and leaves nothing acquired."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import signal, sys, threading, time
import interlock
signal.signal(signal.SIGINT, signal.default_int_handler)
{setup}
print("waiting", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
{after}
"""

WAITS = {
    "lock": ("lock = interlock.Lock(); lock.acquire()", "lock.acquire()"),
    "lock with timeout": ("lock = interlock.Lock(); lock.acquire()", "lock.acquire(timeout=30)"),
    "with": ("lock = interlock.Lock(); lock.acquire()", "lock.__enter__()"),
    "semaphore": ("s = interlock.Semaphore(0)", "s.acquire()"),
    "counter": ("c = interlock.Counter()", "c.wait(1)"),
}


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c(name):
    setup, wait = WAITS[name]
    code = PROGRAM.format(setup=setup, wait=wait, after="")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - start < 0.1 + 0.4  # 100 ms, and what a busy machine adds
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdout.close()


def test_handlers_run_and_the_wait_goes_on(python):
    python(
        "import signal, threading, time, interlock\n"
        "seen = []\n"
        "signal.signal(signal.SIGALRM, lambda *a: seen.append(time.monotonic()))\n"
        "lock = interlock.Lock(); lock.acquire()\n"
        "threading.Timer(0.5, lock.release).start()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\n"
        "assert lock.acquire()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "assert len(seen) >= 4, seen\n"
    )


@pytest.mark.parametrize("kind", ["Lock", "Mutex", "RLock", "Semaphore"])
def test_interrupted_just_as_it_acquires(kind, python):
    # The signal and the release come in the same slice of the wait: the handler raises after C has acquired.
    python(
        "import os, signal, threading, time, interlock\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"lock = interlock.{kind}()\n"
        "raised = 0\n"
        "for i in range(20):\n"
        "    held = threading.Event()\n"
        "    def hold():\n"
        "        lock.acquire(); held.set(); time.sleep(0.02)\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.005)\n"
        "        lock.release()\n"
        "    thread = threading.Thread(target=hold)\n"
        "    try:\n"
        "        thread.start(); held.wait()\n"
        "        lock.acquire()\n"
        "        acquired = True\n"
        "    except KeyboardInterrupt:\n"
        "        acquired = False; raised += 1\n"
        "    thread.join()\n"
        "    if acquired: lock.release()\n"
        "    assert lock.acquire(timeout=5)\n"
        "    lock.release()\n"
        "assert raised > 10, raised\n"
    )
