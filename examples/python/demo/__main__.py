"""The demo: interlock's objects at work in Numba kernels. `script/demo` runs it.

python examples/python/demo [PLOT.png]
"""

import functools
import sys
from pathlib import Path

import histogram
import hundred
import plot


def main() -> int:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo/colours.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = hundred.step()
    line, exact = histogram.step(functools.partial(plot.save, path))
    print(f"   plot: {path}\n")
    print(line if kept else "an addition was lost under a lock")
    return 0 if kept and exact else 1


if __name__ == "__main__":
    sys.exit(main())
