"""Random blocks that hold a lock: never one that is held already, as that would be a deadlock or an error."""

from dataclasses import replace

from . import world
from .statements import Statements


class Locking(Statements):
    def context(self, s):
        """A lock that is free here, as an item of `with`; and its name."""
        free = [name for name in self.locks() if name not in s.taken]
        if "rlock" in s.taken:
            free.append("rlock")
        if "mutex" in s.taken and self.may_raise(s) and self.odds(0.1):
            free.append("mutex")  # a DeadlockError
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
            begin, end = self.pick(0, 1), self.pick(2, world.LOCKS)
            forms += [f'held(locks, "pair", {i}, {j})', f'held(locks, "range", {begin}, {end})']
        return self.pick(*forms)

    def lock_number(self, s):
        if self.may_raise(s) and self.odds(0.05):
            return self.pick(*s.ints, str(world.LOCKS))  # it may be out of range
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
        inner = s.within("with", "explicit", taken=s.taken | self.excluded(name), loops=0)
        self.features = features - {"return", "raise", "failing_calls", "division", "break"}
        body = self.block(inner, indent=0)
        self.features = features
        if self.odds(0.3):
            return [
                f"if {name}.acquire({self.pick('False', 'blocking=False')}):",
                *self.indented([*body, f"{name}.release()"]),
            ]
        return [f"{name}.acquire()", *body, f"{name}.release()"]

    def word(self, s):
        if "w" in s.taken:
            return None
        i, features = self.rng.randrange(world.LOCKS), self.features
        self.features = features - {"return", "raise", "failing_calls", "division", "break"}
        body = self.block(s.within("with", "explicit", taken=s.taken | {"w"}, loops=0), indent=0)
        self.features = features
        return [f"words.lock(w, {i})", *body, f"words.unlock(w, {i})"]

    def unassigned(self, s):
        """A variable that is set on one way only, and read on that way."""
        x, w = self.pick(*s.set_ints), self.fresh("w")
        asked = f"y % 2 == {self.pick(0, 1)}" if "y" in s.ints and "y" not in s.set_ints else "n > 3"
        lock = self.context(s)
        if not lock:
            return None
        first = [f"if {asked}:", f"    {w} = {self.expression(s)}"]
        return [*first, f"with {lock[0]}:", f"    if {asked}:", f"        {x} = {w}"]

    def objmode(self, s):
        if "prange" in s.inside or "with" in s.inside or "closure" in s.inside:
            return None
        x, y = self.pick(*s.set_ints), self.fresh("y")
        return [f'with objmode({y}="int64"):', "    with held(lock):", "        pass", f"    {y} = 3", f"{x} = {y}"]

    def idiom(self, s):
        """What users write with locks; a random choice of statements would seldom make it."""
        item = self.context(s)
        if not item:
            return None
        lock, name = item
        choices = [self.best_so_far, self.up_a_tree, self.until_enough, self.take_one]
        if self.has("objects"):
            choices += [self.until_closed, self.read_after_change]
        inner = s.within("with", taken=s.taken | self.excluded(name), loops=0)
        return self.lines(self.rng.choice(choices)(inner, lock, self.pick(*s.set_ints)))

    def best_so_far(self, s, lock, x):
        return f"""
            {x} = {self.const()}
            with {lock}:
                {x} = {self.pick("max", "min")}({x}, {self.number(s)})"""

    def up_a_tree(self, s, lock, x):
        turns = self.fresh("turns")
        return f"""
            {turns} = 0
            while idx[{x} % 8] != {x} and {turns} < 5:
                {turns} += 1
                with {lock}:
                    {x} = idx[{x} % 8]"""

    def change(self, array, i):
        """One more in an element: by a statement, a call or an atomic."""
        return self.pick(f"{array}[{i}] += 1", f"bump({array}, {i}, 1)", f"atomic.add({array}, {i}, 1)")

    def until_enough(self, s, lock, x):
        turns, array, i = self.fresh("turns"), self.pick("a", "b"), self.rng.randrange(world.LENGTH)
        return f"""
            {turns} = 0
            while {array}[{i}] < 12 and {turns} < 20:
                {turns} += 1
                with {lock}:
                    {self.change(array, i)}"""

    def take_one(self, s, lock, x):
        array, i = self.pick("a", "b"), self.rng.randrange(world.LENGTH)
        return f"""
            {x} = -1
            with {lock}:
                if {array}[{i}] < {self.pick(5, 20)}:
                    {x} = {array}[{i}]
                    {self.change(array, i)}"""

    def until_closed(self, s, lock, x):
        turns = self.fresh("turns")
        return f"""
            {turns} = 0
            while not queue.closed and {turns} < 5:
                {turns} += 1
                with {lock}:
                    if {turns} > {self.pick(1, 3)}:
                        queue.close()
            {x} = {turns}"""

    def read_after_change(self, s, lock, x):
        return f"""
            pool.release()
            {x} = pool.value
            with {lock}:
                latch.add(1)
                {x} = latch.value"""
