"""Numba loads a kernel from its cache only if these sources are those that it was compiled with.

A cached kernel contains code that this package has emitted, and calls functions of its library. Numba compiles a kernel anew
when the kernel's own file or Numba has changed, but not when this package has: the kernel would keep a fault that has been
corrected. So the key of a kernel that uses interlock, itself or through helpers, contains a digest of the package.

Relied upon, and checked by test_numba_private.py: `Cache._index_key(sig, codegen)` returns a tuple, and `_py_func`. `sig` is
what the decorator was given: text, a tuple of types, or a signature.
"""

# mypy: ignore-errors

import hashlib
from functools import cache, wraps
from pathlib import Path

from numba.core.caching import Cache
from numba.core.sigutils import normalize_signature

from .uses import leads_to_interlock


@cache
def digest():
    """Return a digest of the package's sources, wherever they are."""
    package = Path(__file__).parent.parent
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).parts):
        found.update(path.read_bytes())
    return found.hexdigest()


def _arguments(sig):
    if isinstance(sig, str):
        sig, _ = normalize_signature(sig)
    return sig if isinstance(sig, tuple) else sig.args


def _index_key(original):
    @wraps(original)
    def index_key(self, sig, codegen):
        key = original(self, sig, codegen)
        things = [self._py_func, *_arguments(sig)]
        return (*key, f"interlock {digest()}") if leads_to_interlock(things) else key

    return index_key


Cache._index_key = _index_key(Cache._index_key)
