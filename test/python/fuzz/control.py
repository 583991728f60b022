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
