"""New variables in Numba's IR."""

import itertools

_numbers = itertools.count()


def new_variable(block, name, loc):
    """Return a variable of a block, whose name is no other one's with a suffix.

    `literal_unroll` copies a loop's body, and adds suffixes such as ".1" to the names of its variables. Numba's own
    `redefine` makes the same suffixes, so that two variables would become one.
    """
    return block.scope.redefine(f"$interlock_{next(_numbers)}_{name}", loc)
