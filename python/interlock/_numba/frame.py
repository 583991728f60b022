"""What a compiled function holds, so that an exception releases it.

An exception in nopython code is an error code that the function returns at once. So a function with a ``with`` keeps, for
each place of one in its code (a site), whether the lock is held and how to release it, and every return of an error first
releases what is held. LLVM knows at each return whether that is so; the way without an exception pays nothing. If a release
fails, its exception replaces the first one, as in Python.

Relied upon: Numba returns from a function by `ret` of its LLVM builder, with a constant for each normal way.
"""

from llvmlite import ir
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE, RETCODE_OK, RETCODE_STOPIT

_NORMAL = (RETCODE_OK, RETCODE_NONE, RETCODE_STOPIT)


class Frame:
    """What a function that is being compiled holds when it returns an error.

    `builder.ret` of an error branches to `_first`, whose chain of blocks ends in the return: one for each site, which
    releases what is held there.
    """

    def __init__(self, context, builder):
        self._context, self._builder, self._return = context, builder, builder.ret
        self._sites = {}
        function = builder.function
        self._code = cgutils.alloca_once(builder, cgutils.int32_t)
        self._last = function.append_basic_block("held.return")
        self._first = function.append_basic_block("held.unwind")
        with builder.goto_block(self._last):
            self._return(builder.load(self._code))
        self._next = self._last  # to which the next site's block leads
        with builder.goto_block(self._first):
            builder.branch(self._last)
        for block in function.blocks:
            if block is not self._last and isinstance(block.terminator, ir.Ret):
                self._redirect(block)
        builder.ret = self.ret

    @classmethod
    def of(cls, context, builder):
        frame = getattr(builder, "_interlock_frame", None)
        if frame is None:
            frame = builder._interlock_frame = cls(context, builder)
        return frame

    def ret(self, code):
        """As `builder.ret`."""
        if isinstance(code, ir.Constant) and code.constant in _NORMAL:
            return self._return(code)
        self._builder.store(code, self._code)
        return self._builder.branch(self._first)

    def _redirect(self, block):
        """Makes a return that is there already one of ours."""
        code = block.terminator.operands[0]
        if not (isinstance(code, ir.Constant) and code.constant in _NORMAL):
            block.instructions.pop()
            block.terminator = None
            with self._builder.goto_block(block):
                self.ret(code)

    def site(self, number, typ):
        """The variables of a site: whether it is held, and what."""
        if number not in self._sites:
            builder = self._builder
            flag = cgutils.alloca_once(builder, cgutils.bool_t)
            value = cgutils.alloca_once(builder, self._context.get_value_type(typ))
            self._sites[number] = site = Site(self._context, builder, typ, flag, value)
            block = builder.function.append_basic_block("held.unwind")
            with builder.goto_block(block):
                site.release_if_held()
                builder.branch(self._next)
            self._next = block
            self._first.instructions.pop()
            self._first.terminator = None
            with builder.goto_block(self._first):
                builder.branch(block)
        return self._sites[number]


class Site:
    def __init__(self, context, builder, typ, flag, value):
        self._context, self._builder, self._typ = context, builder, typ
        self._flag, self._value = flag, value

    def acquire(self, value):
        """Acquires it. From then on, an error that the function returns releases it.

        Numba's variable of the value outlives that: it is named again wherever this is released, and an error that is
        returned leaves it as it is.
        """
        self._call("acquire", value)
        self._builder.store(value, self._value)
        self._builder.store(cgutils.true_bit, self._flag)

    def release(self):
        self._builder.store(cgutils.false_bit, self._flag)
        self._call("release", self._builder.load(self._value))

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
