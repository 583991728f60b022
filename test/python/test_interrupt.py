"""Ctrl-C ends a wait, and leaves nothing acquired."""

import signal
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE

# The signal comes once the main thread waits in C, according to the report, or sleeps in its function.
PROGRAM = """
import faulthandler, signal, sys, threading, time
import interlock
signal.signal(signal.SIGINT, signal.default_int_handler)
faulthandler.dump_traceback_later(300, exit=True)
def started(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
def elsewhere(acquire):
    # Acquires in a thread that then stays.
    acquired = threading.Event()
    started(lambda: (acquire(), acquired.set(), time.sleep(3600)))
    acquired.wait()
def until(condition):
    while not condition():
        time.sleep(0.005)
def asleep():
    print("waiting", flush=True)
    while True:
        time.sleep(0.05)  # a signal that comes just before a sleep does not end it
def say_when_it_waits():
    until(lambda: f"(native {{main}})  waits for " in interlock.report())
    print("waiting", flush=True)
main = threading.get_native_id()
if sys.platform == "win32":  # a line from the parent is Ctrl-C: there too it comes in a thread of its own
    started(lambda: (sys.stdin.readline(), signal.raise_signal(signal.SIGINT)))
{setup}
try:
    {say}
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
else:
    sys.exit("it did not wait")
{after}
"""

# The object, the wait, and the condition that must hold afterwards.
WAITS = {
    "Lock": ("lock = interlock.Lock(); lock.acquire()", "lock.acquire()", "lock.release(); assert not lock.locked()"),
    "Lock with timeout": ("lock = interlock.Lock(); lock.acquire()", "lock.acquire(timeout=30)", "lock.release()"),
    "Lock in with": ("lock = interlock.Lock(); lock.acquire()", "lock.__enter__()", "lock.release()"),
    "Mutex": ("lock = interlock.Mutex(); elsewhere(lock.acquire)", "lock.acquire()", "assert not lock._is_owned()"),
    "fair Mutex": ("lock = interlock.Mutex(True); elsewhere(lock.acquire)", "lock.acquire()", ""),
    "RLock": ("lock = interlock.RLock(); elsewhere(lock.acquire)", "lock.acquire()", "assert not lock._is_owned()"),
    "RWLock for reading": ("rw = interlock.RWLock(); elsewhere(rw.acquire_write)", "rw.acquire_read()", ""),
    "RWLock for writing": ("rw = interlock.RWLock(); elsewhere(rw.acquire_read)", "rw.acquire_write()", ""),
    "Semaphore": ("s = interlock.Semaphore(0)", "s.acquire()", "assert s.value == 0"),
    "Condition": ("c = interlock.Condition(); c.acquire()", "c.wait()", "c.notify(); c.release(); c.close()"),
    "Condition with timeout": ("c = interlock.Condition(); c.acquire()", "c.wait(30)", "c.release(); c.close()"),
    "Condition for": ("c = interlock.Condition(); c.acquire()", "c.wait_for(lambda: 0)", "c.release(); c.close()"),
    "Condition on another lock": (
        "c = interlock.Condition(threading.Lock()); c.acquire()",
        "c.wait()",
        "c.notify(); c.release(); assert c.acquire(False); c.release(); c.close()",
    ),
    "Event": ("e = interlock.Event()", "e.wait()", "assert not e.is_set(); e.close()"),
    # As one that times out, an interrupted wait breaks the barrier: the others would wait forever.
    "Barrier": (
        "b = interlock.Barrier(3); others = started(lambda: b.wait())",
        "b.wait()",
        "others.join(60); assert b.broken and not others.is_alive(); b.reset(); assert not b.broken",
    ),
    "Barrier with an action": (
        "b = interlock.Barrier(2, print)",
        "b.wait()",
        "assert b.broken; b.reset(); started(b.wait); b.wait()",
    ),
    "Barrier in its action": (
        "b = interlock.Barrier(2, asleep); others = started(lambda: b.wait()); until(lambda: b.n_waiting)",
        "b.wait()",
        "others.join(60); assert b.broken and not others.is_alive()",
    ),
    "Barrier while others act": (
        "acting = threading.Event(); b = interlock.Barrier(1, lambda: (acting.set(), time.sleep(3600)))\n"
        "started(lambda: b.wait()); acting.wait()",
        "b.wait()",
        "",
    ),
    "Latch": ("l = interlock.Latch(1)", "l.wait()", "assert l.value == 1; l.close()"),
    "Once": ("o = interlock.Once(); elsewhere(o.begin)", "o.begin()", ""),
    "Once by call": ("o = interlock.Once(); elsewhere(o.begin)", "o.call(print)", ""),
    "Once at work": ("o = interlock.Once()", "o.call(asleep)", "assert o.begin()"),
    "Counter": ("c = interlock.Counter()", "c.wait(1)", "c.close()"),
    "LockArray": ("a = interlock.LockArray(4); elsewhere(lambda: a.acquire(2))", "a.acquire(2)", ""),
    "LockArray, a pair": (
        "a = interlock.LockArray(4); elsewhere(lambda: a.acquire(2))",
        "a.acquire_pair(2, 1)",
        "a.acquire(1)",
    ),
    "LockArray, a range": (
        "a = interlock.LockArray(4); elsewhere(lambda: a.acquire(3))",
        "a.acquire_range(0, 4)",
        "a.acquire_range(0, 3)",
    ),
    "Queue, get": ("q = interlock.Queue(1)", "q.get()", "q.put(1); assert q.get() == 1"),
    "Queue, put": ("q = interlock.Queue(1); q.put(1)", "q.put(2)", "assert q.get() == 1 and q.empty()"),
}


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c(name):
    setup, wait, after = WAITS[name]
    say = "" if "asleep" in setup + wait else "started(say_when_it_waits)"
    code = PROGRAM.format(setup=setup, say=say, wait=wait, after=after)
    for _ in range(5):
        if seconds_to_end(code) < 0.1 + 0.9:  # 100 ms, and a delay by a busy machine, but not again and again
            return
    pytest.fail("Ctrl-C does not get through at once")


