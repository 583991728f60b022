"""Random programs. Every one ends, has defined results, and leaves the range of no type, so that Python and a right
compiler agree:

- a number grows by little at a time: what is added is small (`_small`), all else does not grow;
- a lock is not taken by a block that holds it already;
- a `while` counts its turns;
- in a `prange`, whose iterations are one after the other in one thread: only variables of the iteration, arrays, objects
  and reductions are set, and nothing raises.

A program draws a few of `FEATURES`, so that it is about few things, and often the same.
"""

import ast
import random
import re
from dataclasses import dataclass, field, replace

from . import world
from .oracle import Program

# What a `with` may look like; the first needs nothing of a kernel but `held`.
FORMS = ("held", "with", "reading", "lockarray")

FEATURES = (
    "loops", "while", "loop_else", "prange", "neighbours", "reductions",
    "return", "break", "raise", "try_in", "try_around", "try_beside", "failing_calls", "division",
    "nested", "two_items", "pairs", "explicit", "choice", "lock_indices",
    "lists", "tuples", "slices", "floats", "matrix", "swap", "unassigned", "ternary",
    "atomics", "words", "objects", "jitclass", "helpers", "own_helper", "inlined", "closure", "objmode",
)  # fmt: skip

# How often a program has each, where not half of the time.
ODDS = {"objmode": 0.03, "prange": 0.6, "neighbours": 0.7, "jitclass": 0.15, "inlined": 0.15, "raise": 0.25, "try_in": 0.25, "try_around": 0.25, "closure": 0.2}

SIZE, SMALL = 18, 8  # statements of a program, about: a small one is compiled in a third of the time

ATOMICS = ("add", "sub", "min", "max", "exch", "and_", "or_", "xor", "inc", "dec")
FLOAT_ATOMICS = ("add", "sub", "min", "max", "exch")

OWNED = ("lock", "lock2", "rlock", "mutex", "sem", "cond", "jm")


@dataclass(frozen=True)
class Scope:
    """What a statement may use where it stands."""

    ints: tuple = ()  # integers that can be read
    set_ints: tuple = ()  # and those that can be set
    floats: tuple = ()
    bools: tuple = ()
    indices: tuple = ()  # integers from 0 to LOCKS - 1, which only stay so
    slices: tuple = ()  # one-dimensional arrays of an unknown length
    lists: tuple = ()
    pairs: tuple = ()  # tuples of two integers
    taken: frozenset = frozenset()  # locks that are held here
    inside: frozenset = frozenset()  # with, try, handler, prange, helper, closure
    loops: int = 0  # that `break` and `continue` can mean, in this function and iteration
    depth: int = 0
    result: str = "x"  # what a `return` gives

    def within(self, *what, **changes):
        return replace(self, inside=self.inside | set(what), depth=self.depth + 1, **changes)


