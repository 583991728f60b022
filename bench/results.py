"""Shared by bench/plot and bench/goals: the JSON of interlock-bench."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


class Results:
    """One run of interlock-bench."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.peers = {(p["kind"], p["name"]): p for p in data["peers"]}

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(json.loads(path.read_text()))

    def cells(self, kind: str, scenario: str | None = None, **axes: int) -> Iterator[Cell]:
        for cell in self.data["cells"]:
            if cell["kind"] == kind and scenario in (None, cell["scenario"]):
                if all(cell[axis] == value for axis, value in axes.items()):
                    yield cell

    def cell(self, kind: str, scenario: str, **axes: int) -> Cell | None:
        return next(self.cells(kind, scenario, **axes), None)

    def trait(self, kind: str, name: str, trait: str) -> Any:
        return self.peers[kind, name][trait]

    def names(self, kind: str, trait: str) -> list[str]:
        return [name for (k, name), peer in self.peers.items() if k == kind and peer[trait]]

    def best(self, cell: Cell) -> str | None:
        """The fastest peer that sleeps while it waits and does all that ours does."""
        times: dict[str, float] = {}
        for name in (p["name"] for p in cell["peers"]):
            traits = self.peers[cell["kind"], name]
            sleeps = traits["parks"] or traits["baseline"]  # an inlined addition has no need to
            if sleeps and not traits["ours"] and not traits.get("weaker") and (t := ns(cell, name)):
                times[name] = t
        return min(times, key=times.__getitem__) if times else None

    def for_goal(self, goal: int) -> Iterator[Cell]:
        """The cells that goal S<goal> is read from, by kind, size and threads."""
        cells = (cell for cell in self.data["cells"] if cell.get("goals", 0) >> goal & 1)
        yield from sorted(cells, key=lambda c: (c["kind"], c["capacity"], c["locks"], c["threads"]))

    def baseline(self, kind: str) -> str | None:
        return next(iter(self.names(kind, "baseline")), None)


def peer(cell: Cell, name: str) -> dict[str, Any] | None:
    return next((p for p in cell["peers"] if p["name"] == name and p["ns"]), None)


def ns(cell: Cell, name: str) -> float | None:
    """The median time for one operation of all threads together."""
    p = peer(cell, name)
    return statistics.median(p[time_of(cell)]) if p else None


class Ratio:
    """The median of the rounds' ratios, and the quartiles around it."""

    def __init__(self, ratios: list[float]) -> None:
        self.median = statistics.median(ratios)
        quartiles = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else [self.median] * 3
        self.low, self.high = quartiles[0], quartiles[2]

    def __str__(self) -> str:
        return f"{self.median:.2f}"

    @property
    def spread(self) -> str:
        return f"{self.low:.2f}..{self.high:.2f}"


def time_of(cell: Cell) -> str:
    """What is compared: one thread alone never waits, so its processor time is the time that others did not take."""
    return "cpu" if cell["threads"] == 1 else "ns"


def ratio(cell: Cell, name: str, to: str) -> Ratio | None:
    """Time against time, round by round: what disturbs a round disturbs both."""
    a, b, key = peer(cell, name), peer(cell, to), time_of(cell)
    return Ratio([x / y for x, y in zip(a[key], b[key])]) if a and b else None


def ratio_between(a: Cell, b: Cell, name: str) -> Ratio | None:
    """One peer in two cells, which were not measured in the same round."""
    p, base = peer(a, name), ns(b, name)
    return Ratio([x / base for x in p[time_of(a)]]) if p and base else None
