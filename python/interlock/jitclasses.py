"""The library's objects as Numba jitclasses, each with one field `ptr`, its handle.

They are for nopython code, which can make them too. The methods are those of the classes in `interlock`, with these
differences:

- Only `close()` frees the handle of an instance. For a queue that is `free()`, because `close()` closes the queue.
- A condition has no lock of its own: pass it to `wait` and `wait_for`.
- A barrier has no `parties`, a lock array no length, a queue no `capacity`.
- A semaphore's `maximum` sets a bound. A BoundedSemaphore's bound is at least 1.
- No warning is issued when a lock's owner has exited without a release.

Called from Python, the methods hold the GIL except while they sleep. There, use the classes in `interlock`. In nopython
code, give a constructor all its arguments: Numba fills in defaults for methods, but not for constructors. In Python code,
give a method its arguments by position: Numba accepts no keywords there.

With ``NUMBA_DISABLE_JIT=1`` they are plain classes with the same field and methods.
"""

from numba import types
from numba.core import config
from numba.experimental import jitclass

from . import nb  # noqa: F401 - used by the source text below
from ._constants import *
from ._numba.methods import METHODS, Property

if config.DISABLE_JIT:
    from ._numba.plain import view
else:
    from ._numba.kernels import view

# Class -> the parameters of its constructor, and the call that makes the handle.
_NEW = {
    "Lock": ("", "ilk_mutex_new(ILK_UNOWNED)"),
    "RLock": ("", "ilk_mutex_new(ILK_RECURSIVE)"),
    "Mutex": (
        "fair=False, recursive=False",
        "ilk_mutex_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0))",
    ),
    "RWLock": ("", "ilk_rwlock_new(0)"),
    "Semaphore": ("value=1, maximum=0", "ilk_semaphore_new(value, maximum)"),
    # To the library a bound of 0 means none, so 0 is rejected, as negative values are.
    "BoundedSemaphore": ("value=1", "ilk_semaphore_new(value if value > 0 else -1, value)"),
    "Condition": ("", "ilk_condition_new(0)"),
    "Event": ("", "ilk_event_new(0)"),
    "Barrier": ("parties", "ilk_barrier_new(parties if parties < 2**31 else 0)"),
    "Latch": ("count", "ilk_latch_new(count)"),
    "Once": ("", "ilk_once_new(0)"),
    "Counter": ("initial=0", "ilk_counter_new(initial)"),
    "Tally": ("", "ilk_tally_new()"),
    "LockArray": ("n, padded=False", "ilk_lockarray_new(n, ILK_PADDED if padded else 0)"),
    "Queue": ("capacity", "ilk_queue_new(capacity)"),
    "Local": ("", "ilk_local_new()"),
}

_CLASS = """
class {name}:
    "As `interlock.{name}`."

    def __init__(self, {parameters}):
        self.ptr = nb.{new}
        self.ptr = {view}._created

    def {free}(self):
        if self.ptr != 0:
            {view}._free()
            self.ptr = 0
"""

_METHOD = """
    def {name}(self, {parameters}):
        return {view}.{name}({arguments})
"""

_PROPERTY = """
    @property
    def {name}(self):
        return {view}.{name}
"""

_CONDITION = """
    def wait(self, lock, timeout=None):
        return view(self.ptr, lock.ptr).wait(timeout)

    def wait_for(self, lock, predicate, timeout=None):
        result = predicate()
        if timeout is None:
            while not result:
                self.wait(lock)
                result = predicate()
        else:
            deadline = nb.ilk_clock() / 1e9 + timeout
            while not result:
                left = deadline - nb.ilk_clock() / 1e9
                if left <= 0:
                    break
                self.wait(lock, left)
                result = predicate()
        return result

    def notify(self, n=1):
        {view}._notify(n)

    def notify_all(self):
        {view}._notify_all()
"""

# Methods that need more than the handle.
_NOT_HERE = {"__len__", "capacity", "full", "parties"}

# The view that the methods are called on: by default it has only the handle.
_VIEW = {
    "Condition": "view(self.ptr, 0)",
    "BoundedSemaphore": "view(self.ptr, 2**31 - 1)",
    "LockArray": "view(self.ptr, -1)",
}
_FIELDS = {"Condition": ["lock"], "BoundedSemaphore": ["maximum"], "LockArray": ["length"]}


def _source(name):
    parameters, new = _NEW[name]
    methods, on = METHODS[name], _VIEW.get(name, "view(self.ptr)")
    yield _CLASS.format(name=name, parameters=parameters, new=new, view=on, free="free" if "close" in methods else "close")
    if name == "Condition":
        yield _CONDITION.format(view=on)
        return
    for method, what in methods.items():
        if method not in _NOT_HERE:
            parameters, arguments = str(what.pysig)[1:-1], ", ".join(what.pysig.parameters)
            text = _PROPERTY if isinstance(what, Property) else _METHOD
            yield text.format(name=method, parameters=parameters, arguments=arguments, view=on)


for _name in _NEW:
    _scope = {**globals(), "view": view(_name, *_FIELDS.get(_name, []))}
    exec("".join(_source(_name)), _scope)
    globals()[_name] = jitclass([("ptr", types.intp)])(_scope[_name])
