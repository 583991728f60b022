"""How the Python level is measured: all ways of a point in turn, round by round, so that a disturbance meets them alike."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

ROUND_NS = 3_000_000  # about how long one way runs in a round
WAITING_ROUND_NS = 30_000_000  # and where its threads wait for each other, so for the scheduler

Loop = Callable[[int], None]  # does its operation so many times


class Point(NamedTuple):
    """One row of a goal: `ours` against one way, or against the fastest other."""

    goal: str
    what: str
    ways: dict[str, Loop]
    ours: str
    against: str | None
    limit: float
    unit: str = "ratio"  # of the limit: "ratio", or "ns" of ours
    waits: bool = False  # its threads wait for each other: wall time, not the thread's processor time


def repeats(loop: Loop, clock: Callable[[], int], round_ns: int) -> int:
    """How often it fits into a round. The first run warms up; a run that the scheduler held up does not count."""

    def once(n: int) -> int:
        since = clock()
        loop(n)
        return clock() - since

    n = 20
    while True:
        spent = min(once(n), once(n))
        if spent > round_ns / 10:
            return max(20, int(n * round_ns / spent))
        n *= 4


def interleave(ways: dict[str, Loop], rounds: int, waits: bool) -> dict[str, list[float]]:
    """ns for one operation of each way, in each round."""
    clock = time.perf_counter_ns if waits else time.thread_time_ns
    round_ns = WAITING_ROUND_NS if waits else ROUND_NS
    counts = {name: repeats(loop, clock, round_ns) for name, loop in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for round_ in range(rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            since = clock()
            ways[name](counts[name])
            times[name].append((clock() - since) / counts[name])
    return times


def version() -> str:
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return platform.python_version() + ("" if gil else "t")


class Machine:
    """The machine, and how much of it other programs had since this was made: the fields that bench/field.py reads."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0]
        self.before = self.ticks()

    @staticmethod
    def ticks() -> tuple[float, float, float] | None:
        """All processor time, the idle part of it, and our own, in seconds."""
        try:
            with open("/proc/stat") as file:
                fields = [float(v) / os.sysconf("SC_CLK_TCK") for v in file.readline().split()[1:9]]
        except OSError:
            return None
        own = os.times()
        return sum(fields), fields[3] + fields[4], own.user + own.system

    def others(self) -> float:
        now = self.ticks()
        if not (now and self.before):
            return -1.0
        all_, idle, own = (b - a for a, b in zip(self.before, now))
        return max(0.0, (all_ - idle - own) / all_) if all_ > 0 else -1.0

    def describe(self) -> dict[str, Any]:
        cpu = platform.machine()
        try:
            with open("/proc/cpuinfo") as file:
                cpu = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), cpu)
        except OSError:
            pass
        return {
            "machine": {"cpu": f"{cpu}, {os.cpu_count()} processors", "system": f"{platform.system()} {platform.release()}"},
            "cpus": os.cpu_count(),
            "load": self.load,
            "others": self.others(),
        }
