"""One program: run in Python, compiled, and, where these differ, without interlock. The verdict is a dict with a `class`:

right            the compiled kernel does what Python does
refused          it is refused when it is compiled, with a sentence of interlock's
numba            so does the program without interlock: a limit or a fault of Numba's alone
wrong            another result, other arrays, another state of an object, another exception
hidden write     wrong, and so is Numba alone, but only where it cannot see the writes of a function that is called
unclear          refused without a sentence that a user understands, though Numba takes the program without interlock
crash, hang      the process ended, or did not (given by the pool)
invalid          Python itself cannot run it: a fault of the generator, or of a step of the shrinker
"""

import ast
import re
import signal
import threading
import warnings
from dataclasses import asdict, dataclass, field

import numpy as np

from . import plain, world
from .control import control, writes_under_locks

PYTHON_SECONDS = 20  # a run in Python takes a moment; one that takes this never ends
RUNS = 4

# What Numba makes of an exception that an `except` block raises, wherever that stands (see docs/held.md).
RERAISED = "op code RERAISE executed"

FINDINGS = ("wrong", "hidden write", "unclear", "crash", "hang")


@dataclass
class Program:
    source: str
    parallel: bool = False
    nogil: bool = True
    boundscheck: bool = False
    seed: str = "0"  # of the arguments
    runs: int = RUNS
    extras: dict = field(default_factory=dict)  # of the generator, for the report

    def options(self):
        return {"parallel": self.parallel, "nogil": self.nogil, "boundscheck": self.boundscheck}

    def header(self):
        """One line, which `read` reads back."""
        return f"# parallel={self.parallel} nogil={self.nogil} boundscheck={self.boundscheck} seed={self.seed}"

    def text(self):
        return f"{self.header()}\n{self.source.strip()}\n"

    @classmethod
    def read(cls, text):
        match = re.search(r"^# parallel=(\w+) nogil=(\w+) boundscheck=(\w+) seed=(\S+)$", text, re.M)
        parallel, nogil, boundscheck = (word == "True" for word in match.groups()[:3])
        return cls(text[match.end() :].strip() + "\n", parallel, nogil, boundscheck, match[4])

    def as_dict(self):
        return asdict(self)


class Invalid(BaseException):
    """Python cannot run the program. A handler in the program does not catch it."""


class Refused(Exception):
    """The program cannot be compiled; the cause is the exception."""


@dataclass
class Outcome:
    """What a run did."""

    value: object
    exception: object
    states: dict
    guards: dict

    def difference(self, other):
        """What is not the same, in words; None if all is."""
        if self.exception != other.exception:
            return f"exception: {self.exception} in Python, {other.exception} compiled"
        if self.exception is None and not _equal(self.value, other.value):
            return f"result: {self.value} in Python, {other.value} compiled"
        for name, state in self.states.items():
            if state != other.states[name]:
                return f"state of {name}: {_first_difference(state, other.states[name])}"
        return None

    def outside(self):
        """The array beside which something was written; None if none was."""
        return next((name for name, changed in self.guards.items() if changed), None)


def _equal(a, b):
    if isinstance(a, (tuple, list)):
        return isinstance(b, (tuple, list)) and len(a) == len(b) and all(map(_equal, a, b))
    return a == b or (a != a and b != b)


def _first_difference(state, other):
    if not isinstance(state, list):
        return f"{state} in Python, {other} compiled"
    i = next(i for i, (one, another) in enumerate(zip(state, other)) if one != another)
    return f"element {i - world.GUARD if len(state) > world.GUARD else i}: {state[i]} in Python, {other[i]} compiled"


