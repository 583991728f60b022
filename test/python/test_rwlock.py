"""RWLock from Python."""

import threading
import time

import pytest

from conftest import PATIENCE, until_waiting
from interlock import DeadlockError, OwnerDiedWarning, RWLock


def test_readers_share_and_writers_do_not(in_thread):
    lock = RWLock()
    assert lock.acquire_read() is True
    assert in_thread(lock.acquire_write, False) is False
    assert in_thread(lock.acquire_write, True, 0.01) is False

    def read():
        with lock.reading():
            return True

    assert in_thread(read)
    lock.release_read()
    assert lock.acquire_write() is True
    for acquire in (lock.acquire_read, lock.acquire_write):
        assert in_thread(acquire, False) is False
        assert in_thread(acquire, True, 0.01) is False
    lock.release_write()
    assert lock.acquire_write(timeout=0)
    lock.release_write()


def test_release_of_what_is_not_held(in_thread):
    lock = RWLock()
    for release in (lock.release_read, lock.release_write, lock.downgrade):
        with pytest.raises(RuntimeError, match="does not hold"):
            release()
    with lock.reading():
        with pytest.raises(RuntimeError, match="writing"):
            lock.release_write()
        with pytest.raises(RuntimeError, match="writing"):
            lock.downgrade()
    with lock.writing(), pytest.raises(RuntimeError, match="reading"):
        lock.release_read()


def test_bad_timeouts():
    lock = RWLock()
    for acquire in (lock.acquire_read, lock.acquire_write):
        with pytest.raises(ValueError):
            acquire(False, 1)
        with pytest.raises(ValueError):
            acquire(timeout=-2)
        with pytest.raises(OverflowError):
            acquire(timeout=1e100)


def test_reader_reads_again_while_a_writer_waits():
    lock, wrote = RWLock(), []

    def write():
        with lock.writing():
            wrote.append(True)

    with lock.reading():
        writer = threading.Thread(target=write)
        writer.start()
        until_waiting(lock)
        with lock.reading():
            assert not wrote
    writer.join(PATIENCE)
    assert wrote


def test_deadlocks_with_oneself():
    lock = RWLock()
    with lock.reading(), pytest.raises(DeadlockError):
        lock.acquire_write()
    with lock.writing():
        for acquire in (lock.acquire_read, lock.acquire_write):
            with pytest.raises(DeadlockError):
                acquire()


def test_downgrade(in_thread):
    lock = RWLock()
    with lock.writing():
        lock.downgrade()
        assert in_thread(lock.acquire_write, False) is False
        assert in_thread(lambda: (lock.acquire_read(False), lock.release_read())[0])
    assert lock.acquire_write(False)  # released as a reader
    lock.release_write()
    lock.acquire_write()
    lock.downgrade()
    lock.release_read()
    assert lock.acquire_write(False)
    lock.release_write()


def test_body_that_raises_releases():
    lock = RWLock()
    for context in (lock.reading, lock.writing):
        with pytest.raises(KeyError), context():
            raise KeyError
        assert lock.acquire_write(False)
        lock.release_write()


def test_a_block_calls_what_a_subclass_overrides():
    """writing() called acquire_write(), but not release_write()."""
    calls = []

    class Noisy(RWLock):
        def acquire_read(self, *arguments):
            calls.append("acquire_read")
            return super().acquire_read(*arguments)

        def release_read(self):
            calls.append("release_read")
            super().release_read()

        def acquire_write(self, *arguments):
            calls.append("acquire_write")
            return super().acquire_write(*arguments)

        def release_write(self):
            calls.append("release_write")
            super().release_write()

    lock = Noisy()
    with lock.reading():
        pass
    assert calls == ["acquire_read", "release_read"]
    calls.clear()
    with lock.writing():
        pass
    assert calls == ["acquire_write", "release_write"]
    calls.clear()
    with lock.writing():
        lock.downgrade()
    assert calls[0] == "acquire_write" and calls[-1] == "release_read"
    assert lock.acquire_write(False)
    lock.release_write()


@pytest.mark.parametrize("how", ["read", "write"])
def test_writer_died(how, in_thread):
    lock = RWLock()
    in_thread(lock.acquire_write)
    with pytest.warns(OwnerDiedWarning) as caught:
        assert getattr(lock, f"acquire_{how}")()
    assert caught[0].filename == __file__
    getattr(lock, f"release_{how}")()
    assert lock.acquire_write(False)
    lock.release_write()


def test_writers_exclude_all():
    lock, pair, bad = RWLock(), [0, 0], []

    def write():
        for _ in range(500):
            with lock.writing():
                pair[0] += 1
                time.sleep(0) if pair[0] % 50 == 0 else None
                pair[1] += 1

    def read():
        for _ in range(500):
            with lock.reading():
                if pair[0] != pair[1]:
                    bad.append(tuple(pair))

    threads = [threading.Thread(target=f) for f in (write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pair == [1000, 1000] and not bad


def test_repr():
    lock = RWLock()
    assert repr(lock).endswith(": free>")
    with lock.reading():
        assert repr(lock).endswith(": 1 readers>")
    with lock.writing():
        assert "locked for writing by thread" in repr(lock)
