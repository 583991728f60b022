"""The library's functions, made known to LLVM.

LLVM must know a symbol before a cached kernel that needs it is loaded, or the process ends. Such a kernel's module
imports `interlock.nb`, or its signature holds a type of `interlock._numba`: both import this. The addresses are given
outright, not searched for: another copy of the library in this process would not know our handles.
"""

import ctypes

import llvmlite.binding
from numba.core import types

from .._library import BLOCKING

# `void *` is an integer: handles and addresses are, and one function must not have two types in a kernel's module.
TYPES = {"int": types.intc, "int64_t": types.int64, "void *": types.intp}

for _name, _function in BLOCKING.items():
    llvmlite.binding.add_symbol(_name, ctypes.cast(_function, ctypes.c_void_p).value)
