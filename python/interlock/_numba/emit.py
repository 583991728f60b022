"""The parts of methods in compiled code: calls into the library, timeouts, exceptions for error codes."""

import math
from threading import TIMEOUT_MAX
from types import SimpleNamespace

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.callconv import RETCODE_USEREXC

from .._constants import ILK_ETIMEDOUT
from .._signatures import SIGNATURES
from .exceptions import exception_of, write_note
from .symbols import TYPES


class Emit:
    """Emits the code of one operation, such as a call of a method. Its result must be passed through `result`.

    `view` has the object's handle and fields. `errors` maps a code to (class, argument...), for exceptions that differ from
    those of `_errors`.
    """

    def __init__(self, context, builder, view, errors):
        self.context, self.builder, self.view, self.errors = context, builder, view, errors
        self._noted = None
        self._end, self._raised = None, []  # where the operation ends, and the blocks from which an error leads there

    def result(self, value=None):
        """End the operation, and return its result: `value`, or zero after an error in a `try`."""
        if self._end is None:
            return value
        before = self.builder.block
        self.builder.branch(self._end)
        self.builder.position_at_end(self._end)
        if value is None:
            return None
        result = self.builder.phi(value.type)
        result.add_incoming(value, before)
        for block in self._raised:
            result.add_incoming(ir.Constant(value.type, None), block)
        return result

    def _propagate(self, status):
        """Raise the error of a status. In a `try` Numba only notes it, and goes on: then nothing more of this is done."""
        self.context.call_conv.return_status_propagate(self.builder, status)
        if self._end is None:
            self._end = self.builder.append_basic_block("operation.end")
        self._raised.append(self.builder.block)
        self.builder.branch(self._end)

    def note(self, first, second, length):
        """Set the numbers for the messages of this call's exceptions (see `exceptions`)."""
        self._noted = first, second, length

    def call(self, name, *arguments, handle=None):
        """Call a function of the library with the object's handle, or another, and the arguments."""
        result, kinds = SIGNATURES[name]
        kinds = [self.context.get_value_type(TYPES[kind]) for kind in kinds]
        function_type = ir.FunctionType(self.context.get_value_type(TYPES[result]), kinds)
        function = cgutils.get_or_insert_function(self.builder.module, function_type, name)
        if kinds:
            arguments = [self.view.handle if handle is None else handle, *arguments]
        return self.builder.call(function, arguments)

    def compare(self, value, operator, number):
        return self.builder.icmp_signed(operator, value, value.type(number))

    def raise_if(self, condition, code, errors=None):
        """Raise the exception of `code`. The code for it is off the path that raises nothing."""
        errors = self.errors if errors is None else errors
        with cgutils.if_unlikely(self.builder, condition):
            exception = exception_of(self.builder, code)
            if self._noted:
                write_note(self.builder, self.call("ilk_word_id"), *self._noted)
            python = self.context.get_python_api(self.builder)
            for own, (kind, *args) in errors.items():
                other = python.serialize_object((kind, tuple(args), None))
                exception = self.builder.select(self.compare(code, "==", own), other, exception)
            self._propagate(SimpleNamespace(code=RETCODE_USEREXC, excinfoptr=exception))

    def check(self, code):
        """Return the code, or raise if it is an error."""
        self.raise_if(self.compare(code, "<", 0), code)
        return code

    def check_value(self, value, bad, code):
        """Return the value. If `bad`, the value may mean a failure: `code()` returns the error code, or one that is none."""
        with cgutils.if_unlikely(self.builder, bad):
            self.check(code())
        return value

    def check_in_time(self, code):
        """Return whether the wait ended before its timeout; raise for other errors."""
        self.raise_if(self.compare(code, "<", ILK_ETIMEDOUT), code)  # ILK_ETIMEDOUT is the greatest error code
        return self.compare(code, ">=", 0)

    def python(self, function, *arguments):
        """Call a function written in Python, for rare paths. Its arguments are booleans and floats."""
        kinds = [types.boolean if value.type == cgutils.bool_t else types.float64 for value in arguments]
        sig = types.int64(*kinds)
        compiled = self.context.compile_subroutine(self.builder, function, sig)
        status, value = self.context.call_internal_no_propagate(self.builder, compiled.fndesc, sig, arguments)
        with cgutils.if_unlikely(self.builder, status.is_error):
            self._propagate(status)
        return value

    def wait_ns(self, timeout=None):
        """Return the nanoseconds of a timeout; None, which waits forever, for None."""
        return None if timeout is None else self.python(_wait_ns, timeout)

    def lock_ns(self, blocking, timeout, function):
        """The same as `wait_ns`, with an argument for whether to wait at all."""
        if timeout is not None:
            return self.python(function, cgutils.true_bit if blocking is None else blocking, timeout)
        if blocking is None:
            return None
        return self.builder.select(blocking, ir.IntType(64)(-1), ir.IntType(64)(0))


@njit
def _to_ns(seconds):
    if math.isnan(seconds):
        raise ValueError("timeout value must be a number, not NaN")
    if seconds > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return math.ceil(seconds * 1e9)


def _wait_ns(timeout):
    return _to_ns(max(timeout, 0.0))


def mutex_ns(blocking, timeout):
    """Like `threading.Lock`: -1 waits forever."""
    if timeout == -1:
        return -1 if blocking else 0
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return _to_ns(timeout)


def semaphore_ns(blocking, timeout):
    """Like `threading.Semaphore`: a deadline that has passed is no error."""
    if not blocking:
        raise ValueError("can't specify timeout for non-blocking acquire")
    return _to_ns(max(timeout, 0.0))


def queue_ns(block, timeout):
    """Like `queue.Queue`."""
    if not block:
        return 0
    if timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return _to_ns(timeout)
