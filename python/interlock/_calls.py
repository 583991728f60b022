"""Methods in C for calls from Python code, where Python has its stable ABI; else the Python methods call C by ctypes.

A method that is marked by `in_c` exists twice: in Python, complete, and in C, for the call that succeeds at once. The class
gets the one in C, which calls the other for everything else. docs/calls.md tells how, and what it relies on.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from collections.abc import Callable
from importlib import import_module
from types import FunctionType, MethodDescriptorType
from typing import TYPE_CHECKING, Any, TypeVar

from ._library import QUICK

_F = TypeVar("_F", bound=Callable[..., Any])

# For an installation where the methods in C should not work: INTERLOCK_PYTHON_CALLS=ctypes.
_VARIABLE = "INTERLOCK_PYTHON_CALLS"

# Methods that call another method of the object in Python. In C they do not: so a class that overrides the other needs them
# in Python.
_CALLS = {"__exit__": "release", "_release_writing": "release_write", "get_nowait": "get", "put_nowait": "put"}

# Python's structures, all of the stable ABI.


class _Method(ctypes.Structure):  # PyMethodDef
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


class _Member(ctypes.Structure):  # PyMemberDef
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


class _Slot(ctypes.Structure):  # PyType_Slot
    _fields_ = (("slot", ctypes.c_int), ("value", ctypes.c_void_p))


class _Spec(ctypes.Structure):  # PyType_Spec
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    )


_DEFAULT_AND_BASETYPE = 1 << 18 | 1 << 10
_TP_MEMBERS, _TP_FINALIZE = 72, 80
_T_UINT, _T_ULONGLONG = 11, 18


def _keep(thing: Any) -> None:
    """Never frees it: Python uses its memory until the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _has_stable_abi() -> bool:
    # Builds without a GIL have another header, no stable ABI before 3.15, and these methods were not tried there.
    return sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")


def _methods() -> dict[str, _Method]:
    """The methods of the library by name."""
    addresses: list[int | None] = []
    while True:
        name = QUICK["ilk_python_symbol"](len(addresses))
        if not name:
            break
        symbol = ctypes.c_char.in_dll(ctypes.pythonapi, ctypes.string_at(name).decode())
        addresses.append(ctypes.addressof(symbol))
    table = (ctypes.c_void_p * len(addresses))(*addresses)
    found = QUICK["ilk_python_methods"](ctypes.addressof(table), object.__basicsize__)
    methods: dict[str, _Method] = {}
    while found:
        method = _Method.from_address(found)
        if not method.name:
            break
        methods[method.name.decode()] = method
        found += ctypes.sizeof(_Method)
    return methods


def _make_base() -> type:
    """The class whose objects have the fields of `struct owner` (src/python/python.h)."""
    header, word = object.__basicsize__, ctypes.sizeof(ctypes.c_void_p)
    pointer_type = _T_ULONGLONG if word == 8 else _T_UINT
    members = (_Member * 3)(
        _Member(b"_handle", pointer_type, header, 0, None),
        _Member(b"_only_python", _T_ULONGLONG, header + 8, 0, None),
    )
    slots = (_Slot * 3)(
        _Slot(_TP_MEMBERS, ctypes.addressof(members)),
        _Slot(_TP_FINALIZE, _METHODS["handle_finalize"].function),  # an object's end, which is `__del__` in Python
    )
    spec = _Spec(b"interlock._calls.Base", header + 16, 0, _DEFAULT_AND_BASETYPE, ctypes.addressof(slots))
    for thing in (members, slots, spec):
        _keep(thing)
    make = ctypes.pythonapi["PyType_FromSpec"]
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p]
    base: type = make(ctypes.addressof(spec))
    return base


class _PlainBase:
    """The same in Python."""

    _handle = 0
    _only_python = 0


_METHODS: dict[str, _Method] = {}
if TYPE_CHECKING:

    class Base:
        _handle: int
        _only_python: int

else:
    Base = _PlainBase
    if os.environ.get(_VARIABLE) != "ctypes" and _has_stable_abi():
        try:
            _METHODS = _methods()
        except (AttributeError, ValueError):  # no such Python: a symbol is missing
            pass
        if _METHODS:
            Base = _make_base()

# How calls from Python code reach the library: "C" or "ctypes".
WAY = "C" if _METHODS else "ctypes"


def in_c(name: str) -> Callable[[_F], _F]:
    """Marks a method that is also in C: there it is the method `name` of the library."""

    def mark(function: _F) -> _F:
        function._in_c = name  # type: ignore[attr-defined]
        return function

    return mark


def _documentation(name: str, function: FunctionType) -> bytes:
    """With the signature at the beginning, in the form from which Python's own methods have theirs."""
    code, defaults = function.__code__, function.__defaults__ or ()
    names = list(code.co_varnames[1 : code.co_argcount])
    for i, default in enumerate(defaults, len(names) - len(defaults)):
        names[i] += f"={default!r}"
    if code.co_flags & 4:  # *arguments
        names.append("*" + code.co_varnames[code.co_argcount])
    signature = ", ".join(["$self", "/", *names])
    return f"{name}({signature})\n--\n\n{function.__doc__ or ''}".encode()


def _descriptor(cls: type, name: str, function: FunctionType) -> MethodDescriptorType:
    method = _METHODS[function._in_c]  # type: ignore[attr-defined]
    definition = _Method(name.encode(), method.function, method.flags, _documentation(name, function))
    _keep(definition)
    make = ctypes.pythonapi["PyDescr_NewMethod"]
    make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
    descriptor: MethodDescriptorType = make(cls, ctypes.addressof(definition))
    return descriptor


def knows_numpy() -> bool:
    """Whether functions in C can work with numpy's arrays."""
    if not _METHODS:
        return False
    try:
        module = import_module("numpy._core._multiarray_umath")
    except ImportError:  # numpy 1
        module = import_module("numpy.core._multiarray_umath")
    capsule = getattr(module, "_ARRAY_API", None)
    if capsule is None:
        return False
    pointer = ctypes.pythonapi["PyCapsule_GetPointer"]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return bool(QUICK["ilk_python_numpy"](pointer(capsule, None)) == 0)


def function_in_c(name: str, function: _F) -> _F:
    """The function `name` of the library, which calls `function` for what it leaves to Python. It takes no keywords."""
    method = _METHODS[name]
    definition = _Method(function.__name__.encode(), method.function, method.flags, None)
    _keep(definition)
    make = ctypes.pythonapi["PyCFunction_NewEx"]
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    made: _F = make(ctypes.addressof(definition), function, None)
    return made


def install(cls: type) -> None:
    """Puts the methods in C in the place of those that are marked, which become `_python_` and their names."""
    if not _METHODS:
        return
    for name, thing in list(vars(cls).items()):
        if isinstance(thing, FunctionType) and hasattr(thing, "_in_c"):  # a mock has every attribute
            if not _METHODS[thing._in_c].flags:  # `Base` has it in a slot
                delattr(cls, name)
                continue
            setattr(cls, f"_python_{thing.__name__}", thing)
            setattr(cls, name, _descriptor(cls, name, thing))
    for name, called in _CALLS.items():
        if _is_in_c(cls, name) and hasattr(cls, called) and not _is_in_c(cls, called):
            setattr(cls, name, getattr(cls, f"_python_{name}"))


def _is_in_c(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), MethodDescriptorType)