def _normal(value):
    """Only Python's own types, so that values compare and can be sent."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return [_normal(each) for each in value]
    return value


# Numba's texts for these are its own.
LOOSE = ("ZeroDivisionError", "IndexError")


def _exception(error):
    # Some that a kernel raises are subclasses of what Python raises, which `except` does not tell apart.
    name = next(each.__name__ for each in type(error).__mro__ if not each.__module__.startswith("interlock._numba"))
    return name if name in LOOSE else f"{name}{_normal(error.args)}"


# --- ways to run it -----------------------------------------------------------------------------------------------


def parameters(source):
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == "kernel":
            return [argument.arg for argument in node.args.args]
    raise Invalid("it has no kernel")


def _define(source, scope):
    try:
        code = compile(source, "<program>", "exec")
    except SyntaxError as error:
        raise Invalid(str(error)) from None
    exec(code, scope)
    return scope["kernel"]


def _same(function):
    return function


def _python(program, source, how):
    scope = world.names(_same, _same, _same)
    scope.update(plain.FUNCTIONS if how == "plain" else program.extras.get("python", {}))
    kernel, names = _define(source, scope), parameters(source)
    return [_run(kernel, names, program, run, how, False) for run in range(program.runs)]


def _compiled(program, source, how, helper=None):
    import numba

    decorate, inline = numba.njit(**{**program.options(), "parallel": False}), numba.njit(inline="always")
    scope = world.names(decorate, inline, numba.njit(**program.options()), helper)
    if how == "plain":
        scope.update({name: inline(function) for name, function in plain.FUNCTIONS.items() if name in source})
    else:
        scope.update(program.extras.get("compiled", {}))
    names = parameters(source)
    first = world.arguments(names, program.seed, 0, how, True)
    try:
        kernel = _define(source, scope)
        kernel.compile(tuple(numba.typeof(value) for value in first))
    except Exception as error:
        raise Refused(how) from error
    return kernel, names


def _run(kernel, names, program, run, how, compiled):
    values = world.arguments(names, program.seed, run, how, compiled)
    before = world.guards(names, values)
    result = exception = None
    try:
        result = kernel(*values)
    except Exception as error:
        if not compiled:
            _check_exception(error, program)
        exception = _exception(error)
    result = _normal(result)
    if not compiled:
        _check_numbers(result)
    after = world.guards(names, values)
    return Outcome(result, exception, world.states(names, values), {name: after[name] != before[name] for name in before})


def _check_exception(error, program):
    """The program is to blame for these, or numpy has another rule than a kernel."""
    if isinstance(error, (NameError, TypeError, AttributeError, OverflowError, FloatingPointError)):
        raise Invalid(f"{type(error).__name__}: {error}")
    if isinstance(error, IndexError) and "out of bounds for axis" in str(error) and not program.boundscheck:
        raise Invalid("an index out of range is undefined without boundscheck")


def _check_numbers(value):
    if isinstance(value, list):
        for each in value:
            _check_numbers(each)
    elif isinstance(value, int) and not -(2**62) < value < 2**62:
        raise Invalid("a number does not fit")


class _InTime:
    """Ends a run in Python that would never end. A wait for a lock is ended too: the main thread waits in slices.

    A thread raises the signal, because Windows has no alarm(). Its handler runs in the main thread all the same.
    """

    SIGNAL = getattr(signal, "SIGALRM", signal.SIGINT)

    def __enter__(self):
        self.before = signal.signal(self.SIGNAL, self._out_of_time)
        self.timer = threading.Timer(PYTHON_SECONDS, signal.raise_signal, [self.SIGNAL])
        self.timer.start()

    def __exit__(self, *exception):
        self.timer.cancel()
        self.timer.join()
        signal.signal(self.SIGNAL, self.before)

    @staticmethod
    def _out_of_time(*_):
        raise Invalid("it does not end in Python")


# --- the verdict --------------------------------------------------------------------------------------------------


def judge(program, stage=lambda name: None):
    """The verdict. `stage` is called with each step, for a process that watches from outside."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _judge(program, stage)
    except Invalid as error:
        return {"class": "invalid", "detail": str(error)}


