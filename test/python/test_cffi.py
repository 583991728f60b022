"""The library through cffi, and what it is opened with."""

import shutil
import subprocess
import threading

import pytest

import interlock
from interlock import _constants
from interlock._signatures import SIGNATURES


@pytest.fixture(scope="module")
def ffi():
    ffi = pytest.importorskip("cffi").FFI()
    ffi.cdef(interlock.get_declarations())
    return ffi


@pytest.fixture(scope="module")
def c(ffi):
    """The library, opened at run time (cffi's ABI mode)."""
    return ffi.dlopen(interlock.get_library())


def test_every_function_and_constant(c):
    for name in SIGNATURES:
        assert callable(getattr(c, name))
    for name, value in vars(_constants).items():
        if name.startswith("ILK_"):
            assert getattr(c, name) == value


def test_a_handle_is_the_same_everywhere(ffi, c):
    lock = interlock.Mutex()
    mutex = ffi.cast("void *", lock.handle)
    assert c.ilk_mutex_lock(mutex) == c.ILK_OK
    assert lock.locked()
    lock.release()
    lock.close()
    assert c.ilk_mutex_unlock(mutex) == c.ILK_EHANDLE
    assert c.ilk_mutex_unlock(ffi.NULL) == c.ILK_EHANDLE


def test_a_wait_gives_up_the_gil(c):
    mutex = c.ilk_mutex_new(c.ILK_UNOWNED)
    assert c.ilk_mutex_lock(mutex) == c.ILK_OK
    timer = threading.Timer(0.05, c.ilk_mutex_unlock, [mutex])
    timer.start()
    assert c.ilk_mutex_timedlock(mutex, 120_000_000_000) == c.ILK_OK
    timer.join()
    assert c.ilk_mutex_timedlock(mutex, 1_000_000) == c.ILK_ETIMEDOUT
    assert c.ilk_mutex_unlock(mutex) == c.ILK_OK
    assert c.ilk_mutex_free(mutex) == c.ILK_OK


def test_threads_count_under_a_lock(c):
    mutex, total = c.ilk_mutex_new(0), [0]

    def add():
        for _ in range(1000):
            c.ilk_mutex_lock(mutex)
            total[0] += 1
            c.ilk_mutex_unlock(mutex)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total[0] == 4000
    assert c.ilk_mutex_free(mutex) == c.ILK_OK


def test_memory_of_cffis(ffi, c):
    queue, item = c.ilk_queue_new(4), ffi.new("int64_t *")
    assert c.ilk_queue_put(queue, -(2**63)) == c.ILK_OK
    assert c.ilk_queue_get(queue, item) == c.ILK_OK
    assert item[0] == -(2**63)
    word = ffi.new("uint32_t *")
    assert c.ilk_atomic_fetch_add_u32(word, 5) == 0
    assert word[0] == 5
    assert ffi.string(ffi.cast("char *", c.ilk_error_name(c.ILK_EBUSY))) == b"ILK_EBUSY"
    assert c.ilk_queue_free(queue) == c.ILK_OK


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_compiler_links_with_it(tmp_path):
    (tmp_path / "own.h").write_text("#include <stdint.h>\n" + interlock.get_declarations())
    (tmp_path / "program.c").write_text(
        '#include "own.h"\n'
        "int main(void) { void *m = ilk_mutex_new(ILK_FAIR); return ilk_mutex_lock(m) || ilk_mutex_unlock(m); }\n"
    )
    library = interlock.get_library()
    program = tmp_path / "program"
    subprocess.run(["cc", "-Werror", tmp_path / "program.c", "-o", program, library], check=True)
    environment = {"LD_LIBRARY_PATH": library.rpartition("/")[0]}
    subprocess.run([program], check=True, env=environment, timeout=30)
