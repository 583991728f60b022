"""The library's objects as Numba jitclasses, each with one field `ptr`, its handle.

They are for nopython code, which can make them too. The methods are those of the classes in `interlock`, with these
differences: nothing frees a jitclass instance's handle but `close()` (a queue's but `free()`: its `close()` is the
queue's). A condition does not know its lock, which `wait` and `wait_for` are given; a barrier not its parties, nor a lock
array its length, nor a queue its capacity. A semaphore's `maximum` sets a bound; a BoundedSemaphore's is at least 1. No
warning tells that a lock's owner has died.

Called from Python, the methods hold the GIL but while they sleep: there, use the classes in `interlock`. In nopython
code, give a constructor all its arguments: Numba fills in a method's defaults there, but not a constructor's. Python code
gives a method its arguments by place: Numba takes no keywords there.

With ``NUMBA_DISABLE_JIT=1`` they are plain classes with the same field and methods.
"""

from numba import types
from numba.core import config
from numba.experimental import jitclass

from . import nb  # noqa: F401 - the text below names it
from ._constants import *
from ._numba.methods import METHODS, Property

if config.DISABLE_JIT:
    from ._numba.plain import view
else:
    from ._numba.kernels import view

# Class -> the parameters of its constructor, and the handle that this makes.
_NEW = {
    "Lock": ("", "ilk_mutex_new(ILK_UNOWNED)"),
    "RLock": ("", "ilk_mutex_new(ILK_RECURSIVE)"),
    "Mutex": (
        "fair=False, recursive=False",
        "ilk_mutex_new((ILK_FAIR if fair else 0) | (ILK_RECURSIVE if recursive else 0))",
    ),
    "RWLock": ("", "ilk_rwlock_new(0)"),
    "Semaphore": ("value=1, maximum=0", "ilk_semaphore_new(value, maximum)"),
    # A bound of 0 would be none; so 0 is refused, as what is less.
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

# What asks for more than the handle.
_NOT_HERE = {"__len__", "capacity", "full", "parties"}

# What the methods are called on: by default the handle is all that they need.
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
