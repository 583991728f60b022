"""Every file of the package is installed: python/meson.build lists each."""

from pathlib import Path

import interlock

SOURCE = Path(__file__).parents[2] / "python" / "interlock"


def test_every_file_of_the_package_is_installed():
    installed = Path(interlock.__file__).parent
    assert installed != SOURCE
    files = [p.relative_to(SOURCE) for p in SOURCE.rglob("*") if p.suffix in (".py", ".pyi") or p.name == "py.typed"]
    assert files and [str(p) for p in files if not (installed / p).exists()] == []
