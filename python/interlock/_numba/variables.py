"""New variables in Numba's IR."""

import itertools

_numbers = itertools.count()


def new_variable(block, name, loc):
    """Return a new variable of a block. Without its suffix, its name is still that of no other variable.

    `literal_unroll` copies a loop's body, and adds suffixes such as ".1" to the names of its variables. Numba's `redefine`,
    called with a name in use, adds the same suffixes, so that two variables would become one.
    """
    return block.scope.redefine(f"$interlock_{next(_numbers)}_{name}", loc)
