"""The methods and properties of every class: the parameters as in Python, the result, and what a call does."""

from ast import literal_eval
from inspect import Parameter, Signature
from queue import Empty, Full
from threading import BrokenBarrierError
from types import SimpleNamespace

from llvmlite import ir
from numba.core import cgutils, types

from .. import _constants as c
from .._errors import HandleError
from .._errorslot import CODE_BITS, CODE_MAX, WHERE_MAX, WHERE_UNKNOWN
from .emit import Emit, mutex_ns, queue_ns, semaphore_ns
from .exceptions import LockIndexError, LockPairError, LockRangeError

_INT, _INT64 = ir.IntType(32), ir.IntType(64)


def _signature(parameters):
    """Return the signature of a method with these parameters, such as ``i, blocking=True``."""

    def parameter(text):
        name, has_default, default = text.partition("=")
        return Parameter(
            name, Parameter.POSITIONAL_OR_KEYWORD, default=literal_eval(default) if has_default else Parameter.empty
        )

    return Signature([parameter(text) for text in parameters.split(", ") if text])


class Method:
    """`write(e, a)` emits a call with the arguments `a`, and returns its result.

    `errors` maps a code to (class, argument...), for exceptions that differ from those of `_errors`.
    """

    def __init__(self, parameters, result, write, errors=()):
        self.pysig = _signature(parameters)
        self.result, self._write, self._errors = result, write, dict(errors)

    def lower(self, context, builder, typ, view, arguments):
        view = cgutils.create_struct_proxy(typ)(context, builder, view)
        emit = Emit(context, builder, view, self._errors)
        result = emit.result(self._write(emit, SimpleNamespace(**arguments)))
        return context.get_dummy_value() if self.result is types.none else result


class Property(Method):
    def __init__(self, result, write, errors=()):
        super().__init__("", result, lambda e, a: write(e), errors)


# The parameters that are indices of a lock array, and their exceptions.
_INDEX_ERRORS = {"i": LockIndexError, "i, j": LockPairError, "begin, end": LockRangeError}


def _names(parameters):
    return [name.partition("=")[0] for name in parameters.split(", ") if name]


def _given(a, parameters):
    return [getattr(a, name) for name in _names(parameters)]


def _note(e, a, parameters):
    """Note the indices of a lock array for the message of an error."""
    if parameters in _INDEX_ERRORS:
        given = _given(a, parameters)
        e.note(given[0], given[-1], e.view.length)


# Calls, by the meaning of their result.


def does(function, parameters="", errors=()):
    """Returns nothing, or fails."""

    def write(e, a):
        _note(e, a, parameters)
        e.check(e.call(function, *_given(a, parameters)))

    return Method(parameters, types.none, write, errors)


def tells(function):
    """Returns yes or no."""

    def write(e):
        return e.compare(e.check(e.call(function)), ">", 0)

    return write


def counts(function):
    """Returns a number that is never negative, or fails."""

    def write(e):
        count = e.call(function)
        if count.type == _INT:
            return e.builder.sext(e.check(count), _INT64)
        return e.check_value(count, e.compare(count, "<", 0), lambda: e.call("ilk_last_error"))

    return write


def field(name):
    return Property(types.int64, lambda e: getattr(e.view, name))


def computes(function, parameters, failure, *probe):
    """Returns any number. If it is `failure`, `probe`, a call that changes nothing, shows whether the call failed."""
    tell, *arguments = probe

    def write(e, a):
        value = e.call(function, *_given(a, parameters))
        return e.check_value(value, e.compare(value, "==", failure), lambda: e.call(tell, *map(_INT64, arguments)))

    return Method(parameters, types.int64, write)


def acquires(for_ever, timed, which="", ns=mutex_ns, timeout=-1, errors=()):
    """Returns whether it was acquired in time."""
    parameters = ", ".join([*_names(which), "blocking=True", f"timeout={timeout}"])

    def write(e, a):
        _note(e, a, which)
        ns_given = e.lock_ns(a.blocking, a.timeout, ns)
        if ns_given is None and for_ever:
            e.check(e.call(for_ever, *_given(a, which)))
            return cgutils.true_bit
        ns_given = _INT64(-1) if ns_given is None else ns_given
        return e.check_in_time(e.call(timed, *_given(a, which), ns_given))

    return Method(parameters, types.boolean, write, errors)


def waits(for_ever, timed, which=""):
    """Returns whether the wait ended in time."""
    parameters = ", ".join([*_names(which), "timeout=None"])

    def write(e, a):
        ns = e.wait_ns(a.timeout)
        if ns is None:
            e.check(e.call(for_ever, *_given(a, which)))
            return cgutils.true_bit
        return e.check_in_time(e.call(timed, *_given(a, which), ns))

    return Method(parameters, types.boolean, write)


