"""`interlock.words` in kernels.

A free lock is taken, and one that nobody waits for is given back, by a compare-and-swap where it is called; all else is a
call. What that takes is who calls: `ilk_word_id`, which answers always the same to one thread.
"""

# mypy: ignore-errors

import inspect

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.typing import fold_arguments, signature
from numba.core.typing.templates import AbstractTemplate, infer_global

from .. import words
from .._constants import ILK_EBUSY, ILK_SHARED
from .atomic import READ_ONLY, element_pointer, index_type
from .emit import Emit, mutex_ns
from .kernels import argument, parameter_type


def _register(function, result, write):
    """Makes ``words.function`` known to Numba. ``write(word, **options)`` writes a call, and answers its result."""
    pysig = inspect.signature(function)
    parameters = list(pysig.parameters.values())

    @infer_global(function)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            def given(index, parameter, typ):
                return typ if index < 2 else parameter_type(parameter.name, typ)

            def omitted(index, parameter, default):
                return types.Omitted(default)

            array, index, *options = fold_arguments(pysig, args, kws, given, omitted, None)
            if not isinstance(array, types.Array) or array.dtype != types.uint32:
                raise TypingError("locks are the elements of an array of uint32")
            if not array.mutable:
                raise TypingError(f"words.{function.__name__}: {READ_ONLY}")
            if types.none in options:
                raise TypingError("timeout and shared cannot be None")
            return signature(result, array, index_type("words", array, index), *options).replace(pysig=pysig)

    @lower_builtin(function, types.Array, types.VarArg(types.Any))
    def lower(context, builder, sig, args):
        # IndexError, whether the caller checks bounds or not: a lock there is nobody's.
        pointer = element_pointer(context, builder, sig, args, boundscheck=True)
        options = dict(zip(parameters, zip(sig.args, args)))
        options = {p.name: argument(context, builder, p, *options[p]) for p in parameters[2:]}
        word = _Word(Emit(context, builder, None, {}), pointer, options.pop("shared"))
        done = write(word, **options)
        return context.get_dummy_value() if result is types.none else done


class _Word:
    """A lock, and the code that is written for one call for it."""

    def __init__(self, emit, pointer, shared):
        self.emit, self.builder, self.pointer, self.shared = emit, emit.builder, pointer, shared

    def call(self, name, *arguments):
        address = self.builder.ptrtoint(self.pointer, cgutils.intp_t)
        flags = self.builder.select(self.shared, cgutils.int32_t(ILK_SHARED), cgutils.int32_t(0))
        return self.emit.call(name, flags, *arguments, handle=address)

    def change(self, lock, slow):
        """Locks or unlocks it where nobody else is in the way, and is true; else what `slow` writes and answers."""
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
        """The thread, asked for once where the compiled function begins, which it does not leave for another.

        LLVM takes the call for a computation: once a function that has such locks is inlined into another, or into a
        loop, one call does for all.
        """
        with self.builder.goto_entry_block():
            me = self.emit.call("ilk_word_id")
        me.callee.attributes.add("readnone")
        me.callee.attributes.add("nounwind")
        return me


def _lock(word, timeout):
    ns = word.emit.lock_ns(None, timeout, mutex_ns)  # a timeout that is none is an error, locked or not
    ns = ir.IntType(64)(-1) if ns is None else ns
    return word.change(True, lambda: word.emit.check_in_time(word.call("ilk_word_timedlock", ns)))


def _trylock(word):
    def slow():
        code = word.call("ilk_word_trylock")
        word.emit.raise_if(word.emit.compare(code, "<", ILK_EBUSY), code)  # the next smaller code
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
