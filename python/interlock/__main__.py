"""Shows what this installation is, whether it works, and how fast it is: ``python -m interlock``."""

from __future__ import annotations

import argparse
import ctypes
import importlib
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import Counter, HandleError, Lock, Mutex, Semaphore, _calls, capi, get_library, version

PATIENCE = 30  # seconds, for steps that take a moment


def numba() -> ModuleType | None:
    try:
        return importlib.import_module("numba")
    except ImportError:
        return None


def text(address: int) -> str:
    return ctypes.string_at(address).decode()


def facts() -> dict[str, object]:
    module = numba()
    return {
        "interlock": version,
        "waits by": text(capi.ilk_backend()),
        "fence": text(capi.ilk_fence()),
        "library": get_library(),
        "Numba": module.__version__ if module else "not installed",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "calls by": _calls.WAY,
        "CPUs": capi.ilk_cpu_count(),
    }


# --- the self-test: each function returns a short result, or raises -----------------------------------------------


def require(condition: bool, what: str) -> None:
    if not condition:
        raise RuntimeError(what)


def in_threads(n: int, function: Callable[..., Any], *arguments: Any) -> None:
    # Daemons: if they hang, this process still ends.
    threads = [threading.Thread(target=function, args=arguments, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
        require(not thread.is_alive(), f"threads hang:\n{report()}")


def one_version() -> str:
    major, minor, patch = map(int, version.split("."))
    require(capi.ilk_version() == major * 10000 + minor * 100 + patch, f"the library is {capi.ilk_version()}")
    return "library and package belong together"


def exclusion() -> str:
    threads, rounds, total = 8, 100, [0]

    def add(lock: Lock | Mutex | Semaphore) -> None:
        for _ in range(rounds):
            with lock:
                before = total[0]
                time.sleep(0)  # lets another thread in, if the lock does
                total[0] = before + 1

    for lock in Lock(), Mutex(), Semaphore():
        total[0] = 0
        in_threads(threads, add, lock)
        require(total[0] == threads * rounds, f"{type(lock).__name__}: {total[0]} of {threads * rounds}")
    return f"{threads} threads, no addition lost"


def exclusion_in_kernels() -> str:
    module = numba()
    if not module:
        return "left out: no Numba"
    from .nb import ilk_mutex_lock, ilk_mutex_unlock

    def add(mutex: int, total: Any, n: int) -> None:
        for _ in range(n):
            ilk_mutex_lock(mutex)
            total[0] += 1
            ilk_mutex_unlock(mutex)

    kernel = module.njit(nogil=True)(add)
    threads, rounds, lock, total = 4, 500_000, Mutex(), importlib.import_module("numpy").zeros(1, "int64")
    kernel(lock.handle, total, 0)  # compiles it
    in_threads(threads, kernel, lock.handle, total, rounds)
    require(total[0] == threads * rounds, f"{total[0]} of {threads * rounds}")
    return f"{threads} threads, no addition lost"


def timeout() -> str:
    lock, seconds = Lock(), 0.05
    with lock:
        start = time.perf_counter()
        require(not lock.acquire(timeout=seconds), "acquired what was held")
        passed = time.perf_counter() - start
    require(passed >= seconds, f"after {passed * 1000:.1f} ms instead of {seconds * 1000:.0f}")
    return f"{seconds * 1000:.0f} ms became {passed * 1000:.1f}"


def bad_handles() -> str:
    counter = Counter()
    handle = counter.handle
    counter.close()
    for wrong in handle, 0, 1, -1 % 2**64, Lock().handle, id(counter):
        require(capi.ilk_counter_store(wrong, 1) == capi.ILK_EHANDLE, f"{wrong:#x} passed for a handle")
    try:
        counter.load()
    except HandleError:
        return "freed, foreign and random ones are told"
    raise RuntimeError("a closed counter was read")


CHECKS: dict[str, Callable[[], str]] = {
    "version": one_version,
    "exclusion": exclusion,
    "exclusion in Numba": exclusion_in_kernels,
    "timeout": timeout,
    "bad handles": bad_handles,
}


def self_test() -> bool:
    passed = True
    for name, check in CHECKS.items():
        try:
            result = f"ok      {check()}"
        except Exception as problem:
            result = f"FAILED  {problem or type(problem).__name__}"
            passed = False
        print(f"  {name:20}{result}", flush=True)
    return passed


# --- the benchmark --------------------------------------------------------------------------------------------------


def benchmark() -> str:
    """Time a lock and unlock in a Numba kernel, by one thread, beside Python's own lock, which kernels could also call."""
    module = numba()
    if not module:
        return "left out: no Numba"
    from .nb import ilk_mutex_lock, ilk_mutex_unlock

    new, free = ctypes.pythonapi["PyThread_allocate_lock"], ctypes.pythonapi["PyThread_free_lock"]
    acquire, release = ctypes.pythonapi["PyThread_acquire_lock"], ctypes.pythonapi["PyThread_release_lock"]
    new.restype = ctypes.c_void_p
    free.argtypes, free.restype = [ctypes.c_void_p], None
    acquire.argtypes, acquire.restype = [ctypes.c_void_p, ctypes.c_int], ctypes.c_int
    release.argtypes, release.restype = [ctypes.c_void_p], None

    def ours(lock: int, n: int) -> None:
        for _ in range(n):
            ilk_mutex_lock(lock)
            ilk_mutex_unlock(lock)

    def pythons(lock: int, n: int) -> None:
        for _ in range(n):
            acquire(lock, 1)
            release(lock)

    mutex, python_lock = Mutex(), new()
    kernels = [(module.njit(nogil=True)(ours), mutex.handle), (module.njit(nogil=True)(pythons), python_lock)]
    pairs, rounds = 100_000, 21
    times: list[list[float]] = [[], []]
    for round_ in range(rounds + 1):
        for (kernel, lock), results in zip(kernels, times):
            start = time.perf_counter()
            kernel(lock, pairs if round_ else 1)  # the first compiles
            if round_:
                results.append((time.perf_counter() - start) / pairs * 1e9)
    free(python_lock)
    our, other = map(statistics.median, times)
    return f"interlock {our:.1f} ns, PyThread {other:.1f} ns: {our / other:.2f} of it"


# --- the report -----------------------------------------------------------------------------------------------------


def report() -> str:
    size = capi.ilk_report(None, 0) + 4096  # it may grow meanwhile
    buffer = ctypes.create_string_buffer(size)
    capi.ilk_report(buffer, size)
    return buffer.value.decode()


def example_report() -> str:
    """Return the report while a thread waits for a mutex that this one holds."""
    mutex = Mutex()
    with mutex:
        waiter = threading.Thread(target=mutex.acquire, kwargs={"timeout": PATIENCE}, daemon=True)
        waiter.start()
        deadline = time.monotonic() + PATIENCE
        while "waits for mutex" not in report() and time.monotonic() < deadline:
            time.sleep(0.001)
        said = report()
    waiter.join(PATIENCE)
    return said


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m interlock", description=__doc__)
    parser.add_argument("--no-benchmark", action="store_true", help="only facts and self-test")
    parser.add_argument("--report", action="store_true", help="also show ilk_report() while a thread waits")
    options = parser.parse_args(arguments)
    for name, value in facts().items():
        print(f"{name:12}{value}")
    print("self-test", flush=True)
    passed = self_test()
    if not options.no_benchmark:
        print(f"lock and unlock in a Numba kernel\n  {benchmark()}", flush=True)
    if options.report:
        print(f"report while a thread waits\n{example_report()}", end="")
    print("all ok" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
