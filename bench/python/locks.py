"""S12: a lock from Python, beside threading.Lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import interlock
from rounds import Loop, Point

KINDS = {
    "interlock.Lock": interlock.Lock,
    "interlock.Mutex": interlock.Mutex,
    "threading.Lock": threading.Lock,
    "threading.RLock": threading.RLock,
}


def pair(lock: Any) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            lock.acquire()
            lock.release()

    return loop


def block(lock: Any) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            with lock:
                pass

    return loop


def creation(kind: Any) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            kind()

    return loop


def points() -> Iterator[Point]:
    for what, ways in (
        ("Python: lock and unlock", {name: pair(kind()) for name, kind in KINDS.items()}),
        ("Python: with lock", {name: block(kind()) for name, kind in KINDS.items()}),
        ("Python: create and free a lock", {name: creation(kind) for name, kind in KINDS.items()}),
    ):
        yield Point("S12", what, ways, "interlock.Lock", "threading.Lock", 0.9)