# Calls of one class only.


def _release_semaphore(e, a):
    for bad, code in ((e.compare(a.n, "<", 1), c.ILK_EINVAL), (e.compare(a.n, ">", 2**31 - 1), c.ILK_EOVERFLOW)):
        e.raise_if(bad, _INT(code))
    e.check(e.call("ilk_semaphore_release", a.n))


def _release_bounded(e, a):
    # To the library a bound of 0 means none.
    with cgutils.if_unlikely(e.builder, e.compare(e.view.maximum, "==", 0)):
        counts("ilk_semaphore_value")(e)
        e.raise_if(cgutils.true_bit, _INT(c.ILK_EOVERFLOW))
    _release_semaphore(e, a)


def _condition_wait(e, a):
    ns = e.wait_ns(a.timeout)
    return e.check_in_time(e.call("ilk_condition_timedwait", e.view.lock, _INT64(-1) if ns is None else ns))


def _notify(e, a):
    most = _INT64(2**31 - 1)
    n = e.builder.select(e.compare(a.n, ">", most.constant), most, a.n)
    n = e.builder.select(e.compare(n, "<", 0), _INT64(0), n)
    e.check(e.call("ilk_condition_notify", e.builder.trunc(n, _INT)))


def _notify_all(e, a):
    e.check(e.call("ilk_condition_notify_all"))


def _held_first(write):
    def checked(e, a):
        depth = e.check(e.call("ilk_mutex_depth", handle=e.view.lock))
        e.raise_if(e.compare(depth, "==", 0), _INT(c.ILK_EPERM))
        write(e, a)

    return checked


def _of_the_lock(method):
    def write(e, a):
        e.view.handle = e.view.lock
        return method._write(e, a)

    return Method(str(method.pysig)[1:-1], method.result, write, method._errors)


def _barrier_wait(e, a):
    ns = e.wait_ns(a.timeout)
    ns = e.view.timeout_ns if ns is None else ns
    address, place = e.view.wait_address, cgutils.alloca_once(e.builder, _INT)
    with e.builder.if_else(e.compare(address, "==", 0), likely=True) as (plain, with_action):
        with plain:
            e.builder.store(e.call("ilk_barrier_timedwait", ns), place)
        with with_action:  # a Python function, which calls the action
            function = e.builder.inttoptr(address, ir.FunctionType(_INT64, [_INT64]).as_pointer())
            e.builder.store(e.builder.trunc(e.builder.call(function, [ns]), _INT), place)
    return e.builder.sext(e.check(e.builder.load(place)), _INT64)


def _once_end(e, a):
    e.check(e.call("ilk_once_end", e.builder.zext(a.succeeded, _INT)))


def _queue_ns(e, a):
    ns = e.lock_ns(getattr(a, "block", cgutils.false_bit), getattr(a, "timeout", None), queue_ns)
    return _INT64(-1) if ns is None else ns


def _put(e, a):
    e.check(e.call("ilk_queue_timedput", a.item, _queue_ns(e, a)))


def _get(e, a):
    item = cgutils.alloca_once(e.builder, _INT64)
    e.check(e.call("ilk_queue_timedget", e.builder.ptrtoint(item, cgutils.intp_t), _queue_ns(e, a)))
    return e.builder.load(item)


def _set_error(e, a):
    b = e.builder
    code = b.select(e.compare(b.sub(a.code, _INT64(1)), "<", CODE_MAX), a.code, _INT64(CODE_MAX))
    code = b.select(e.compare(a.code, "<", 1), _INT64(CODE_MAX), code)
    fits = b.and_(e.compare(a.where, "<=", WHERE_MAX), e.compare(a.where, ">=", -WHERE_MAX))
    where = b.select(fits, a.where, _INT64(WHERE_UNKNOWN))
    word = b.or_(b.shl(where, _INT64(CODE_BITS)), code)
    return e.compare(_error_word(e, "ilk_counter_compare_exchange", _INT64(0), word), "==", 0)


def _error_word(e, function="ilk_counter_load", *arguments):
    word = e.call(function, *arguments)
    tell = [_INT64(c.ILK_NO_VALUE), _INT64(0)]
    return e.check_value(word, e.compare(word, "==", c.ILK_NO_VALUE), lambda: e.call("ilk_counter_timedwait", *tell))


def _raise_if_set(e, a):
    e.raise_if(e.compare(_error_word(e), "!=", 0), _INT(c.ILK_EINVAL))


def _is_full(e, a):
    return e.builder.icmp_signed(">=", counts("ilk_queue_size")(e), e.view.capacity)