@dataclass
class Generator:
    rng: random.Random
    forms: tuple = FORMS
    without: frozenset = frozenset()
    size: int = SIZE
    features: set = field(default_factory=set)
    calls: dict = field(default_factory=dict)  # functions of the program -> the locks that they take
    names: int = 0
    left: int = 0

    # --- choices

    def odds(self, p):
        return self.rng.random() < p

    def pick(self, *choices):
        return self.rng.choice(choices)

    def has(self, feature):
        return feature in self.features

    def fresh(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    # --- expressions

    def const(self):
        return str(self.rng.randrange(-3, 10))

    def number(self, s):
        """An integer: one that is there, and never larger."""
        choices = [self.const, lambda: self.pick(*s.ints), lambda: self.pick(*s.ints), lambda: self.element(s)]
        if s.slices:
            choices.append(lambda: f"len({self.pick(*s.slices)})")
        if s.pairs:
            choices.append(lambda: f"{self.pick(*s.pairs)}[{self.pick(0, 1)}]")
        if s.lists and "prange" not in s.inside:
            choices.append(lambda: f"len({self.pick(*s.lists)})")
        if self.has("objects"):
            choices.append(lambda: self.object_value(s))
        if self.has("atomics"):
            choices.append(lambda: f"atomic.load({self.pick('a', 'b')}, {self.index(s)})")
        return self.rng.choice(choices)()

    def element(self, s):
        if self.has("matrix") and self.odds(0.3):
            return f"m[{self.cell(s)}]"
        if self.has("floats") and self.odds(0.1):
            return f"int(f[{self.index(s)}])"
        return f"{self.pick('a', 'b', 'c', 'a')}[{self.index(s)}]"

    def cell(self, s):
        row, column = f"{self.pick(*s.ints)} % {world.ROWS}", f"{self.pick(*s.ints)} % {world.COLUMNS}"
        return f"{self.pick(row, str(self.rng.randrange(-3, 3)))}, {self.pick(column, str(self.rng.randrange(-4, 4)))}"

    def index(self, s):
        """An index of the arrays that have LENGTH elements."""
        return self.pick(
            str(self.rng.randrange(world.LENGTH)),
            str(-self.rng.randrange(1, world.LENGTH)),
            f"{self.pick(*s.ints)} % {world.LENGTH}",
            f"{self.pick(*s.ints)} % {world.LENGTH}",
            f"idx[{self.pick(*s.ints)} % {world.LENGTH}]",
        )

    def small(self, s):
        """An integer that can be added however often."""
        return self.pick(self.const(), f"{self.number(s)} % {self.rng.randrange(2, 9)}", str(self.rng.randrange(1, 5)))

    def expression(self, s, target=None):
        """What may be assigned to an integer, often by way of itself."""
        x = target if target and self.odds(0.6) else self.number(s)
        choices = [
            lambda: f"-{x}",
            lambda: f"abs({x})",
            lambda: f"~{x}",
            lambda: f"max({x}, {self.number(s)})",
            lambda: f"min({x}, {self.number(s)})",
            lambda: f"{self.pick('a', 'b', 'idx')}[{x} % {world.LENGTH}]",
            lambda: f"{x} + {self.small(s)}",
            lambda: f"({x} + {self.number(s)}) % 1009",
            lambda: self.number(s),
        ]
        if self.has("ternary"):
            choices.append(lambda: f"{x} if {self.condition(s)} else {self.number(s)}")
        if self.has("helpers"):
            choices.append(lambda: self.pick(f"twice({x})", f"rescued({x})"))
        if self.may_raise(s) and self.has("failing_calls"):
            choices.append(lambda: f"fail_if({x})")
        if self.may_raise(s) and self.has("division"):
            choices += [lambda: f"int({x}) // int({self.number(s)} % 3)", lambda: f"quotient({x}, {self.number(s)})"]
            choices.append(lambda: f"({x}, 7, {self.number(s)})[{self.number(s)}]")
        if self.has("atomics"):
            choices.append(lambda: f"atomic.{self.pick(*ATOMICS[:4])}(b, {self.index(s)}, {self.small(s)})")
        callable_here = [name for name, taken in self.calls.items() if not taken & s.taken]
        if callable_here and self.may_raise(s):
            choices += [lambda: f"{self.pick(*callable_here)}({x})"] * 2
        return self.rng.choice(choices)()

    def condition(self, s):
        choices = [
            lambda: f"{self.number(s)} {self.pick('<', '>', '==', '!=', '<=')} {self.number(s)}",
            lambda: f"{self.pick(*s.ints)} % {self.pick(2, 3)} == {self.pick(0, 1)}",
        ]
        if s.bools:
            choices += [lambda: self.pick(*s.bools), lambda: f"not {self.pick(*s.bools)}"]
        if self.has("objects"):
            choices += [lambda: "event.is_set()", lambda: "queue.closed", lambda: "lock.locked()"]
        if self.has("floats"):
            choices.append(lambda: f"f[{self.index(s)}] > {self.pick(*(s.floats or ('z',)))}")
        return self.rng.choice(choices)()

    def object_value(self, s):
        values = ["counter.load()", "tally.sum()", "latch.value", "pool.value", "queue.qsize()", "local.get()"]
        return self.pick(*values, "counter.fetch_add(1)", "counter.exchange(4)", "counter.compare_exchange(5, 2)")

    def may_raise(self, s):
        return "prange" not in s.inside

    # --- statements: each is a list of lines

    def block(self, s, most=3, indent=1):
        lines = []
        for _ in range(self.rng.randrange(1, most + 1)):
            if self.left <= 0 and lines:
                break
            lines += self.statement(s)
        return self.indented(lines or ["pass"], indent)

    @staticmethod
    def indented(lines, indent=1):
        return ["    " * indent + line for line in lines]

    def statement(self, s):
        self.left -= 1
        simple = [self.assign, self.assign, self.augment, self.store, self.store]
        for feature, write in (
            ("atomics", self.atomic), ("atomics", self.atomic), ("objects", self.object), ("lists", self.append),
            ("slices", self.slice), ("floats", self.float), ("tuples", self.tuple), ("swap", self.swap),
            ("helpers", self.helper_call), ("lock_indices", self.lock_index), ("matrix", self.matrix),
        ):  # fmt: skip
            if self.has(feature):
                simple.append(write)
        compound = []
        if s.depth < 4 and self.left > 0:
            compound = [self.branch, self.with_lock, self.with_lock, self.with_lock, self.idiom]
            for feature, write in (
                ("loops", self.loop), ("while", self.while_loop), ("explicit", self.explicit), ("words", self.word),
                ("try_beside", self.try_statement), ("unassigned", self.unassigned), ("objmode", self.objmode),
            ):  # fmt: skip
                if self.has(feature):
                    compound.append(write)
        if self.odds(0.12) and (exits := self.exits(s)):
            return self.indented(exits, 0)
        write = self.rng.choice(compound if compound and self.odds(0.5) else simple)
        return write(s) or self.assign(s)

    def exits(self, s):
        """A way out of blocks, on a condition."""
        ways = []
        if s.loops and self.has("break"):
            ways += ["break", "continue"]
        if self.has("return") and "prange" not in s.inside:
            ways.append(f"return {s.result}")
        if self.has("raise") and self.may_raise(s):
            ways.append(self.pick(f'raise ValueError("here", {self.rng.randrange(9)})', "raise KeyError"))
        return ways and [f"if {self.condition(s)}:", f"    {self.pick(*ways)}"]

    def assign(self, s):
        if s.bools and self.odds(0.15) and "prange" not in s.inside:
            q = self.pick(*s.bools)
            return [f"{q} = {self.pick(f'not {q}', self.condition(s))}"]
        x = self.pick(*s.set_ints)
        return [f"{x} = {self.expression(s, x)}"]

    def augment(self, s):
        return [f"{self.pick(*s.set_ints)} {self.pick('+=', '-=')} {self.small(s)}"]

    def store(self, s):
        array = self.pick("a", "b", "a", "c")
        if self.odds(0.5):
            return [f"{array}[{self.index(s)}] {self.pick('+=', '-=')} {self.small(s)}"]
        return [f"{array}[{self.index(s)}] = {self.expression(s) if array != 'c' else self.small(s)}"]

    def matrix(self, s):
        if self.has("atomics") and self.odds(0.5):
            return [f"atomic.{self.pick(*ATOMICS[:4])}(m, ({self.cell(s)}), {self.small(s)})"]
        return [f"m[{self.cell(s)}] += {self.small(s)}"]

    def atomic(self, s):
        if self.has("floats") and self.odds(0.3):
            return [f"atomic.{self.pick(*FLOAT_ATOMICS)}(f, {self.index(s)}, {self.pick('1.5', '-0.5', '0.25', 'z')})"]
        array = self.pick("a", "b", "c")
        if self.odds(0.15):
            return [f"atomic.store({array}, {self.index(s)}, {self.small(s)})"]
        if self.odds(0.15):
            return [f"atomic.cas({array}, {self.index(s)}, {self.small(s)}, {self.small(s)})"]
        operation = f"atomic.{self.pick(*ATOMICS)}({array}, {self.index(s)}, {self.small(s)})"
        return [f"{self.pick(*s.set_ints)} = {operation}"] if self.odds(0.3) else [operation]

    def object(self, s):
        calls = ["counter.fetch_add()", "counter.store(3)", f"counter.fetch_add({self.small(s)})", "tally.add(2)", "tally.reset()"]
        calls += ["latch.add(1)", "event.set()", "event.clear()", "pool.release()", f"local.set({self.small(s)})", "queue.close()"]
        if self.may_raise(s) and self.has("failing_calls"):
            calls += [f"latch.count_down({self.pick(1, 2)})", f"queue.put_nowait({self.small(s)})", "queue.get_nowait()"]
        return [self.pick(*calls)]

    def append(self, s):
        if not s.lists or "prange" in s.inside:
            return None
        return [f"{self.pick(*s.lists)}.append(int({self.pick(*s.ints)}))"]

    def slice(self, s):
        if not s.slices or "prange" in s.inside:
            return [f"a[{self.pick(1, 2)}:{self.pick(5, 7)}] += {self.small(s)}"] if "prange" not in s.inside else None
        v = self.pick(*s.slices)
        return self.pick(
            [f"{v} = {v}[1:]"], [f"{v} = {self.pick('a', 'b')}[{self.pick(1, 2)}:]"],
            [f"if len({v}) > 0:", f"    {v}[0] += {self.small(s)}"], [f"{v} = {v}.copy()"],
        )  # fmt: skip

    def float(self, s):
        t = s.floats and "prange" not in s.inside and self.pick(*s.floats)
        i = self.index(s)
        if not t:
            return [f"f[{i}] += {self.pick('1.5', '-0.25')}"]
        return self.pick([f"{t} = max({t}, f[{i}])"], [f"{t} = -{t}"], [f"{t} += 0.5"], [f"f[{i}] = {t}"], [f"{t} = abs({t} - 1.0)"])

    def tuple(self, s):
        if not s.pairs or "prange" in s.inside:
            return None
        p = self.pick(*s.pairs)
        if self.odds(0.4) and len(s.set_ints) > 1:
            x, y = self.rng.sample(s.set_ints, 2)
            return [f"{x}, {y} = {p}"]
        return [self.pick(f"{p} = ({self.number(s)}, {self.number(s)})", f"{p} = ({p}[1], {p}[0])")]

    def swap(self, s):
        if len(s.set_ints) < 2:
            return None
        x, y = self.rng.sample(s.set_ints, 2)
        if self.odds(0.5):
            return [f"if {x} > {y}:", f"    {x}, {y} = {y}, {x}"]
        return [f"{x}, {y} = {y}, {self.expression(s, x)}"]

    def lock_index(self, s):
        """Sets what a lock array's index is read from: in two places, by a swap or a step."""
        if len(s.indices) < 2 or "prange" in s.inside:
            return None
        i, j = self.rng.sample(s.indices, 2)
        return self.pick(
            [f"if {i} > {j}:", f"    {i}, {j} = {j}, {i}"],
            [f"{i} = ({i} + 1) % {world.LOCKS}"],
            [f"if {self.condition(s)}:", f"    {i} = {self.number(s)} % {world.LOCKS}"],
        )

    def helper_call(self, s):
        return [f"bump({self.pick('a', 'b', 'a')}, {self.pick(*s.ints)}, {self.small(s)})"]

    def branch(self, s):
        lines = [f"if {self.condition(s)}:", *self.block(s.within())]
        if self.odds(0.2):
            lines += [f"elif {self.condition(s)}:", *self.block(s.within())]
        if self.odds(0.5):
            lines += ["else:", *self.block(s.within())]
        return lines

    def loop(self, s):
        i = self.fresh("i")
        over = self.pick("range(n)", f"range({self.pick(2, 3)})", "range(len(a))", "idx[:3]" if "prange" not in s.inside else "range(n)")
        lines = [f"for {i} in {over}:", *self.block(s.within(ints=(*s.ints, i), loops=s.loops + 1))]
        return lines + self.loop_else(s)

    def loop_else(self, s):
        if self.has("loop_else") and self.odds(0.5):
            return ["else:", *self.block(s.within(), 2)]
        return []

    def while_loop(self, s):
        turns = self.fresh("turns")
        condition = self.pick(self.condition(s), "True")
        lines = [f"{turns} = 0", f"while {condition} and {turns} < 5:", f"    {turns} += 1"]
        lines += self.block(s.within(ints=(*s.ints, turns), loops=s.loops + 1))
        return lines + self.loop_else(s)

    def unassigned(self, s):
        """A variable that is set on one way only, and read on that way."""
        x, w = self.pick(*s.set_ints), self.fresh("w")
        asked = f"y % 2 == {self.pick(0, 1)}" if "y" in s.ints and "y" not in s.set_ints else "n > 3"
        lock = self.context(s)
        if not lock:
            return None
        first = [f"if {asked}:", f"    {w} = {self.expression(s)}"]
        return [*first, f"with {lock[0]}:", f"    if {asked}:", f"        {x} = {w}"]

    def try_statement(self, s, body=None):
        if not self.may_raise(s):
            return None
        inner = s.within("try")
        lines = ["try:", *(body or self.block(inner))]
        lines += [self.pick("except Exception:", "except:"), *self.block(s.within("handler"), 2)]
        if self.odds(0.2):
            lines += ["else:", *self.block(s.within(), 2)]
        if self.odds(0.1):
            lines += ["finally:", *self.block(replace(s.within("finally"), loops=0), 1)]
        return lines

    # --- locks

    def context(self, s):
        """A lock that is free here, as an item of `with`; and its name."""
        free = [name for name in self.locks() if name not in s.taken]
        if not free:
            return None
        name = self.pick(*free)
        if name == "rw":
            forms = [("held", 'held(rw, "{}")'), ("reading", "rw.{}ing()")]
            form, how = self.rng.choice([each for each in forms if each[0] in self.forms])
            mode = self.pick("read", "write") if form == "held" else self.pick("read", "writ")
            return how.format(mode), name
        if name == "locks":
            return self.lock_of_array(s), name
        if name == "chosen":
            return self.pick(*[f"{form}" for form in self.plain_forms("chosen")]), name
        return self.pick(*self.plain_forms(name)), name

    def plain_forms(self, name):
        forms = [f"held({name})"] if "held" in self.forms else []
        return forms + ([name] if "with" in self.forms else [])

    def lock_of_array(self, s):
        i, j = self.lock_number(s), self.lock_number(s)
        forms = [f"held(locks, {i})"] if "held" in self.forms else []
        if "lockarray" in self.forms:
            forms.append(f"locks.held({i})")
        if self.has("pairs") and "held" in self.forms:
            forms += [f'held(locks, "pair", {i}, {j})', f'held(locks, "range", {self.pick(0, 1)}, {self.pick(2, world.LOCKS)})']
        return self.pick(*forms)

    def lock_number(self, s):
        if s.indices and self.odds(0.6):
            return self.pick(*s.indices)
        return self.pick(str(self.rng.randrange(world.LOCKS)), f"{self.pick(*s.ints)} % {world.LOCKS}")

    def locks(self):
        names = ["lock", "mutex", "rlock", "sem", "cond"]
        if "held" in self.forms or "reading" in self.forms:
            names.append("rw")
        if "held" in self.forms or "lockarray" in self.forms:
            names += ["locks"] * (2 if self.has("lock_indices") else 1)
        if self.has("jitclass"):
            names += ["jm"]
        if self.has("choice"):
            names += ["chosen"] * 2
        return names

    def with_lock(self, s):
        item = self.context(s)
        if not item or ("with" in s.inside and not self.has("nested")):
            return None
        items, taken = [item[0]], s.taken | self.excluded(item[1])
        if self.has("two_items") and self.odds(0.3) and (second := self.context(replace(s, taken=taken))):
            items.append(second[0])
            taken |= self.excluded(second[1])
        inner = s.within("with", taken=taken)
        if self.has("try_in") and self.odds(0.5) and (body := self.try_statement(inner)):
            body = self.indented(body)
        else:
            body = self.block(inner)
        lines = [f"with {', '.join(items)}:", *body]
        if self.has("try_around") and self.odds(0.4):
            return self.try_statement(s, self.indented(lines)) or lines
        return lines

    def excluded(self, name):
        """What may not be taken while this is held: `chosen` is one of two locks."""
        if name in ("chosen", "lock"):
            return {"chosen", "lock"}
        return {name}

    def explicit(self, s):
        """acquire and release, with nothing between that leaves."""
        free = [name for name in ("lock", "mutex", "rlock", "sem") if name not in s.taken]
        if not free:
            return None
        name, features = self.pick(*free), self.features
        inner = s.within("with", taken=s.taken | self.excluded(name), loops=0)
        self.features = features - {"return", "raise", "failing_calls", "division", "break"}
        body = self.block(inner, indent=0)
        self.features = features
        return [f"{name}.acquire()", *body, f"{name}.release()"]

    def word(self, s):
        if "w" in s.taken:
            return None
        i, features = self.rng.randrange(world.LOCKS), self.features
        self.features = features - {"return", "raise", "failing_calls", "division", "break"}
        body = self.block(s.within("with", taken=s.taken | {"w"}, loops=0), indent=0)
        self.features = features
        return [f"words.lock(w, {i})", *body, f"words.unlock(w, {i})"]

    def objmode(self, s):
        if "prange" in s.inside or "with" in s.inside or "closure" in s.inside:
            return None
        x, y = self.pick(*s.set_ints), self.fresh("y")
        return [f'with objmode({y}="int64"):', "    with held(lock):", "        pass", f"    {y} = 3", f"{x} = {y}"]

    # --- parallel loops

    def prange_loop(self, s):
        """A loop over the arrays, with its own variables, and what may be moved or fused beside it."""
        i, c, d = self.fresh("i"), self.fresh("c"), self.fresh("d")
        over = self.pick("n", "len(a)", "len(a)", str(world.LENGTH))
        readable = tuple(name for name in s.ints if name not in s.set_ints or self.odds(0.3))
        inner = s.within(
            "prange", ints=(*readable, i, c, d), set_ints=(c, d), floats=(), bools=(), slices=(), lists=(), pairs=(),
            indices=(), loops=0,
        )  # fmt: skip
        body = [f"{c} = {self.expression(inner_start(inner, readable, i))}", f"{d} = {self.const()}"]
        body += [line for _ in range(self.rng.randrange(1, 4)) for line in self.statement(inner)]
        if self.odds(0.4):
            body += self.idiom(inner) or []
        lines, reduced = [], None
        if self.has("reductions") and self.odds(0.5):
            reduced = self.fresh("r")
            lines.append(f"{reduced} = {self.pick('0', '1')}")
            body.append(f"{reduced} += {self.small(inner)}")
        lines += [f"for {i} in prange({over}):", *self.indented(body)]
        if reduced:
            lines.append(f"{self.pick(*s.set_ints)} = {reduced}")
        return lines

    def neighbour(self, s):
        """What Numba may fuse with a parallel loop, or move across it."""
        x, i = self.pick(*s.set_ints), self.fresh("i")
        array = self.pick("a", "b")
        new = self.fresh("g")
        choices = [
            [f"{x} = {array}[{self.rng.randrange(world.LENGTH)}]"],
            [f"{x} = int(np.sum({array}) % 1009)"],
            [f"{array}[:] = {self.pick('0', '1')}"],
            [f"{array}[:] = {array} + {self.pick('1', '2')}"],
            [f"{new} = np.zeros(len(a), np.int64)", f"for {i} in prange(len(a)):", f"    {new}[{i}] = {array}[{i}] % 5",
             f"{x} = int({new}.sum())"],
            [f"for {i} in prange(len(a)):", f"    {self.pick('a', 'b')}[{i}] = {array}[{i}] + 1"],
            [f"{new} = {array} + b", f"{x} = {new}[{self.rng.randrange(world.LENGTH)}] % 1009"],
        ]  # fmt: skip
        if self.has("objects"):
            choices.append([f"{x} = {self.object_value(s)}"])
            choices.append([f"for {i} in prange(len(a)):", f"    b[{i}] = {self.object_value(s)}"])
        if self.has("floats"):
            choices.append([f"f[:] = f + f[{self.rng.randrange(world.LENGTH)}] % 2.0"])
        return self.rng.choice(choices)

    # --- what users write with locks, each around random parts

    def idiom(self, s):
        """Some lines of a kind that a random choice of statements would seldom make."""
        item = self.context(s)
        if not item:
            return None
        lock, name = item
        inner = s.within("with", taken=s.taken | self.excluded(name), loops=0)
        array, x, i = self.pick("a", "b"), self.pick(*s.set_ints), self.rng.randrange(world.LENGTH)
        turns, start = self.fresh("turns"), [f"{x} = {self.number(s)}"]
        idioms = [
            # the best so far
            [*start, f"{x} = {self.const()}", f"with {lock}:", f"    {x} = {self.pick('max', 'min')}({x}, {self.number(inner)})"],
            # up a tree
            [f"{turns} = 0", f"while idx[{x} % 8] != {x} and {turns} < 5:", f"    {turns} += 1", f"    with {lock}:",
             f"        {x} = idx[{x} % 8]"],
            # until enough is done, by another block, a call or an atomic
            [f"{turns} = 0", f"while {array}[{i}] < 12 and {turns} < 20:", f"    {turns} += 1", f"    with {lock}:",
             f"        {self.pick(f'{array}[{i}] += 1', f'bump({array}, {i}, 1)', f'atomic.add({array}, {i}, 1)')}"],
            # take one
            [*start, f"{x} = -1", f"with {lock}:", f"    if {array}[{i}] < {self.pick(5, 20)}:", f"        {x} = {array}[{i}]",
             f"        {self.pick(f'{array}[{i}] += 1', f'bump({array}, {i}, 3)')}"],
        ]  # fmt: skip
        if self.has("objects"):
            idioms.append([f"{turns} = 0", f"while not queue.closed and {turns} < 5:", f"    {turns} += 1", f"    with {lock}:",
                           f"        if {turns} > {self.pick(1, 3)}:", "            queue.close()", f"{x} = {turns}"])  # fmt: skip
            idioms.append(["pool.release()", f"{x} = pool.value", f"with {lock}:", "    latch.add(1)", f"    {x} = latch.value"])
        if self.has("lists") and s.lists and "prange" not in s.inside:
            idioms.append([f"with {lock}:", f"    {self.pick(*s.lists)}.append(int({x}))"])
        return self.rng.choice(idioms)

    def parallel_idiom(self, s):
        """A parallel loop as users write it, between neighbours of the same length."""
        i, g, x = self.fresh("i"), self.fresh("g"), self.pick(*s.set_ints)
        over = self.pick("n", "len(a)", "len(a)")
        inner = s.within("prange", loops=0)
        lock, name = self.context(inner) or ("held(sem)", "sem")
        index, small = self.pick(f"idx[{i}]", i, "0"), self.pick("1", "2", f"idx[{i}]")
        atomic = [f"atomic.{self.pick('add', 'max', 'sub', 'xor')}({g}, {index}, {small})"]
        body = self.pick(
            atomic, atomic,
            [f"with {lock}:", f"    {g}[{index}] += {small}"],
            [f"with {lock}:", f"    {g}[{index}] += {small}"],
            [f"bump({g}, {index}, {small})"] if name not in ("a",) and self.odds(0.1) else atomic,
            [f"words.lock(w, {i} % {world.LOCKS})", f"{g}[{index}] += {small}", f"words.unlock(w, {i} % {world.LOCKS})"],
            ["counter.fetch_add(1)", f"{g}[{i}] = counter.load()"], ["latch.add(1)", f"{g}[{i}] = latch.value"],
        )  # fmt: skip
        if over == "n":
            over = self.pick("n", f"len({g})")
        lines = [f"{g} = {self.pick('np.zeros(8, np.int64)', 'np.zeros(len(a), np.int64)', 'a.copy()', 'a + 1')}"]
        lines += [f"for {i} in prange({over}):", *self.indented(body)]
        after, j = self.fresh("h"), self.fresh("i")
        return lines + self.pick(
            [f"{x} = {g}[{self.rng.randrange(world.LENGTH)}]"],
            [f"{x} = {g}[0] + counter.load() % 100"],
            [f"{after} = {g} + {g}[0]", f"{x} = {after}[1]"],
            [f"for {j} in prange({over}):", f"    {self.pick('a', 'b')}[{j}] = {g}[{self.pick(j, '0', f'idx[{j}]')}]"],
            [f"for {j} in prange({over}):", f"    b[{j}] = counter.load()"],
            [f"{x} = int({g}.sum() % 1009)"],
        )

    # --- functions

    def function(self, name, inside, head):
        """A function of its own that takes a lock, and raises if it likes. All locks that it names count as taken."""
        inner = Scope(("v", "n"), ("v",), result="v", inside=frozenset({inside}), depth=2 if inside == "closure" else 1)
        body = (self.with_lock(inner) or []) + self.block(inner, 2, 0)
        self.calls[name] = {lock for lock in (*OWNED, "rw", "locks", "w") if re.search(rf"\b{lock}\b", "\n".join(body))}
        if "lock" in self.calls[name]:
            self.calls[name].add("chosen")
        return [*head, *self.indented([*body, "return v"])]

    def program(self, number):
        rng = self.rng
        scale = 0.6 if self.size <= SMALL else 1
        self.features = {f for f in FEATURES if f not in self.without and self.odds(scale * ODDS.get(f, 0.5))}
        self.left = rng.randrange(self.size // 3, self.size)
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
        body = self.top(s)
        if "out = []" in head and not any("out.append(" in line for line in body):
            body.insert(0, "out.append(n)")  # else it has no type
        kernel = ["@kernel_options", "def kernel(PARAMETERS):", *self.indented([*head, *body, f"return {s.result}"])]
        source = assemble([*functions, kernel])
        parallel = self.has("prange") and self.odds(0.9) or self.odds(0.1)
        return Program(source, parallel, self.odds(0.5), self.odds(0.15), str(number), extras={})

    def top(self, s):
        lines = []
        parts = self.rng.randrange(2, 5) if self.size > SMALL else self.pick(1, 2)
        parallel = self.has("prange")
        for _ in range(parts):
            choice = self.rng.random()
            if parallel and choice < 0.4:
                lines += self.prange_loop(s)
            elif parallel and choice < 0.6:
                lines += self.parallel_idiom(s)
            elif parallel and self.has("neighbours") and choice < 0.9:
                lines += self.neighbour(s)
            else:
                lines += self.statement(s)
        if parallel and self.has("neighbours") and self.size > SMALL:
            lines += self.neighbour(s)
        for name in self.calls:
            if not any(f"{name}(" in line for line in lines):
                lines.append(f"x = {name}(x)")
        return lines


def inner_start(inner, readable, i):
    """The scope of a parallel loop's first statement, where nothing of its own is set."""
    return replace(inner, ints=(*readable, i))


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