def _in_python(program, source, how):
    with _InTime(), np.errstate(all="warn"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcomes = _python(program, source, how)
    for warning in caught:
        if issubclass(warning.category, RuntimeWarning):  # numpy's overflow, and division by zero
            raise Invalid(str(warning.message))
    return outcomes


def _judge(program, stage):
    stage("python")
    want = _in_python(program, program.source, "make")
    stage("compile")
    try:
        kernel, names = _compiled(program, program.source, "make")
    except Refused as refused:
        return _refusal(program, refused.__cause__, stage)
    for run in range(program.runs):
        stage("run")
        got = _run(kernel, names, program, run, "make", True)
        if outside := got.outside():
            return {"class": "wrong", "detail": f"run {run}: writes outside {outside}"}  # even if Numba does so itself
        difference = want[run].difference(got)
        if difference and RERAISED in difference:
            return {"class": "numba", "detail": f"run {run}: {difference}"}
        if difference:
            return _fault(program, f"run {run}: {difference}", stage)
    return {"class": "right", "runs": program.runs}


def _fault(program, detail, stage):
    verdict = judge_control(program, stage)
    classes = {"right": "wrong", "hidden write": "hidden write", "numba": "numba"}
    return {"class": classes[verdict["class"]], "detail": detail, "control": verdict.get("detail")}


def _refusal(program, error, stage):
    text = str(error)
    refusal = {"message": message(error), "kind": normalized(error), "text": text[:3000]}
    if is_clear(error):
        return {"class": "refused", **refusal}
    verdict = judge_control(program, stage)
    if verdict["class"] == "numba":
        return {"class": "numba", "detail": verdict["detail"], "control": verdict["detail"], **refusal}
    return {"class": "unclear", "detail": message(error), **refusal}


def judge_control(program, stage=lambda name: None):
    """What Numba makes of the program without interlock: right, hidden write (right if it sees into functions), numba."""
    stage("control")
    try:
        source = control(program.source)
        want = _in_python(program, source, "plain")
    except Invalid as error:
        return {"class": "right", "detail": f"no control: {error}"}
    detail = _control_fault(program, source, want, None)
    if detail is None:
        return {"class": "right"}
    if world.bump.__name__ in source and writes_under_locks(program.source):
        import numba

        if _control_fault(program, source, want, numba.njit(inline="always")) is None:
            return {"class": "hidden write", "detail": detail}
    return {"class": "numba", "detail": detail}


def _control_fault(program, source, want, helper):
    try:
        kernel, names = _compiled(program, source, "plain", helper)
    except Refused as refused:
        return "refused: " + normalized(refused.__cause__)
    for run in range(program.runs):
        difference = want[run].difference(_run(kernel, names, program, run, "plain", True))
        if difference:
            return "wrong: " + difference.partition(":")[0]
    return None


# --- refusals -----------------------------------------------------------------------------------------------------

# What a sentence of interlock's is about.
TOPIC = re.compile(r"`with\b|\b(interlock|held|with lock|atomic|words|prange|reading|writing)\b")
# What no user has written: Numba's variables, its passes, the library's own functions.
INTERNAL = re.compile(
    r"\$\w+|attempt\(|enter_with|POP_BLOCK|pop_block|undefined|pyobject|peephole|more than one definition|"
    r"unlit|CONST|phi|Var\(|ir\.|Untyped global name|No implementation of function"
)


def message(error):
    """The sentence: Numba's frame around it is left out."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Failed in", "During:", "File ", "- "))]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def normalized(error):
    """The sentence without what is this program's alone."""
    text = re.sub(r'File "[^"]*"', "File", message(error))
    text = re.sub(r"\$[\w.]+|0x[0-9a-f]+", "$", text)
    text = re.sub(r"'[^']*'", "'...'", text)
    return re.sub(r"\d+", "N", text)[:160]


def is_clear(error):
    """Whether it is a sentence of interlock's that names the line."""
    from numba.core.errors import NumbaError

    text = message(error)
    return (
        isinstance(error, NumbaError)
        and bool(TOPIC.search(text))
        and not INTERNAL.search(text)
        and ("line " in str(error) or 'File "' in str(error))
    )
