"""The exceptions of the error codes, as Numba returns them from compiled code.

Numba writes each exception that a kernel can raise into the kernel's module, as a pickle with its length and digest. That
would be a dozen for each kernel, and took longer to compile than the rest of a lock pair. So they are in memory once, and
kernels refer to them by symbol, as to the library's functions (see `symbols`).
"""

import ctypes
import hashlib

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, serialize
from numba.core.callconv import excinfo_t

from .._constants import ILK_ENOTSUP
from .._errors import element_index_text, error, lock_index_text, lock_range_text
from .._library import QUICK

# Cached kernels rely on this: the row of a code is its negative, and row 0 is for unknown codes.
_SYMBOL = "interlock.exceptions"


class _Row(ctypes.Structure):
    """Numba's structure of an exception. Later versions have more fields, which are 0 here; the first three are the same."""

    _fields_ = [
        (f"field_{i}", ctypes.c_void_p if isinstance(typ, ir.PointerType) else ctypes.c_int32)
        for i, typ in enumerate(excinfo_t.elements)
    ]


_kept = []


def _row(exception):
    data = serialize.dumps((type(exception), exception.args, None))
    texts = [ctypes.create_string_buffer(text, len(text)) for text in (data, hashlib.sha1(data).digest())]
    _kept.append(texts)
    return _Row(ctypes.addressof(texts[0]), len(data), ctypes.addressof(texts[1]))


_rows = [_row(error(code)) for code in range(0, ILK_ENOTSUP - 1, -1)]
_table = (_Row * len(_rows))(*_rows)
llvmlite.binding.add_symbol(_SYMBOL, ctypes.addressof(_table))


def exception_of(builder, code):
    """Return the exception that Numba must return for a code."""
    table_type = ir.ArrayType(excinfo_t, len(_rows))
    table = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, table_type, _SYMBOL)
    row = builder.neg(code)
    row = builder.select(builder.icmp_unsigned("<", row, row.type(len(_rows))), row, row.type(0))
    return cgutils.gep_inbounds(builder, table, 0, row)


# --- errors that name numbers -----------------------------------------------------------------------------------------
#
# Numba's exceptions in compiled code are constants (in 0.56 always; later, others take long to compile). So the thread
# writes the numbers to a slot, and the exception's constructor, which the same thread calls, reads them there. If two
# threads share a slot, the last to write wins, and the other's message names no numbers.

_NOTES = "interlock.notes"
_SLOTS = 1024
_thread_id = QUICK["ilk_word_id"]


class _Note(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("thread", "first", "second", "length")]


_notes = (_Note * _SLOTS)()
llvmlite.binding.add_symbol(_NOTES, ctypes.addressof(_notes))


def write_note(builder, thread, first, second, length):
    """Store the numbers for the exception that is raised next; `thread` is the result of `ilk_word_id`."""
    word = ir.IntType(64)
    note_type = ir.LiteralStructType([word] * len(_Note._fields_))
    table_type = ir.ArrayType(note_type, _SLOTS)
    table = builder.module.globals.get(_NOTES) or ir.GlobalVariable(builder.module, table_type, _NOTES)
    slot = builder.and_(thread, thread.type(_SLOTS - 1))
    note = cgutils.gep_inbounds(builder, table, 0, slot)
    for field, value in enumerate((builder.sext(thread, word), first, second, length)):
        builder.store(value, cgutils.gep_inbounds(builder, note, 0, field))


def _noted(text):
    thread = _thread_id()
    note = _notes[thread & (_SLOTS - 1)]
    numbers = note.first, note.second, note.length
    return text(*numbers) if note.thread == thread else "an index is out of range"


class ElementIndexError(IndexError):
    """For an element of an array."""

    def __init__(self, *args):
        super().__init__(*(args or [_noted(element_index_text)]))


class LockIndexError(ValueError):
    """For one lock of a LockArray."""

    def __init__(self, *args):
        super().__init__(*(args or [_noted(lambda i, _, n: lock_index_text(n, i))]))


class LockPairError(ValueError):
    """For two locks of a LockArray."""

    def __init__(self, *args):
        super().__init__(*(args or [_noted(lambda i, j, n: lock_index_text(n, i, j))]))


class LockRangeError(ValueError):
    """For a range of a LockArray."""

    def __init__(self, *args):
        super().__init__(*(args or [_noted(lambda begin, end, n: lock_range_text(n, begin, end))]))
