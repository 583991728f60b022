"""Random expressions. An integer grows by little at a time: what is added is `small`, all else does not grow."""

from . import world
from .scope import Choices

ATOMICS = ("add", "sub", "min", "max", "exch", "and_", "or_", "xor", "inc", "dec")
FLOAT_ATOMICS = ("add", "sub", "min", "max", "exch")


class Expressions(Choices):
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
        if self.may_raise(s) and self.boundscheck:
            choices += [lambda: f"{self.pick('a', 'b')}[{x}]", lambda: f"atomic.add(a, {x}, 1)"]
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
            choices.append(lambda: f"pool.acquire({self.pick('False', 'blocking=False')})")
        if self.has("floats"):
            choices.append(lambda: f"f[{self.index(s)}] > {self.pick(*(s.floats or ('z',)))}")
        return self.rng.choice(choices)()

    def object_value(self, s):
        values = ["counter.load()", "tally.sum()", "latch.value", "pool.value", "queue.qsize()", "local.get()"]
        return self.pick(*values, "counter.fetch_add(1)", "counter.exchange(4)", "counter.compare_exchange(5, 2)")

    def may_raise(self, s):
        """Nothing may in a `prange`, nor between acquire and release: the lock would stay."""
        return not s.inside & {"prange", "explicit"}
