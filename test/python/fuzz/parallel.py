"""Random parallel loops, and what Numba may fuse with them or move across them.

The iterations run one after the other in one thread, so the result is defined. Only variables of the iteration, arrays,
objects and reductions are set, and nothing raises.
"""

from dataclasses import replace

from . import world
from .locking import Locking


class Parallel(Locking):
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

    def parallel_idiom(self, s):
        """A parallel loop as users write it, on a new array, and a use of that array."""
        i, g, x = self.fresh("i"), self.fresh("g"), self.pick(*s.set_ints)
        over = self.pick("n", "len(a)", "len(a)", f"len({g})")
        new = self.pick("np.zeros(8, np.int64)", "np.zeros(len(a), np.int64)", "a.copy()", "a + 1")
        lines = [f"{g} = {new}", f"for {i} in prange({over}):", *self.indented(self.parallel_body(s, g, i))]
        after, j = self.fresh("h"), self.fresh("i")
        return lines + self.pick(
            [f"{x} = {g}[{self.rng.randrange(world.LENGTH)}]"],
            [f"{x} = {g}[0] + counter.load() % 100"],
            [f"{after} = {g} + {g}[0]", f"{x} = {after}[1]"],
            [f"for {j} in prange({over}):", f"    {self.pick('a', 'b')}[{j}] = {g}[{self.pick(j, '0', f'idx[{j}]')}]"],
            [f"for {j} in prange({over}):", f"    b[{j}] = counter.load()"],
            [f"{x} = int({g}.sum() % 1009)"],
        )

    def parallel_body(self, s, g, i):
        lock = (self.context(s.within("prange", loops=0)) or ("held(sem)",))[0]
        index, small = self.pick(f"idx[{i}]", i, "0"), self.pick("1", "2", f"idx[{i}]")
        operation = self.pick("add", "max", "sub", "xor", "exch", "inc")
        return self.lines(
            self.pick(
                f"atomic.{operation}({g}, {index}, {small})",
                f"atomic.{operation}({g}, {index}, {small})",
                f"atomic.{operation}({g}, {self.pick(index, f'-{i}')}, {small})",
                f"""
                with {lock}:
                    {g}[{index}] += {small}""",
                f"""
                with {lock}:
                    bump({g}, {index}, {small})""",
                f"""
                words.lock(w, {i} % {world.LOCKS})
                {g}[{index}] += {small}
                words.unlock(w, {i} % {world.LOCKS})""",
                f"""
                counter.fetch_add(1)
                {g}[{i}] = counter.load()""",
                f"""
                latch.add(1)
                {g}[{i}] = latch.value""",
            )
        )


def inner_start(inner, readable, i):
    """The scope of a parallel loop's first statement, where nothing of its own is set."""
    return replace(inner, ints=(*readable, i))
