"""The library's objects as Numba jitclasses, each with one field `ptr`, its handle.

They are for nopython code, which can make them too. The methods are those of the classes in `interlock`, with these
differences: nothing frees a jitclass instance's handle but `close()` (a queue's but `free()`: its `close()` is the
queue's). A condition does not know its lock, which `wait` is given; a barrier not its parties, nor a lock array its
length, nor a queue its capacity. A semaphore's `maximum` sets a bound. No warning tells that a lock's owner has died.

Called from Python, the methods hold the GIL, even while they wait: there, use the classes in `interlock`. In nopython
code, give a constructor all its arguments: Numba fills in a method's defaults there, but not a constructor's. Python code
gives a method its arguments by place: Numba takes no keywords there.
"""

from numba import types
from numba.experimental import jitclass

from . import nb  # noqa: F401 - the text below names it
from ._constants import *
from ._numba.kernels import view
from ._numba.methods import METHODS, Property

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
        self.ptr = view(nb.{new})._created

    def {free}(self):
        if self.ptr != 0:
            view(self.ptr)._free()
            self.ptr = 0
"""

_METHOD = """
    def {name}(self, {parameters}):
        return view(self.ptr).{name}({arguments})
"""

_PROPERTY = """
    @property
    def {name}(self):
        return view(self.ptr).{name}
"""

_CONDITION = """
    def wait(self, lock, timeout=None):
        return with_lock(self.ptr, lock.ptr).wait(timeout)

    def notify(self, n=1):
        view(self.ptr)._notify(n)

    def notify_all(self):
        view(self.ptr)._notify_all()
"""

# What asks for more than the handle.
_NOT_HERE = {"__len__", "capacity", "full", "parties"}


def _source(name):
    parameters, new = _NEW[name]
    methods = METHODS[name]
    yield _CLASS.format(name=name, parameters=parameters, new=new, free="free" if "close" in methods else "close")
    if name == "Condition":
        yield _CONDITION
        return
    for method, what in methods.items():
        if method not in _NOT_HERE:
            parameters, arguments = str(what.pysig)[1:-1], ", ".join(what.pysig.parameters)
            text = _PROPERTY if isinstance(what, Property) else _METHOD
            yield text.format(name=method, parameters=parameters, arguments=arguments)


for _name in _NEW:
    _scope = {**globals(), "view": view(_name)}
    if _name == "Condition":
        _scope["with_lock"] = view(_name, "lock")
    exec("".join(_source(_name)), _scope)
    globals()[_name] = jitclass([("ptr", types.intp)])(_scope[_name])
