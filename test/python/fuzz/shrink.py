"""The smallest program with the same verdict: parts of its tree are taken away as long as the verdict stays."""

import ast
import re
import time
from dataclasses import replace

from . import world


def same_fault(verdict):
    """What a smaller program must have in common with the larger one."""
    return verdict["class"], verdict.get("kind"), verdict.get("detail", "").partition(":")[0] == "exception"


def shrink(program, judge, seconds=120, tries=200):
    """The smaller program, and its verdict."""
    verdict = judge(program)
    wanted, seen, deadline = same_fault(verdict), {program.source}, time.monotonic() + seconds

    def attempt(candidate):
        nonlocal program, verdict, tries
        if candidate.text() in seen or tries <= 0 or time.monotonic() > deadline:
            return False
        seen.add(candidate.text())
        tries -= 1
        got = judge(candidate)
        if same_fault(got) != wanted:
            return False
        program, verdict = candidate, got
        return True

    for option in ("boundscheck", "parallel", "nogil"):
        if getattr(program, option):
            attempt(replace(program, **{option: False}))
    before = None
    while before != program.source and tries > 0 and time.monotonic() < deadline:
        before, i = program.source, 0
        while (source := _edited(program.source, i)) is not None:
            if not attempt(replace(program, source=source)):
                i += 1
    return program, verdict


def _edited(source, i):
    """The source after edit number i; None if there are not so many."""
    tree = ast.parse(source)
    edits = [*_statement_edits(tree), *_expression_edits(tree)]
    if i >= len(edits):
        return None
    edits[i]()
    _drop_parameters(tree)
    if any(_undefined(function) for function in tree.body):
        return source
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _bodies(tree):
    """Every list of statements, the outer ones first."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                yield node, name, body


def _statement_edits(tree):
    for node, name, body in _bodies(tree):
        size = len(body) // 2
        while size > 1:
            for start in range(0, len(body), size):
                yield lambda node=node, name=name, body=body, start=start, size=size: _set(
                    node, name, body[:start] + body[start + size :]
                )
            size //= 2
        for i, statement in enumerate(body):
            if not isinstance(statement, ast.Pass) and not (isinstance(node, ast.Module) and i == len(body) - 1):
                yield lambda node=node, name=name, body=body, i=i: _set(node, name, body[:i] + body[i + 1 :])
    # A block is replaced by what is in it.
    for node, name, body in _bodies(tree):
        for i, statement in enumerate(body):
            if isinstance(statement, ast.FunctionDef):
                continue
            for part in ("body", "orelse", "finalbody"):
                if inner := getattr(statement, part, None):
                    yield lambda node=node, name=name, body=body, i=i, inner=inner: _set(
                        node, name, body[:i] + inner + body[i + 1 :]
                    )
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and len(node.items) > 1:
            for i in range(len(node.items)):
                yield lambda node=node, i=i: node.items.pop(i)


def _set(node, name, body):
    if not body and name == "body":
        body = [ast.Pass()]
    setattr(node, name, body)


def _expression_edits(tree):
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            for i, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.expr) and not isinstance(getattr(child, "ctx", None), ast.Store):
                    for smaller in _smaller(child):
                        yield lambda parent=parent, name=name, value=value, i=i, smaller=smaller: _put(
                            parent, name, value, i, smaller
                        )


def _put(parent, name, value, i, smaller):
    if isinstance(value, list):
        value[i] = smaller
    else:
        setattr(parent, name, smaller)


def _smaller(node):
    if isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.Compare):
        yield from (ast.Constant(value=True), ast.Constant(value=False))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id != "held":
        yield from node.args
    elif isinstance(node, ast.Tuple) and len(node.elts) > 2 and isinstance(node.ctx, ast.Load):
        for i in range(len(node.elts)):
            yield ast.Tuple(elts=node.elts[:i] + node.elts[i + 1 :], ctx=ast.Load())
    elif isinstance(node, ast.Subscript) and not isinstance(node.slice, (ast.Constant, ast.Tuple, ast.Slice)):
        yield ast.Subscript(value=node.value, slice=ast.Constant(value=0), ctx=node.ctx)


def _drop_parameters(tree):
    """Drops functions that are not called, and unused parameters, from definitions and calls."""
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    tree.body = [node for node in tree.body if node.name == "kernel" or node.name in called]
    for function in tree.body:
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        keep = [argument.arg in used for argument in function.args.args]
        function.args.args = _kept(function.args.args, keep)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function.name:
                node.args = _kept(node.args, keep)


def _kept(items, keep):
    return [item for item, kept in zip(items, keep) if kept]


def _undefined(function):
    """Whether the function reads a name that nothing sets: it would then not be what the shrinker is after."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    known = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    known |= {argument.arg for argument in ast.walk(function) if isinstance(argument, ast.arg)}
    local = set(world.PARAMETERS) | {node.id for node in names if re.fullmatch(r"[a-z]+\d+|[kqtpv]|out|chosen", node.id)}
    return any(node.id in local - known for node in names)
