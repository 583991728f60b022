"""What the tests share."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root():
    return ROOT


@pytest.fixture
def python(tmp_path):
    """Runs Python code, or a script, in a new process; its output, once it has succeeded."""

    def run(code, *arguments, check=True, timeout=60, **environment):
        path = code
        if not isinstance(code, Path):
            path = tmp_path / "code.py"
            path.write_text(code)
        result = subprocess.run(
            [sys.executable, str(path), *map(str, arguments)],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result

    return run


@pytest.fixture
def in_thread():
    """Runs a function in another thread, to its end; its result."""

    def run(function, *arguments):
        results = []
        thread = threading.Thread(target=lambda: results.append(function(*arguments)))
        thread.start()
        thread.join(30)
        assert results, "the thread hangs, or the function raised"
        return results[0]

    return run
