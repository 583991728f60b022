"""Random statements, each a list of lines; those about locks are in locking.py."""

from dataclasses import replace

from . import world
from .expressions import ATOMICS, FLOAT_ATOMICS, Expressions


class Statements(Expressions):
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
        if "with" in s.inside:
            simple += [self.assign, self.assign]
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
        n = self.small(s)
        calls = ["counter.fetch_add()", f"counter.fetch_add({n})", "counter.store(3)", "tally.add(2)", "tally.reset()"]
        calls += ["latch.add(1)", "event.set()", "event.clear()", "pool.release()", "queue.close()", f"local.set({n})"]
        if "cond" in s.taken:
            calls += ["cond.notify_all()"] * 4
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
        return [self.pick(f"{t} = max({t}, f[{i}])", f"{t} = -{t}", f"{t} += 0.5", f"f[{i}] = {t}", f"{t} = abs({t} - 1.0)")]

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
        if "prange" in s.inside and "with" not in s.inside:
            return None  # Numba does not see that the loop writes, and no lock keeps it from moving what reads
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
        over = self.pick("range(n)", f"range({self.pick(2, 3)})", "range(len(a))", "idx[:3]")
        if "prange" in s.inside and over == "idx[:3]":
            over = "range(n)"
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
