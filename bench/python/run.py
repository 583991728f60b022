#!/usr/bin/env python3
"""What interlock costs when Python itself calls it, outside kernels: the goals S12 to S14.

run.py [--only S12,S13] [--rounds N] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import statistics
from pathlib import Path

import adds
import locks
import queues
from rounds import Machine, interleave, version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="goals, with commas")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    wanted = options.only.upper().split(",") if options.only else None
    machine = Machine()
    if not importlib.util.find_spec("cereggii"):
        print("skipped: cereggii (not installed)")
    measured: list[dict[str, object]] = []
    ways, times = None, {}
    for point in itertools.chain(locks.points(), adds.points(), queues.points()):
        if wanted and point.goal not in wanted:
            continue
        if point.ways is not ways:  # a second limit on the same ways
            ways, times = point.ways, interleave(point.ways, options.rounds, point.waits)
            print(f"\n{point.what}")
            for name, ns in times.items():
                print(f"  {name:28} {statistics.median(ns):10.1f} ns")
        measured.append({**point._asdict(), "ways": list(times), "ns": times, "python": version()})
    if options.out:
        options.out.write_text(json.dumps({**machine.describe(), "points": measured}))


if __name__ == "__main__":
    main()
