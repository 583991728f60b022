"""The locks that a compiled function holds, so that an exception releases them.

An exception in nopython code is an error code that the function returns at once. So the function keeps, for each ``with``
in its code (a site), whether the lock is held and how to release it. Every return of an error first releases the locks that
are held. LLVM can tell at each return which ones, so the path without an exception costs nothing. If a release fails, its
exception replaces the first one, as in Python.

Relied upon: Numba returns from a function by `ret` of its LLVM builder, with a constant for each normal return.
"""

from contextlib import contextmanager

from llvmlite import ir
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE, RETCODE_OK, RETCODE_STOPIT

_NORMAL = (RETCODE_OK, RETCODE_NONE, RETCODE_STOPIT)


class _Chain:
    """Basic blocks that release the lock of one site after another, if it is held, and then branch to `last`."""

    def __init__(self, builder, last):
        self._builder, self._next = builder, last
        self.first = builder.function.append_basic_block("held.unwind")
        with builder.goto_block(self.first):
            builder.branch(last)

    def add(self, site):
        block = self._builder.function.append_basic_block("held.unwind")
        with self._builder.goto_block(block):
            site.release_if_held()
            self._builder.branch(self._next)
        self._next = block
        with _replaced_terminator(self._builder, self.first):
            self._builder.branch(block)


@contextmanager
def _replaced_terminator(builder, block):
    block.instructions.pop()
    block.terminator = None
    with builder.goto_block(block):
        yield


class Frame:
    """The sites of a function that is being compiled. It replaces `builder.ret`: a return of an error goes to a chain."""

    def __init__(self, context, builder):
        self._context, self._builder, self._return = context, builder, builder.ret
        self._sites = {}  # (number, type) -> site: code that is inlined twice may have two types
        self._caught = {}  # number -> the chains where handlers begin
        self._code = cgutils.alloca_once(builder, cgutils.int32_t)
        last = builder.function.append_basic_block("held.return")
        with builder.goto_block(last):
            self._return(builder.load(self._code))
        self._returns = _Chain(builder, last)
        for block in builder.function.blocks:
            if block is not last and isinstance(block.terminator, ir.Ret):
                code = block.terminator.operands[0]
                with _replaced_terminator(builder, block):
                    self.ret(code)
        builder.ret = self.ret

    @classmethod
    def of(cls, context, builder):
        frame = getattr(builder, "_interlock_frame", None)
        if frame is None:
            frame = builder._interlock_frame = cls(context, builder)
        return frame

    def ret(self, code):
        """Replaces `builder.ret`."""
        if isinstance(code, ir.Constant) and code.constant in _NORMAL:
            return self._return(code)
        self._builder.store(code, self._code)
        return self._builder.branch(self._returns.first)

    def site(self, number, typ, is_caught):
        """Return the site with that number. `is_caught`: a handler in this function may have to release it."""
        if (number, typ) not in self._sites:
            site = self._sites[number, typ] = Site(self._context, self._builder, typ, is_caught)
            for chain in [self._returns, *self._caught.get(number, ())]:
                chain.add(site)
        return self._sites[number, typ]

    def unwind(self, number):
        """Release the locks held at the sites with that number, also of sites that are compiled later."""
        last = self._builder.append_basic_block("held.unwound")
        chain = _Chain(self._builder, last)
        for (other, _), site in self._sites.items():
            if other == number:
                chain.add(site)
        self._caught.setdefault(number, []).append(chain)
        self._builder.branch(chain.first)
        self._builder.position_at_end(last)


class Site:
    """A ``with`` in the code: variables of the function for the lock and whether it is held."""

    def __init__(self, context, builder, typ, is_counted):
        self._context, self._builder, self._typ = context, builder, typ
        # The objects of Numba's variables stay alive if the error is returned, but perhaps not if it is caught.
        self._is_counted = is_counted
        self._flag = cgutils.alloca_once(builder, cgutils.bool_t)
        self._value = cgutils.alloca_once(builder, context.get_value_type(typ))

    def acquire(self, value):
        """Acquire the lock. From then on, a return of an error releases it."""
        builder = self._builder
        self._call("acquire", value)
        # In a `try` an error does not return: the code goes on to the next check for an exception.
        status = self._context.call_conv.check_try_status(builder)
        failed = builder.and_(status.in_try, cgutils.is_not_null(builder, status.excinfo))
        with builder.if_then(builder.not_(failed)):
            if self._is_counted:
                self._context.nrt.incref(builder, self._typ, value)
            builder.store(value, self._value)
            builder.store(cgutils.true_bit, self._flag)

    def release(self):
        value = self._builder.load(self._value)
        self._builder.store(cgutils.false_bit, self._flag)
        self._call("release", value)
        if self._is_counted:
            self._context.nrt.decref(self._builder, self._typ, value)

    def release_if_held(self):
        with self._builder.if_then(self._builder.load(self._flag)):
            self.release()

    def _call(self, name, held):
        context, builder = self._context, self._builder
        function, sig = self._typ.method(context.typing_context, name)
        implementation = context.get_function(function, sig)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        held = cgutils.create_struct_proxy(self._typ)(context, builder, value=held)
        values = [getattr(held, field) for field, _ in self._typ.fields()]
        given = [self._typ.lock, *self._typ.arguments]
        wanted = sig.as_function().args
        values = [context.cast(builder, v, typ, to) for v, typ, to in zip(values, given, wanted)]
        # Parameters that the call leaves to their defaults.
        values += [context.get_dummy_value() for _ in wanted[len(values) :]]
        return implementation(builder, values)
