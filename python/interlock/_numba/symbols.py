"""Registers the library's functions with LLVM.

A symbol must be registered before a cached kernel that needs it is loaded, or the process is aborted. The kernel's module
imports `interlock.nb`, or its signature has a type of `interlock._numba`: both import this. The addresses are given and not
searched for, because another copy of the library in this process does not accept our handles.
"""

import ctypes

import llvmlite.binding
from numba.core import types

from .._library import BLOCKING

# `void *` is an integer, as handles and addresses are. One function must not have two types in a kernel's module.
TYPES = {"int": types.intc, "int64_t": types.int64, "void *": types.intp}

for _name, _function in BLOCKING.items():
    llvmlite.binding.add_symbol(_name, ctypes.cast(_function, ctypes.c_void_p).value)
