"""The same program without interlock: what Numba alone makes of it tells whether a fault is interlock's."""

import ast

from .world import OBJECTS, PARAMETERS

MODULES = {"atomic", "words"}
METHODS_OF_LOCKS = {"reading", "writing", "held", "holding"}


def is_lock_context(node):
    """Whether a `with` of this takes one of interlock's locks: `held(...)`, `lock`, `rw.reading()`, `locks.held(i)`."""
    if isinstance(node, ast.Name):
        return node.id != "objmode"
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "held"
    return isinstance(node.func, ast.Attribute) and node.func.attr in METHODS_OF_LOCKS


def _takes_lock(node):
    if isinstance(node, ast.With):
        return any(is_lock_context(item.context_expr) for item in node.items)
    return isinstance(node, ast.Attribute) and (node.attr == "lock" or node.attr.startswith("acquire"))


def writes_under_locks(source):
    """Whether every parallel loop that writes by a call also takes a lock, so that nothing may be moved across it."""
    for loop in ast.walk(ast.parse(source)):
        if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") == "prange":
            inside = list(ast.walk(loop))
            writes = any(isinstance(node, ast.Name) and node.id == "bump" for node in inside)
            if writes and not any(map(_takes_lock, inside)):
                return False
    return True


def _call(name, arguments, keywords=()):
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=arguments, keywords=list(keywords))


class _WithoutInterlock(ast.NodeTransformer):
    def visit_With(self, node):
        if not all(is_lock_context(item.context_expr) for item in node.items):
            return self.generic_visit(node)
        node.body = [self.visit(statement) for statement in node.body]
        return ast.If(test=ast.Constant(value=True), body=node.body, orelse=[])

    def visit_Call(self, node):
        f = node.func
        if isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and not is_lock_context(node):
            keywords = [k for k in node.keywords if k.arg != "order"]
            if f.value.id in MODULES:
                node = _call(f"{f.value.id}_{f.attr}", node.args, keywords)
            elif f.value.id in OBJECTS:
                node = _call(f"{PARAMETERS[f.value.id].kind}_{f.attr}", [f.value, *node.args], keywords)
        self.generic_visit(node)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in OBJECTS:
            return _call(f"{PARAMETERS[node.value.id].kind}_{node.attr}", [node.value])
        return node


def control(source):
    """The source of the program, with plain blocks for locks and plain reads and writes for all else."""
    return ast.unparse(ast.fix_missing_locations(_WithoutInterlock().visit(ast.parse(source))))
