"""Random programs. Every one ends, has defined results, and leaves the range of no type, so that Python and a right
compiler agree (see the modules that this is made of). A program draws a few of `FEATURES`, so that it is about few things.
"""

import ast
import random
import re
from dataclasses import replace

from . import world
from .oracle import Program
from .parallel import Parallel
from .scope import FEATURES, FORMS, ODDS, SIZE, SMALL, Scope

__all__ = ["FEATURES", "FORMS", "SIZE", "SMALL", "generate"]

LOCKS = ("lock", "lock2", "rlock", "mutex", "sem", "cond", "jm", "rw", "locks", "w")


class Generator(Parallel):
    def function(self, name, inside, head):
        """A function of its own that takes a lock, and raises if it likes. All locks that it names count as taken."""
        self.left = self.rng.randrange(2, 6)
        inner = Scope(("v", "n"), ("v",), result="v", inside=frozenset({inside}), depth=2 if inside == "closure" else 1)
        body = (self.with_lock(inner) or []) + self.block(inner, 2, 0)
        self.calls[name] = {lock for lock in LOCKS if re.search(rf"\b{lock}\b", "\n".join(body))}
        if "lock" in self.calls[name]:
            self.calls[name].add("chosen")
        return [*head, *self.indented([*body, "return v"])]

    def program(self, number):
        rng = self.rng
        scale = 0.6 if self.size <= SMALL else 1
        self.boundscheck = self.odds(0.15)
        self.features = {f for f in FEATURES if f not in self.without and self.odds(scale * ODDS.get(f, 0.5))}
        s = Scope(("x", "y", "n", "k"), ("x", "y", "k"))
        head = [f"k = {self.const()}"]
        result = ["x", "y", "k"]
        if self.has("floats"):
            head.append("t = z")
            s, result = replace(s, floats=("t",)), [*result, "t"]
        if self.odds(0.5):
            head.append("q = n > 3")
            s, result = replace(s, bools=("q",)), [*result, "q"]
        if self.has("lock_indices"):
            head += [f"i0 = x % {world.LOCKS}", f"j0 = y % {world.LOCKS}"]
            s, result = replace(s, indices=("i0", "j0"), ints=(*s.ints, "i0", "j0")), [*result, "i0", "j0"]
        if self.has("slices"):
            head.append("v0 = a[1:]")
            s, result = replace(s, slices=("v0",)), [*result, "len(v0)"]
        if self.has("lists"):
            head.append(self.pick("out = []", "out = [1]"))
            s, result = replace(s, lists=("out",)), [*result, "len(out)", "sum(out)"]
        if self.has("tuples"):
            head.append("p = (x, n)")
            s, result = replace(s, pairs=("p",)), [*result, "p[0]", "p[1]"]
        if self.has("choice"):
            head += ["chosen = lock", f"if {self.pick('x > y', 'n > 3', 'y % 2 == 0')}:", "    chosen = lock2"]
        s = replace(s, result=f"({', '.join(result)})")
        functions = []
        before, self.features = self.features, self.features - {"choice", "lock_indices"}
        if self.has("own_helper"):
            functions.append(self.function("own", "helper", ["@helper", "def own(PARAMETERS, v):"]))
        if self.has("inlined"):
            functions.append(self.function("folded", "helper", ["@inlined", "def folded(PARAMETERS, v):"]))
        if self.has("closure"):
            head += self.function("inner", "closure", ["def inner(v):"])
        self.features = before
        self.left = rng.randrange(self.size // 3, self.size)
        body = self.top(s)
        if "out = []" in head and not any("out.append(" in line for line in body):
            body.insert(0, "out.append(n)")  # else it has no type
        kernel = ["@kernel_options", "def kernel(PARAMETERS):", *self.indented([*head, *body, f"return {s.result}"])]
        source = assemble([*functions, kernel])
        parallel = (self.has("prange") and self.odds(0.9)) or self.odds(0.1)
        return Program(source, parallel, self.odds(0.5), self.boundscheck, str(number))

    def top(self, s):
        lines, parallel = [], self.has("prange")
        write = [self.with_lock, self.with_lock, self.idiom, self.idiom, self.statement, self.statement]
        if parallel:
            write += [self.prange_loop] * 4 + [self.parallel_idiom] * 3 + [self.neighbour] * 3 * self.has("neighbours")
        # Parallel loops take long to compile.
        least, most = (1, 3) if parallel else (3, 5)
        if self.size > SMALL:
            least, most = least + 1, most + 2
        for _ in range(self.rng.randrange(least, most)):
            lines += self.rng.choice(write)(s) or self.statement(s)
        if parallel and self.has("neighbours") and self.size > SMALL:
            lines += self.neighbour(s)
        for name in self.calls:
            if not any(f"{name}(" in line for line in lines):
                lines.append(f"x = {name}(x)")
        return lines


def assemble(functions):
    """Gives each function the parameters that it uses, and each call of a helper those of the helper."""
    texts, given = [], {}
    for lines in functions:
        text = "\n".join(lines)
        for name, parameters in given.items():
            text = re.sub(rf"\b{name}\(", f"{name}({', '.join([*parameters, ''])}", text)
        tree = ast.parse(text)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        parameters = [name for name in world.PARAMETERS if name in used]
        name = tree.body[0].name
        text = text.replace("PARAMETERS, v", ", ".join([*parameters, "v"])).replace("PARAMETERS", ", ".join(parameters))
        if name != "kernel":
            given[name] = parameters
        texts.append(text)
    return "\n\n".join(texts) + "\n"


def generate(seed, number, forms=FORMS, without=(), size=SIZE):
    """Program `number` of `seed`, of up to about `size` random statements."""
    rng = random.Random(f"{seed} {number}")
    return Generator(rng, tuple(forms), frozenset(without), size).program(f"{seed}-{number}")
