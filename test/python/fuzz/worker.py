"""A process that judges programs, one after the other: a line of JSON in, lines of JSON out (see pool.py)."""

import json
import os
import sys
from pathlib import Path


def main():
    # Output of a library must not mix with the results.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

    import numba

    from fuzz import oracle

    numba.set_num_threads(1)

    def say(**what):
        print(json.dumps(what, default=str), file=answers, flush=True)

    say(ready=True)
    judges = {"judge": oracle.judge, "control": oracle.judge_control}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            verdict = judges[request["how"]](oracle.Program(**request["program"]), lambda stage: say(stage=stage))
        except oracle.Invalid as error:
            verdict = {"class": "invalid", "detail": str(error)}
        say(verdict=verdict)


main()
