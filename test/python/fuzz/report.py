"""What a run of the fuzzer has found, counted and grouped."""

import ast
import re
from collections import Counter

from .control import is_lock_context
from .oracle import FINDINGS
from .world import OBJECTS, PARAMETERS


def constructs(program):
    """What a program is about, in words: the same for findings that are likely the same."""
    found = {option for option in ("parallel", "boundscheck") if getattr(program, option)}
    tree = ast.parse(program.source)
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any(is_lock_context(item.context_expr) for item in node.items):
            found.add("with")
            found |= {f"{type(inner).__name__.lower()} in with" for inner in ast.walk(node) if _leaves(inner)}
        elif isinstance(node, ast.Try):
            found.add("try")
        elif isinstance(node, ast.FunctionDef) and node.name != "kernel":
            found.add("function")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("atomic", "words"):
                found.add(node.value.id)
            elif node.value.id in OBJECTS:
                found.add(f"{PARAMETERS[node.value.id].kind}.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("prange", "bump"):
            found.add(node.func.id)
    return sorted(found)


def _leaves(node):
    return isinstance(node, (ast.Return, ast.Break, ast.Continue, ast.Raise))


class Report:
    def __init__(self):
        self.classes, self.refusals, self.numba = Counter(), Counter(), Counter()
        self.invalid = Counter()
        self.findings = []  # (program, verdict), the programs shrunk where there was time
        self.runs = 0

    def add(self, program, verdict):
        self.classes[verdict["class"]] += 1
        self.runs += verdict.get("runs", 0)
        if verdict["class"] == "refused":
            self.refusals[verdict["kind"]] += 1
        elif verdict["class"] == "numba":
            self.numba[verdict.get("control") or verdict.get("detail")] += 1
        elif verdict["class"] == "invalid":
            self.invalid[re.sub(r"\d+", "N", verdict["detail"])[:100]] += 1

    def found(self, program, verdict):
        self.findings.append((program, verdict))

    def groups(self):
        """The findings by kind: the smallest program of each, and how many there are."""
        groups = {}
        for program, verdict in self.findings:
            key = verdict["class"], verdict.get("kind") or ", ".join(constructs(program))
            groups.setdefault(key, []).append((program, verdict))
        for key in groups:
            groups[key].sort(key=lambda each: len(each[0].source))
        return dict(sorted(groups.items(), key=lambda item: (FINDINGS.index(item[0][0]), -len(item[1]))))

    def summary(self):
        programs = sum(self.classes.values())
        yield f"{programs} programs, {self.runs} runs of those that are right"
        yield ", ".join(f"{n} {name}" for name, n in self.classes.most_common())
        for title, counter in (
            ("Refused, with a sentence", self.refusals),
            ("Numba alone, without interlock, does not agree with Python either", self.numba),
            ("Not programs at all", self.invalid),
        ):
            if counter:
                yield f"{title}:"
                yield from (f"  {n:5} {text}" for text, n in counter.most_common(25))

    def text(self):
        """The findings, grouped, with the smallest program of each group."""
        for (kind, about), members in self.groups().items():
            program, verdict = members[0]
            yield f"## {kind}: {about} ({len(members)})"
            yield ""
            yield verdict.get("detail", "")
            if others := [other.seed for other, _ in members[1:]]:
                yield f"Also: {', '.join(others[:12])}"
            yield ""
            yield "```python"
            yield program.text().rstrip()
            yield "```"
            yield ""
