"""`interlock.words` in kernels.

An acquire of a free lock, and a release of one for which no thread waits, is an inlined compare-and-swap; the rest is a
call. The swap needs the thread's number: `ilk_word_id`, which always returns the same for one thread.
"""

# mypy: ignore-errors

import inspect

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.typing import fold_arguments, signature
from numba.core.typing.templates import infer_global

from .. import words
from .._constants import ILK_EBUSY, ILK_SHARED
from .atomic import READ_ONLY, element_pointer, index_type
from .calls import Operation, check_arguments
from .emit import Emit, mutex_ns
from .kernels import argument, parameter_type


def _register(function, result, write):
    """Register ``words.function`` with Numba. ``write(word, **options)`` emits a call, and returns its result."""
    pysig = inspect.signature(function)
    parameters = list(pysig.parameters.values())

    class Call:
        """How Numba types a call."""

        __name__ = f"words.{function.__name__}"

        def type_call(self, context, args, kws):
            check_arguments(self.__name__, pysig, args, kws)

            def given(index, parameter, typ):
                return typ if index < 2 else parameter_type(parameter.name, typ)

            def omitted(index, parameter, default):
                return types.Omitted(default)

            array, index, *options = fold_arguments(pysig, args, kws, given, omitted, None)
            if not isinstance(array, types.Array) or array.dtype != types.uint32:
                raise TypingError(f"{self.__name__}: locks are the elements of an array of uint32, not {array}")
            if not array.mutable:
                raise TypingError(f"{self.__name__}: {READ_ONLY}")
            return signature(result, array, index_type("words", array, index), *options).replace(pysig=pysig)

    call = Call()
    infer_global(function, typ=Operation(call))

    @lower_builtin(call, types.Array, types.VarArg(types.Any))
    def lower(context, builder, sig, args):
        # IndexError even if the caller does not check bounds: no lock is outside the array.
        emit = Emit(context, builder, None, {})
        pointer = element_pointer(emit, sig, args, boundscheck=True)
        options = dict(zip(parameters, zip(sig.args, args)))
        options = {p.name: argument(context, builder, p, *options[p]) for p in parameters[2:]}
        word = _Word(emit, pointer, options.pop("shared"))
        done = emit.result(write(word, **options))
        return context.get_dummy_value() if result is types.none else done


class _Word:
    """A lock, and the code that is emitted for one call on it."""

    def __init__(self, emit, pointer, shared):
        self.emit, self.builder, self.pointer, self.shared = emit, emit.builder, pointer, shared

    def call(self, name, *arguments):
        address = self.builder.ptrtoint(self.pointer, cgutils.intp_t)
        flags = self.builder.select(self.shared, cgutils.int32_t(ILK_SHARED), cgutils.int32_t(0))
        return self.emit.call(name, flags, *arguments, handle=address)

    def change(self, lock, slow):
        """Lock or unlock by one swap, and return true; if that fails, emit `slow()` and return its result."""
        builder, free = self.builder, self.pointer.type.pointee(0)
        me = self._me()
        done = cgutils.alloca_once_value(builder, cgutils.false_bit)
        is_quick = builder.and_(builder.not_(self.shared), builder.icmp_signed(">", me, free))
        with cgutils.if_likely(builder, is_quick):
            old, new, order = (free, me, "acquire") if lock else (me, free, "release")
            builder.store(builder.extract_value(builder.cmpxchg(self.pointer, old, new, order, "monotonic"), 1), done)
        with cgutils.if_unlikely(builder, builder.not_(builder.load(done))):
            builder.store(slow(), done)
        return builder.load(done)

    def _me(self):
        """Return the thread's number, loaded once at the start of the compiled function, which does not change threads.

        The call is marked readnone, so LLVM may merge the calls of functions that are inlined into one.
        """
        with self.builder.goto_entry_block():
            me = self.emit.call("ilk_word_id")
        me.callee.attributes.add("readnone")
        me.callee.attributes.add("nounwind")
        return me


def _lock(word, timeout):
    ns = word.emit.lock_ns(None, timeout, mutex_ns)  # an invalid timeout is an error, whether the word is locked or not
    ns = ir.IntType(64)(-1) if ns is None else ns
    return word.change(True, lambda: word.emit.check_in_time(word.call("ilk_word_timedlock", ns)))


def _trylock(word):
    def slow():
        code = word.call("ilk_word_trylock")
        word.emit.raise_if(word.emit.compare(code, "<", ILK_EBUSY), code)  # ILK_EBUSY and greater codes are no errors here
        return word.emit.compare(code, ">=", 0)

    return word.change(True, slow)


def _unlock(word):
    def slow():
        word.emit.check(word.call("ilk_word_unlock"))
        return cgutils.true_bit

    word.change(False, slow)


_register(words.lock, types.boolean, _lock)
_register(words.trylock, types.boolean, _trylock)
_register(words.unlock, types.none, _unlock)