def _handle(e):
    e.raise_if(e.compare(e.view.handle, "==", 0), _INT(c.ILK_EHANDLE))
    return e.view.handle


def _created(e):
    return e.check_value(e.view.handle, e.compare(e.view.handle, "==", 0), lambda: e.call("ilk_last_error"))


def _release_writing(e, a):
    """The same as `release_write`, or as `release_read` if the writer has downgraded."""
    code = e.call("ilk_rwlock_write_unlock")
    with cgutils.if_unlikely(e.builder, e.compare(code, "==", c.ILK_EPERM)):
        e.check(e.call("ilk_rwlock_read_unlock"))
    e.raise_if(e.builder.and_(e.compare(code, "<", 0), e.compare(code, "!=", c.ILK_EPERM)), code)


def _unheld(text):
    return {c.ILK_EPERM: (RuntimeError, text)}


def of_all(kind):
    """Return what every class has; names with an underscore are for the jitclasses."""
    functions = {
        "Lock": "mutex",
        "RLock": "mutex",
        "BoundedSemaphore": "semaphore",
        "ErrorSlot": "counter",
        "PerThread": "slices",
    }
    kind = functions.get(kind, kind.lower())
    return {
        "handle": Property(types.intp, _handle, {c.ILK_EHANDLE: (HandleError, "it is closed")}),
        "closed": Property(types.boolean, lambda e: e.compare(e.view.handle, "==", 0)),
        "_created": Property(types.intp, _created),
        "_free": does(f"ilk_{kind}_free"),
    }


_mutex = {
    "acquire": acquires("ilk_mutex_lock", "ilk_mutex_timedlock"),
    "release": does("ilk_mutex_unlock", "", _unheld("cannot release a lock that is not held, or that another thread owns")),
    "locked": Method("", types.boolean, lambda e, a: tells("ilk_mutex_is_locked")(e)),
}

_sem_overflow = {
    c.ILK_EINVAL: (ValueError, "n must be one or more"),
    c.ILK_EOVERFLOW: (OverflowError, "semaphore released too many times"),
}
_semaphore = {
    "acquire": acquires("ilk_semaphore_acquire", "ilk_semaphore_timedacquire", ns=semaphore_ns, timeout=None),
    "release": Method("n=1", types.none, _release_semaphore, _sem_overflow),
    "value": Property(types.int64, counts("ilk_semaphore_value")),
}

_reads, _writes = (_unheld(f"the caller does not hold the lock for {what}") for what in ("reading", "writing"))
_not_waiting = _unheld("cannot wait on un-acquired lock")
_not_notifying = _unheld("cannot notify on un-acquired lock")
_worker_failed = {c.ILK_EINVAL: (RuntimeError, "a worker recorded an error: ErrorSlot.raise_if_set() in Python raises it")}
_timed_out = {c.ILK_ETIMEDOUT: (BrokenBarrierError,)}
_full, _empty = {c.ILK_ETIMEDOUT: (Full,)}, {c.ILK_ETIMEDOUT: (Empty,)}


def _index_error(parameters):
    return {c.ILK_EINVAL: (_INDEX_ERRORS[parameters],)}


_not_held = _unheld("cannot release a lock that the caller does not hold")

# For `with rw.writing():`, whose body may downgrade.
RELEASE_WRITING = Method("", types.none, _release_writing, _writes)

