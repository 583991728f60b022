"""The table of C functions and the constants, against the header."""

import ctypes
import re
import subprocess
import sys

import pytest

from interlock import _constants, capi
from interlock._signatures import SIGNATURES

DECLARATION = re.compile(r"^ILK_API\s+(.+?)\b(ilk_\w+)\s*\(([^)]*)\)\s*;", re.M | re.S)
CONSTANT = re.compile(r"^#define (ILK_[A-Z_]+) \(?(-?\d+|INT64_MIN)\)?", re.M)


@pytest.fixture
def header(root):
    text = (root / "include/interlock.h").read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def kind(declared):
    """`void *buffer` -> `void *`"""
    declared = " ".join(declared.split())
    if "*" in declared:
        return declared[: declared.index("*")].strip() + " *"
    return declared.split()[0]


def declarations(header):
    for result, name, arguments in DECLARATION.findall(header):
        kinds = () if arguments.strip() == "void" else tuple(map(kind, arguments.split(",")))
        yield name, (kind(result), kinds)


def test_table_is_the_header(header):
    declared = dict(declarations(header))
    assert len(declared) == len(re.findall(r"\bilk_\w+\s*\(", header))  # the pattern missed none
    assert SIGNATURES == declared


def test_parameters_are_named_as_in_the_header(header):
    from interlock import _signatures

    for _, name, arguments in DECLARATION.findall(header):
        names = [re.findall(r"\w+", argument)[-1] for argument in arguments.split(",")]
        code = getattr(_signatures, name).__code__
        assert list(code.co_varnames) == [n for n in names if n != "void"], name


def test_constants_are_the_header(header):
    defined = {name: value for name, value in CONSTANT.findall(header) if "VERSION" not in name}
    ours = {name: value for name, value in vars(_constants).items() if name.startswith("ILK_")}
    assert {name: -(2**63) if value == "INT64_MIN" else int(value) for name, value in defined.items()} == ours


def test_capi_has_the_types():
    types = {"int": ctypes.c_int, "int64_t": ctypes.c_int64, "void *": ctypes.c_void_p}
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(capi, name)
        assert function.restype is types[result]
        assert list(function.argtypes) == [types[argument] for argument in arguments]


def exports_of(library):
    """The names that a shared library exports."""
    if sys.platform == "win32":
        return exports_of_dll(library._handle)
    command = ["nm", "-D", "--defined-only", library._name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[-1] for line in lines}


def exports_of_dll(base):
    """The names in the export table of a library that is loaded there (a PE file of 64 bits)."""

    def number(offset):
        return ctypes.c_uint32.from_address(base + offset).value

    header = number(0x3C)
    table = number(header + 24 + 112)  # behind the file header, the first directory of the optional header
    count, names = number(table + 24), number(table + 32)
    return {ctypes.string_at(base + number(names + 4 * i)).decode() for i in range(count)}


def test_library_exports_nothing_else():
    from interlock import _library

    assert exports_of(_library.LIBRARY) == set(SIGNATURES)


def test_strings():
    assert ctypes.string_at(capi.ilk_error_name(_constants.ILK_EBUSY)) == b"ILK_EBUSY"
    assert ctypes.string_at(capi.ilk_backend()) in (b"futex", b"pthread", b"windows")


def test_every_error_has_an_exception():
    from interlock import _errors

    codes = {name: value for name, value in vars(_constants).items() if name.startswith("ILK_E")}
    assert set(_errors.EXCEPTIONS) == set(codes.values())
    for name, code in codes.items():
        assert name in str(_errors.error(code))
    assert "ILK_UNKNOWN" in str(_errors.error(-99))
