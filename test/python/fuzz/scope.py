"""Where a random statement stands and what it may use there; and the choices of a program."""

import random
import textwrap
from dataclasses import dataclass, field, replace

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
ODDS = {
    "objmode": 0.03,
    "prange": 0.6,
    "neighbours": 0.7,
    "jitclass": 0.15,
    "inlined": 0.15,
    "raise": 0.25,
    "try_in": 0.25,
    "try_around": 0.25,
    "closure": 0.2,
}

SIZE, SMALL = 18, 8  # statements of a program, about: a small one is compiled in a third of the time


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
class Choices:
    """The random numbers of a program, and what it is about."""

    rng: random.Random
    forms: tuple = FORMS
    without: frozenset = frozenset()
    size: int = SIZE
    features: set = field(default_factory=set)
    calls: dict = field(default_factory=dict)  # functions of the program -> the locks that they take
    boundscheck: bool = False
    names: int = 0
    left: int = 0

    def odds(self, p):
        return self.rng.random() < p

    def pick(self, *choices):
        return self.rng.choice(choices)

    def has(self, feature):
        return feature in self.features

    def fresh(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    @staticmethod
    def lines(text):
        """The lines of a text that stands indented in the generator."""
        return textwrap.dedent(text).strip().split("\n")