METHODS = {
    "Lock": _mutex,
    "RLock": _mutex,
    "Mutex": _mutex,
    "RWLock": {
        "acquire_read": acquires("ilk_rwlock_read_lock", "ilk_rwlock_read_timedlock"),
        "release_read": does("ilk_rwlock_read_unlock", "", _reads),
        "acquire_write": acquires("ilk_rwlock_write_lock", "ilk_rwlock_write_timedlock"),
        "release_write": does("ilk_rwlock_write_unlock", "", _writes),
        "downgrade": does("ilk_rwlock_downgrade", "", _writes),
    },
    "Semaphore": _semaphore,
    "BoundedSemaphore": {
        **_semaphore,
        "release": Method(
            "n=1",
            types.none,
            _release_bounded,
            {**_sem_overflow, c.ILK_EOVERFLOW: (ValueError, "semaphore released too many times")},
        ),
    },
    "Condition": {
        **{name: _of_the_lock(method) for name, method in _mutex.items()},
        "wait": Method("timeout=None", types.boolean, _condition_wait, _not_waiting),
        "notify": Method("n=1", types.none, _held_first(_notify), _not_notifying),
        "notify_all": Method("", types.none, _held_first(_notify_all), _not_notifying),
        "_notify": Method("n=1", types.none, _notify),
        "_notify_all": Method("", types.none, _notify_all),
    },
    "Event": {
        "set": does("ilk_event_set"),
        "clear": does("ilk_event_clear"),
        "is_set": Method("", types.boolean, lambda e, a: tells("ilk_event_is_set")(e)),
        "wait": waits("ilk_event_wait", "ilk_event_timedwait"),
    },
    "Barrier": {
        "wait": Method("timeout=None", types.int64, _barrier_wait, _timed_out),
        "abort": does("ilk_barrier_abort"),
        "reset": does("ilk_barrier_reset"),
        "parties": field("parties"),
        "n_waiting": Property(types.int64, counts("ilk_barrier_waiting")),
        "broken": Property(types.boolean, tells("ilk_barrier_is_broken")),
    },
    "Latch": {
        "add": does("ilk_latch_add", "n=1"),
        "count_down": does("ilk_latch_count_down", "n=1", {c.ILK_EINVAL: (ValueError, "latch counted down too many times")}),
        "wait": waits("ilk_latch_wait", "ilk_latch_timedwait"),
        "value": Property(types.int64, counts("ilk_latch_value")),
    },
    "Once": {
        "begin": Method("", types.boolean, lambda e, a: tells("ilk_once_begin")(e)),
        "end": Method("succeeded=True", types.none, _once_end),
    },
    "Counter": {
        "store": does("ilk_counter_store", "value"),
        "wait": waits("ilk_counter_wait", "ilk_counter_timedwait", "at_least"),
        **{
            # No value is less than ILK_NO_VALUE, so that wait fails only on an error.
            name: computes(f"ilk_counter_{name}", parameters, c.ILK_NO_VALUE, "ilk_counter_timedwait", c.ILK_NO_VALUE, 0)
            for name, parameters in {
                "load": "",
                "exchange": "value",
                "fetch_add": "delta=1",
                "compare_exchange": "expected, desired",
            }.items()
        },
    },
    "ErrorSlot": {
        "set": Method("code, where=0", types.boolean, _set_error),
        "is_set": Method("", types.boolean, lambda e, a: e.compare(_error_word(e), "!=", 0)),
        "code": Method("", types.int64, lambda e, a: e.builder.and_(_error_word(e), _INT64(CODE_MAX))),
        "where": Method("", types.int64, lambda e, a: e.builder.ashr(_error_word(e), _INT64(CODE_BITS))),
        "clear": Method("", types.none, lambda e, a: e.check(e.call("ilk_counter_store", _INT64(0)))),
        "raise_if_set": Method("", types.none, _raise_if_set, _worker_failed),
    },
    "Tally": {
        "add": does("ilk_tally_add", "delta=1"),
        "sum": computes("ilk_tally_sum", "", c.ILK_NO_VALUE, "ilk_tally_add", 0),
        "reset": does("ilk_tally_reset"),
    },
    "LockArray": {
        "acquire": acquires("ilk_lockarray_lock", "ilk_lockarray_timedlock", "i", errors=_index_error("i")),
        "release": does("ilk_lockarray_unlock", "i", {**_not_held, **_index_error("i")}),
        "acquire_pair": acquires(
            "ilk_lockarray_lock_pair", "ilk_lockarray_timedlock_pair", "i, j", errors=_index_error("i, j")
        ),
        "release_pair": does("ilk_lockarray_unlock_pair", "i, j", {**_not_held, **_index_error("i, j")}),
        "acquire_range": acquires(
            "ilk_lockarray_lock_range", "ilk_lockarray_timedlock_range", "begin, end", errors=_index_error("begin, end")
        ),
        "release_range": does("ilk_lockarray_unlock_range", "begin, end", {**_not_held, **_index_error("begin, end")}),
        "__len__": field("length"),
    },
    "Queue": {
        "put": Method("item, block=True, timeout=None", types.none, _put, _full),
        "put_nowait": Method("item", types.none, _put, _full),
        "get": Method("block=True, timeout=None", types.int64, _get, _empty),
        "get_nowait": Method("", types.int64, _get, _empty),
        "close": does("ilk_queue_close"),
        "closed": Property(types.boolean, tells("ilk_queue_is_closed")),
        "capacity": field("capacity"),
        "qsize": Method("", types.int64, lambda e, a: counts("ilk_queue_size")(e)),
        "empty": Method("", types.boolean, lambda e, a: e.compare(counts("ilk_queue_size")(e), "==", 0)),
        "full": Method("", types.boolean, _is_full),
    },
    "Local": {
        "set": does("ilk_local_set", "value"),
        "get": computes("ilk_local_get", "", 0, "ilk_local_set", 0),  # NULL is an error, or the value 0
    },
}
