"""S14: a queue from Python, beside queue.Queue and queue.SimpleQueue, which has no bound."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import interlock
from rounds import Loop, Point

CAPACITY = 64


def put_and_get(q: Any) -> Loop:
    def loop(n: int) -> None:
        for _ in range(n):
            q.put(1)
            q.get()

    return loop


def between_threads(q: Any) -> Loop:
    def loop(n: int) -> None:
        def produce() -> None:
            for _ in range(n):
                q.put(1)

        thread = threading.Thread(target=produce)
        thread.start()
        for _ in range(n):
            q.get()
        thread.join()

    return loop


def points() -> Iterator[Point]:
    def queues() -> dict[str, Any]:
        return {
            "interlock.Queue": interlock.Queue(CAPACITY),
            "queue.Queue": queue.Queue(CAPACITY),
            "queue.SimpleQueue": queue.SimpleQueue(),
        }

    alone = {name: put_and_get(q) for name, q in queues().items()}
    yield Point("S14", "Python: put and get", alone, "interlock.Queue", "queue.Queue", 1.0)
    yield Point("S14", "Python: put and get", alone, "interlock.Queue", "queue.SimpleQueue", 4.0)
    pairs = {name: between_threads(q) for name, q in queues().items() if name != "queue.SimpleQueue"}
    yield Point("S14", "Python: from one thread to another", pairs, "interlock.Queue", "queue.Queue", 1.0, waits=True)
