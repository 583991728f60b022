"""The Numba extension: the objects of `interlock` in kernels, its atomics and word locks.

Numba imports this module by the entry point `numba_extensions`. If it does not, the attribute `_numba_type_` of the first
object that reaches a kernel imports it. All works from Numba 0.56 on. (Debian's 0.56 lacks the threading layer `tbb`.)
"""

from . import (
    alive,
    array_expressions,
    atomic,
    cached,
    held,
    identity,
    kernels,
    live,
    parallel,
    per_thread,
    reads,
    typed_queue,
    withs,
    words,
)

__all__ = [
    "alive",
    "array_expressions",
    "atomic",
    "cached",
    "held",
    "identity",
    "kernels",
    "live",
    "parallel",
    "per_thread",
    "reads",
    "typed_queue",
    "withs",
    "words",
]

withs.install()


def init() -> None:
    """Do nothing: the imports have registered everything."""