def press_ctrl_c(process):
    if sys.platform == "win32":
        process.stdin.write("\n")
        process.stdin.flush()
    else:
        process.send_signal(signal.SIGINT)


def seconds_to_end(code):
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "waiting\n"
        start = time.perf_counter()
        press_ctrl_c(process)
        assert process.stdout.readline() == "interrupted\n"
        took = time.perf_counter() - start
        assert process.wait(PATIENCE) == 0
        return took
    finally:
        process.kill()
        process.stdout.close()
        process.stdin.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no interval timers that send signals")
def test_handlers_run_and_the_wait_goes_on(python):
    python(
        "import signal, threading, time, interlock\n"
        "seen = []\n"
        "signal.signal(signal.SIGALRM, lambda *a: seen.append(time.monotonic()))\n"
        "lock = interlock.Lock(); lock.acquire()\n"
        "def release():\n"
        "    while len(seen) < 4: time.sleep(0.01)\n"
        "    lock.release()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\n"
        "threading.Thread(target=release).start()\n"
        "assert lock.acquire()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )


@pytest.mark.parametrize("kind", ["Lock", "Mutex", "RLock", "Semaphore", "LockArray", "RWLock", "Once"])
def test_interrupted_just_as_it_acquires(kind, python):
    # The signal and the release come in the same slice of the wait: the handler raises after C has acquired.
    python(
        "import os, signal, threading, time, interlock\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Array:\n"
        "    def __init__(self): self.locks = interlock.LockArray(4)\n"
        "    def acquire(self, *t): return self.locks.acquire_range(0, 4, *t)\n"
        "    def release(self): self.locks.release_range(0, 4)\n"
        "class Writer:\n"
        "    def __init__(self): self.lock = interlock.RWLock()\n"
        "    def acquire(self, *t): return self.lock.acquire_write(*t)\n"
        "    def release(self): self.lock.release_write()\n"
        "class Begin:\n"
        "    def __init__(self): self.once = interlock.Once()\n"
        "    def acquire(self, *t): return self.once.begin()\n"
        "    def release(self): self.once.end(False)\n"
        "own = dict(LockArray=Array, RWLock=Writer, Once=Begin)\n"
        f"lock = own.get('{kind}', getattr(interlock, '{kind}'))()\n"
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
        "    assert lock.acquire(True, 120)\n"
        "    lock.release()\n"
        "assert raised > 10, raised\n"
    )


def test_an_item_got_just_as_it_is_interrupted_is_not_lost(python):
    python(
        "import os, signal, threading, time, interlock\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "q = interlock.Queue(4)\n"
        "got, raised = [], 0\n"
        "for i in range(20):\n"
        "    started = threading.Event()\n"
        "    def put():\n"
        "        started.wait(); time.sleep(0.02)\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.005 * (i % 2))\n"
        "        q.put(i)\n"
        "    thread = threading.Thread(target=put)\n"
        "    thread.start()\n"
        "    try:\n"
        "        started.set()\n"
        "        got.append(q.get())\n"
        "        time.sleep(0.1)\n"
        "    except KeyboardInterrupt:\n"
        "        raised += 1\n"
        "    thread.join()\n"
        "    while not q.empty(): got.append(q.get_nowait())\n"
        "assert got == list(range(20)), got\n"
        "assert raised > 10, raised\n"
    )


def test_a_notify_to_who_is_interrupted_goes_to_another(python):
    python(
        "import os, signal, threading, time, interlock\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "condition = interlock.Condition()\n"
        "tokens, eaten = [], []\n"
        "def eat():\n"
        "    for _ in range(20):\n"
        "        with condition:\n"
        "            while not tokens: condition.wait()\n"
        "            eaten.append(tokens.pop())\n"
        "eater = threading.Thread(target=eat, daemon=True); eater.start()\n"
        "for i in range(20):\n"
        "    def give():\n"
        "        time.sleep(0.02 + 0.003 * i)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        with condition:\n"
        "            tokens.append(i); condition.notify()  # the main thread, or the eater\n"
        "    thread = threading.Thread(target=give)\n"
        "    try:\n"
        "        with condition:\n"
        "            thread.start(); condition.wait()\n"
        "        with condition: condition.notify()  # not for us\n"
        "        time.sleep(0.2)\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
        "    thread.join()\n"
        "eater.join(120)\n"
        "assert sorted(eaten) == list(range(20)), eaten\n"
    )
