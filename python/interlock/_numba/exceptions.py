"""The exceptions of the error codes, as Numba returns them from compiled code.

Each is a pickle, with its length, its digest, and what is 0 here. Numba would write those that a kernel can raise into its
module, a dozen for each kernel, and compiling that took longer than all else of a lock pair. So they are in memory once,
and kernels know them by symbol, as they know the library's functions (see `symbols`).
"""

import ctypes
import hashlib

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, serialize
from numba.core.callconv import excinfo_t

from .._constants import ILK_ENOTSUP
from .._errors import error

# What a cached kernel relies on: the row of a code is its negative, and row 0 is for those that are unknown here.
_SYMBOL = "interlock.exceptions"


class _Row(ctypes.Structure):
    """Numba's structure of an exception, which has grown: the first three fields are as ever."""

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
    """What Numba is to return for a code."""
    table_type = ir.ArrayType(excinfo_t, len(_rows))
    table = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, table_type, _SYMBOL)
    row = builder.neg(code)
    row = builder.select(builder.icmp_unsigned("<", row, row.type(len(_rows))), row, row.type(0))
    return cgutils.gep_inbounds(builder, table, 0, row)
