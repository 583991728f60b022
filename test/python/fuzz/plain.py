"""Interlock's calls as plain reads and writes, for controls: an object is an array of integers.

`counter.load()` becomes `Counter_load(counter)`, and `atomic.add(...)` becomes `atomic_add(...)`. A control is compared with
itself in Python alone, so these functions need not return what interlock returns.
"""

from queue import Empty, Full


def _acquire(t, blocking=True, timeout=-1):
    t[0] += 1
    return True


def _release(t):
    t[0] -= 1


def _locked(t):
    return t[0] > 0


Lock_acquire = RLock_acquire = Mutex_acquire = Condition_acquire = _acquire
Lock_release = RLock_release = Mutex_release = Condition_release = _release
Lock_locked = RLock_locked = Mutex_locked = Condition_locked = _locked


def Condition_notify_all(t):
    pass


def RWLock_acquire_read(t):
    t[0] += 1
    return True


def RWLock_release_read(t):
    t[0] -= 1


def RWLock_acquire_write(t):
    t[1] += 1
    return True


def RWLock_release_write(t):
    t[1] -= 1


def LockArray_acquire(t, i):
    t[i % 4] += 1
    return True


def LockArray_release(t, i):
    t[i % 4] -= 1


def Semaphore_acquire(t, blocking=True):
    if t[0] > 0:
        t[0] -= 1
        return True
    return False


def Semaphore_release(t, n=1):
    t[0] += n


def Semaphore_value(t):
    return t[0]


def Counter_load(t):
    return t[0]


def Counter_store(t, value):
    t[0] = value


def Counter_exchange(t, value):
    old = t[0]
    t[0] = value
    return old


def Counter_fetch_add(t, delta=1):
    old = t[0]
    t[0] += delta
    return old


def Counter_compare_exchange(t, expected, desired):
    old = t[0]
    if old == expected:
        t[0] = desired
    return old


def Tally_add(t, delta=1):
    t[0] += delta


def Tally_sum(t):
    return t[0]


def Tally_reset(t):
    t[0] = 0


def Latch_add(t, n=1):
    t[0] += n


def Latch_count_down(t, n=1):
    if n > t[0]:
        raise ValueError("latch counted down too many times")
    t[0] -= n


def Latch_value(t):
    return t[0]


def Event_set(t):
    t[0] = 1


def Event_clear(t):
    t[0] = 0


def Event_is_set(t):
    return t[0] != 0


def Queue_put_nowait(t, item):
    if t[1] == 3:
        raise Full
    t[2 + t[1]] = item
    t[1] += 1


def Queue_get_nowait(t):
    if t[1] == 0:
        raise Empty
    item = t[2]
    t[2] = t[3]
    t[3] = t[4]
    t[1] -= 1
    return item


def Queue_close(t):
    t[0] = 1


def Queue_closed(t):
    return t[0] != 0


def Queue_qsize(t):
    return t[1]


def Local_set(t, value):
    t[0] = value


def Local_get(t):
    return t[0]


def atomic_load(array, index):
    return array[index]


def atomic_store(array, index, value):
    array[index] = value


def atomic_exch(array, index, value):
    old = array[index]
    array[index] = value
    return old


def atomic_add(array, index, value):
    old = array[index]
    array[index] = old + value
    return old


def atomic_sub(array, index, value):
    old = array[index]
    array[index] = old - value
    return old


def atomic_and_(array, index, value):
    old = array[index]
    array[index] = old & value
    return old


def atomic_or_(array, index, value):
    old = array[index]
    array[index] = old | value
    return old


def atomic_xor(array, index, value):
    old = array[index]
    array[index] = old ^ value
    return old


def atomic_min(array, index, value):
    old = array[index]
    array[index] = min(old, value)
    return old


def atomic_max(array, index, value):
    old = array[index]
    array[index] = max(old, value)
    return old


def atomic_inc(array, index, value):
    old = array[index]
    array[index] = 0 if old >= value else old + 1
    return old


def atomic_dec(array, index, value):
    old = array[index]
    array[index] = value if old == 0 or old > value else old - 1
    return old


def atomic_cas(array, index, old, value):
    seen = array[index]
    if seen == old:
        array[index] = value
    return seen


def words_lock(array, index):
    array[index] = 1
    return True


def words_trylock(array, index):
    array[index] = 1
    return True


def words_unlock(array, index):
    array[index] = 0


FUNCTIONS = {name: function for name, function in globals().items() if "_" in name.strip("_") and callable(function)}
