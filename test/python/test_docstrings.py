"""The docstrings of the public interface: each name has one, its parameters are described, and its examples run."""

import ctypes
import doctest
import importlib
import inspect
import re
import types

import numpy as np
import pytest

import interlock
from interlock import atomic, capi, words

MODULES = ["interlock", "interlock.atomic", "interlock.words", "interlock.capi", "interlock.nb", "interlock.jitclasses"]

# Other names of methods that have a docstring.
NOT_DESCRIBED = {"isSet", "notifyAll", "holding"}


def is_in_c(member):
    """Whether it is a method that is called in C (docs/calls.md); the exceptions inherit others from Python."""
    return isinstance(member, types.MethodDescriptorType) and member.__objclass__.__module__.startswith("interlock")


def described():
    """Each public name with its object: modules, and the functions, classes and methods of those written in Python."""
    for name in MODULES:
        yield name, name
    for module in (interlock, atomic, words):
        for name in module.__all__:
            thing = getattr(module, name)
            if not callable(thing):
                continue
            yield f"{module.__name__}.{name}", thing
            if inspect.isclass(thing):
                for attribute in dir(thing):
                    member = inspect.getattr_static(thing, attribute)
                    is_ours = inspect.isfunction(member) or isinstance(member, property) or is_in_c(member)
                    if is_ours and not attribute.startswith("_") and attribute not in NOT_DESCRIBED:
                        yield f"{module.__name__}.{name}.{attribute}", member


def imported(thing):
    if not isinstance(thing, str):
        return thing
    if thing in ("interlock.nb", "interlock.jitclasses"):
        pytest.importorskip("numba")
    return importlib.import_module(thing)


DESCRIBED = dict(described())
each = pytest.mark.parametrize("name", DESCRIBED)


def test_the_list_is_not_empty():
    assert {"interlock.Mutex.acquire", "interlock.Queue.get", "interlock.atomic.add"} <= set(DESCRIBED)
    assert len(DESCRIBED) > 150


@each
def test_has_a_docstring(name):
    first, _, rest = (inspect.getdoc(imported(DESCRIBED[name])) or "").partition("\n")
    assert first.endswith(".")
    assert not rest or rest.startswith("\n")


@each
def test_parameters_are_described(name):
    thing = DESCRIBED[name]
    text = inspect.getdoc(imported(thing))
    if isinstance(thing, (str, property)) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return
    if "See `interlock." in text:  # one description of the same parameters for a whole module
        text += importlib.import_module(name.rpartition(".")[0]).__doc__
    try:
        parameters = list(inspect.signature(thing).parameters)
    except (TypeError, ValueError):  # a class without a signature
        return
    missing = [p for p in parameters if p != "self" and not _names(text, p)]
    assert missing == []


def _names(text, parameter):
    """Return whether a text describes a parameter: in a section, or in the sentence of a method with one."""
    if re.search(rf"`[^`\n]*\b{parameter}\b[^`\n]*`", text):
        return True
    return any(parameter in line.partition(" : ")[0].replace("*", "").split(", ") for line in text.splitlines())


@each
def test_examples_run(name):
    thing = imported(DESCRIBED[name])
    names = {"interlock": interlock, "atomic": atomic, "words": words, "capi": capi, "np": np, "ctypes": ctypes}
    if name == "interlock.nb":
        names.update(numba=importlib.import_module("numba"), nb=thing)
    docstring = inspect.getdoc(thing)
    test = doctest.DocTestParser().get_doctest(docstring, names, name, None, None)
    report = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert report == []


def test_classes_and_functions_have_an_example():
    lacking = []
    for name, thing in DESCRIBED.items():
        is_member = name.count(".") > (2 if name.startswith(("interlock.atomic", "interlock.words")) else 1)
        if isinstance(thing, str) or is_member or (inspect.isclass(thing) and issubclass(thing, Exception)):
            continue
        if ">>>" not in (inspect.getdoc(thing) or ""):
            lacking.append(name)
    assert lacking == []
