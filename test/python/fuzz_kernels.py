"""Random kernels that take locks and use atomics and objects, run compiled and as plain Python: the results must agree.

    fuzz_kernels.py --programs 300              so many programs
    fuzz_kernels.py --minutes 60 --seed 7       for so long; the programs are the same for the same seed
    fuzz_kernels.py --seed 7 --first 12 --programs 1 --print     prints programs, and runs none
    fuzz_kernels.py FILE...                     judges programs that are kept in files, as in fuzz/seeds

A kernel must give the right result, or be rejected when it is compiled, with a sentence that says what and where; or Numba
alone, with plain blocks, reads and writes instead of interlock's, must differ from Python too. Anything else is a finding.
Prints a summary and the reduced findings, and exits with 1 if there are any. See fuzz/__init__.py for its parts.
"""

import argparse
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from fuzz import generate, oracle
from fuzz.pool import Pool
from fuzz.report import Report
from fuzz.shrink import shrink

# A kernel for each form of `with` that not every version of interlock supports.
PROBES = {
    "with": "@kernel_options\ndef kernel(lock, a):\n    with lock:\n        a[0] += 1\n",
    "reading": "@kernel_options\ndef kernel(rw, a):\n    with rw.reading():\n        a[0] += 1\n",
    "lockarray": "@kernel_options\ndef kernel(locks, a):\n    with locks.held(1):\n        a[0] += 1\n",
}


def supported_forms(judge):
    """The forms of `with` that this interlock compiles."""
    return ("held", *(form for form, source in PROBES.items() if judge(oracle.Program(source))["class"] == "right"))


def fuzz(pool, programs, jobs, report, shrinks=0, progress=None):
    """Judges each of `programs`, and shrinks the first findings, up to `shrinks` of them."""

    def work(program):
        nonlocal shrinks
        verdict = pool.judge(program)
        small = None
        if verdict["class"] in oracle.FINDINGS and shrinks > 0:
            shrinks -= 1
            small = shrink(program, pool.judge)
        return program, verdict, small

    def take(future):
        program, verdict, small = future.result()
        report.add(program, verdict)
        if verdict["class"] in oracle.FINDINGS:
            report.found(*(small or (program, verdict)))
            if progress:
                progress(report, program, verdict)

    with ThreadPoolExecutor(jobs) as threads:
        running = set()
        for program in programs:
            running.add(threads.submit(work, program))
            if len(running) > jobs:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    take(future)
        for future in running:
            take(future)
    return report


def numbers(arguments, forms):
    deadline = time.monotonic() + 60 * arguments.minutes if arguments.minutes else None
    number = arguments.first
    while deadline is None or time.monotonic() < deadline:
        if arguments.programs and number >= arguments.first + arguments.programs:
            return
        yield generate.generate(arguments.seed, number, forms, arguments.without, arguments.size)
        number += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="programs to judge, instead of random ones")
    parser.add_argument("--minutes", type=float, help="for so long")
    parser.add_argument("--programs", type=int, help="so many programs; 200 if no time is given")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--first", type=int, default=0, help="the number of the first program of the seed")
    parser.add_argument("--print", action="store_true", help="print the programs, and run none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--forms", type=lambda text: text.split(","), help=f"of {','.join(generate.FORMS)}; those that work")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[], help=",".join(generate.FEATURES))
    parser.add_argument("--size", type=int, default=generate.SIZE, help=f"of a program; {generate.SMALL} is a small one")
    parser.add_argument("--shrink", type=int, default=20, help="so many findings are shrunk")
    parser.add_argument("--findings", type=Path, help="a file for the findings, rewritten after each")
    parser.add_argument("--keep", type=Path, help="a folder for the shrunk programs")
    arguments = parser.parse_args()
    if not arguments.minutes and not arguments.programs:
        arguments.programs = 200

    if arguments.print:
        for program in numbers(arguments, arguments.forms or generate.FORMS):
            print(program.text())
        return 0

    def progress(report, program, verdict):
        print(f"{verdict['class']}: program {program.seed}: {verdict.get('detail', '')[:150]}", flush=True)
        if arguments.findings:
            arguments.findings.write_text("\n".join([*report.summary(), "", *report.text()]))

    report = Report()
    with Pool() as pool:
        if arguments.files:
            forms, programs = (), [oracle.Program.read(file.read_text()) for file in arguments.files]
        else:
            forms = arguments.forms or supported_forms(pool.judge)
            programs = numbers(arguments, forms)
            print(f"Seed {arguments.seed}, with --forms {','.join(forms)}", flush=True)
        fuzz(pool, programs, arguments.jobs, report, arguments.shrink, progress)
    print("\n".join([*report.text(), *report.summary()]))
    if arguments.findings:
        arguments.findings.write_text("\n".join([*report.summary(), "", *report.text()]))
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for number, members in enumerate(report.groups().values()):
            (arguments.keep / f"{number:02}_{members[0][1]['class'].replace(' ', '_')}.txt").write_text(members[0][0].text())
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
