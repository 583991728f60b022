"""The goals S1 to S14: interlock against the best peer of each kind. Rows for bench/goals and bench/plot."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from results import Cell, Ratio, Results, ns, peer, ratio

FAIR = 0.9  # the least of Jain's index at a contended point
CONDITIONS = ("pthread_cond", "std::condition_variable", "parking_lot Condvar", "Rust std Condvar")
KINDS = {"lock": "mutex", "life": "mutex", "rwlock": "readers-writer lock"}
FREE_NS = 50  # for a lock that never had a waiter


class Row(NamedTuple):
    goal: str
    what: str
    best: str
    limit: str
    ratio: Ratio | None
    ours: float  # ns, the median of the rounds
    theirs: float
    rounds: int
    met: bool
    note: str = ""


def describe(cell: Cell) -> str:
    threads = cell["threads"]
    if "queue" in cell["kind"]:
        return f"{cell['scenario']}, {threads // 2}:{threads // 2}, capacity {cell['capacity']}"
    if cell["kind"] == "handover":
        return "hand-over, " + ("two cores" if cell["scenario"] == "apart" else "one core")
    kind = KINDS.get(cell["kind"], cell["kind"])
    text = f"{kind}, {cell['scenario']}" if cell["scenario"] != kind else kind
    if cell["kind"] == "lockarray":
        text = f"lock array, {cell['locks']:,} locks at random"
    if cell["kind"] == "rwlock" and cell["scenario"] == "mixed":
        text = f"readers, {cell['writes'] / 10:g} % writers"
    return f"{text}, {threads} thread{'s' if threads > 1 else ''}"


def against(
    goal: int, results: Results, cell: Cell, name: str, base: str | None, limit: float, note: str = ""
) -> Iterator[Row]:
    """One of ours against one peer; nothing where either was not measured."""
    base = base or results.best(cell)
    r = ratio(cell, name, base) if base else None
    ours, theirs = ns(cell, name), ns(cell, base) if base else None
    if not (r and base and ours and theirs):
        return
    mine, other = peer(cell, name) or {}, peer(cell, base) or {}
    fair = True
    if jain := mine.get("jain"):
        fair = jain >= FAIR
        note = f"Jain {jain:.2f}, {other.get('jain', 0):.2f} for {base}" + ("; " + note if note else "")
    what = describe(cell) + (f": {name}" if name != "interlock" else "")
    yield Row(f"S{goal}", what, base, f"{limit:.2f}", r, ours, theirs, len(mine["ns"]), r.median <= limit and fair, note)


def cells(goal: int, limit: float, names: tuple[str, ...] = ("interlock",)) -> Callable[[Results], Iterator[Row]]:
    """The goal that each of `names` takes at most `limit` of the best peer's time, in all cells of the goal."""

    def rows(results: Results) -> Iterator[Row]:
        for cell in results.for_goal(goal):
            for name in names:
                yield from against(goal, results, cell, name, None, limit)

    return rows


def queues(results: Results) -> Iterator[Row]:
    for cell in results.for_goal(1):
        best = results.best(cell)
        limit = (ns(cell, best) if best else None) or 0.0
        weaker = [p["name"] for p in cell["peers"] if results.trait(cell["kind"], p["name"], "weaker")]
        faster = [name for name in weaker if (t := ns(cell, name)) and t < limit]
        note = "faster, but promises less: " + ", ".join(faster) if faster else ""
        yield from against(1, results, cell, "interlock", best, 1.0, note)


def handovers(results: Results) -> Iterator[Row]:
    for cell in results.for_goal(3):
        names = [p["name"] for p in cell["peers"] if results.trait("handover", p["name"], "ours")]
        together = cell["scenario"] == "together"
        for name in names:
            base = "bare futex" if together else None
            if not together and "condition" in name:
                times = {p: t for p in CONDITIONS if (t := ns(cell, p))}
                base = min(times, key=times.__getitem__) if times else None
            yield from against(3, results, cell, name, base, 1.1 if together else 1.0)


def lives(results: Results) -> Iterator[Row]:
    for cell in results.for_goal(11):
        for row in against(11, results, cell, "interlock", None, 1.0):
            if cell["scenario"] == "free":
                row = row._replace(limit=f"{FREE_NS} ns", met=row.ours <= FREE_NS)
            yield row


def python_data(path: str | None) -> dict[str, Any]:
    """The JSON of bench/python."""
    return json.loads(Path(path).read_text()) if path and Path(path).exists() else {"points": []}


def python(path: str | None) -> Iterator[Row]:
    """S12 to S14."""
    for point in python_data(path)["points"]:
        times, ours = point["ns"], point["ours"]
        medians = {name: statistics.median(t) for name, t in times.items()}
        bases = [point["against"]] if point.get("against") else [name for name in times if not name.startswith("interlock")]
        best = min(bases, key=medians.__getitem__)
        r = Ratio([x / y for x, y in zip(times[ours], times[best])])
        limit, unit = point["limit"], point.get("unit", "ratio")
        met = (medians[ours] if unit == "ns" else r.median) <= limit
        yield Row(point["goal"], point["what"], best, f"{limit:g} ns" if unit == "ns" else f"{limit:.2f}", r, medians[ours],
                  medians[best], len(times[ours]), met, f"Python {point['python']}")  # fmt: skip


MUTEXES = ("interlock", "interlock unowned")
GOALS: tuple[Callable[[Results], Iterator[Row]], ...] = (
    queues,
    cells(2, 0.8),
    handovers,
    cells(4, 1.1, MUTEXES),
    cells(5, 1.0, ("interlock word",)),
    cells(6, 1.0, ("interlock", "interlock words")),
    cells(7, 1.0),
    cells(8, 1.0),
    cells(9, 1.0),
    cells(10, 1.0, ("interlock", "interlock array element")),
    lives,
)


def all_rows(results: Results | None, python_path: str | None) -> Iterator[Row]:
    if results:
        for rows in GOALS:
            yield from rows(results)
    yield from python(python_path)


def time_text(value: float) -> str:
    for size, name in (1e9, "s"), (1e6, "ms"), (1e3, "us"):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} ns"


def quiet(data: dict[str, Any]) -> str:
    """Whether others used the machine, as one sentence."""
    load, others, cpus = data.get("load", -1), data.get("others", -1), data.get("cpus", 1)
    parts = [f"load average before the start {load:.2f}" if load >= 0 else "load average not known"]
    if others >= 0:
        parts.append(f"other programs had {others:.0%} of the processors meanwhile")
    busy = others > 0.05 or (others < 0 and load > 0.25 * cpus)
    return ("NOT quiet: " if busy else "quiet: ") + ", ".join(parts)


def table(rows: list[Row]) -> Iterator[str]:
    yield "| goal | what | best peer | at most | ratio | quartiles | ours | its | rounds | met | |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for r in rows:
        spread, met = r.ratio.spread if r.ratio else "-", "yes" if r.met else "no"
        columns = (
            r.goal,
            r.what,
            r.best,
            r.limit,
            r.ratio,
            spread,
            time_text(r.ours),
            time_text(r.theirs),
            r.rounds,
            met,
            r.note,
        )
        yield "| " + " | ".join(str(column) for column in columns) + " |"
