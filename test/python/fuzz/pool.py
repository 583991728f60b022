"""Verdicts from worker processes: one that crashes or hangs is a verdict too, and is replaced."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
PROGRAMS = 60  # until a worker, which never frees what it compiled, is replaced

# A stage hangs if it used this many seconds of a processor, or did nothing but sleep for so long: time in which the
# machine has stood still is neither.
CPU_SECONDS = {"start": 120, "python": 120, "compile": 180, "run": 20, "control": 240}
ASLEEP_SECONDS = 40
WALL_SECONDS = 900  # where the two are not known


class Hang(Exception):
    pass


class Crash(Exception):
    pass


class Worker:
    def __init__(self):
        self.process = None

    def _start(self):
        environment = {"NUMBA_NUM_THREADS": "2", **os.environ}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.judged = 0
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True).start()
        self.stage = "start"
        self._next()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.put(json.loads(line))
        lines.put(None)

    def _next(self):
        """The next line of the worker's. Crash, Hang."""
        pid, start, asleep = self.process.pid, time.monotonic(), time.monotonic()
        first = _cpu_seconds(pid)
        while True:
            try:
                line = self.lines.get(timeout=1)
            except queue.Empty:
                cpu, now = _cpu_seconds(pid), time.monotonic()
                if not _is_asleep(pid):
                    asleep = now
                if cpu is None:
                    hangs = now - start > WALL_SECONDS
                else:
                    hangs = cpu - first > CPU_SECONDS[self.stage] or now - asleep > ASLEEP_SECONDS
                if hangs:
                    raise Hang(self.stage) from None
                continue
            if line is None:
                code = self.process.wait()
                raise Crash(signal.Signals(-code).name if code < 0 else f"exit {code}")
            return line

    def _ask(self, program, how):
        if self.process is None:
            self._start()
        self.process.stdin.write(json.dumps({"how": how, "program": program.as_dict()}) + "\n")
        self.process.stdin.flush()
        while True:
            line = self._next()
            if "verdict" in line:
                self.judged += 1
                if self.judged >= PROGRAMS:
                    self.stop()
                return line["verdict"]
            self.stage = line["stage"]

    def judge(self, program):
        try:
            return self._ask(program, "judge")
        except (Hang, Crash, OSError) as error:
            kind, detail, stage = "hang" if isinstance(error, Hang) else "crash", str(error), self.stage
            self.stop()
        if stage == "python":
            return {"class": "invalid", "detail": f"{kind} in Python: {detail}"}
        if stage == "control":  # it is the control that ended so; the program had another fault
            return {"class": "numba", "detail": f"{kind}: {detail}", "control": f"{kind}"}
        return {"class": kind, "detail": f"{detail}, {stage}", "stage": stage, **self._control(program)}

    def _control(self, program):
        """What the program without interlock does, where the program itself has brought down its worker."""
        try:
            verdict = self._ask(program, "control")
        except (Hang, Crash, OSError) as error:
            self.stop()
            return {"class": "numba", "control": f"{type(error).__name__}: {error}"}
        return {"class": "numba", "control": verdict.get("detail")} if verdict["class"] == "numba" else {}

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def _stat(pid):
    if sys.platform == "win32":
        return None  # under Wine there are such files, and they are of other processes
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _cpu_seconds(pid):
    """What the process has used so far; None where the system does not tell."""
    fields = _stat(pid)
    return fields and (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_asleep(pid):
    """Whether it waits for something: not for a processor, nor for a disk."""
    fields = _stat(pid)
    return bool(fields) and fields[0] == "S"


class Pool:
    """Workers of their own threads: `judge` may be called from `jobs` threads at once."""

    def __init__(self):
        self._workers = []
        self._mine = threading.local()

    def judge(self, program):
        worker = getattr(self._mine, "worker", None)
        if worker is None:
            worker = self._mine.worker = Worker()
            self._workers.append(worker)
        return worker.judge(program)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for worker in self._workers:
            worker.stop()
