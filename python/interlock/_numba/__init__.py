"""What Numba is told about the package: the objects of `interlock` inside kernels, its atomics and word locks.

Numba imports this itself, by the entry point `numba_extensions`; where it does not, its first look at one of our objects
does. All works from Numba 0.56 on. (Debian's 0.56 lacks the threading layer `tbb`.)
"""

from . import atomic, held, kernels, live, parallel, withs, words

__all__ = ["atomic", "held", "kernels", "live", "parallel", "withs", "words"]

withs.install()


def init() -> None:
    """Nothing is left to do: the imports have told Numba all."""
