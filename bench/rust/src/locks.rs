//! Locks, readers-writer locks, arrays of locks, and locks as `Box::new` makes them, for their creation and destruction.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync;

use crate::{object, operation};
use parking_lot::lock_api::{RawMutex as _, RawRwLock as _};

// --- parking_lot and usync: raw locks ---------------------------------------------------------------

macro_rules! raw_mutex {
    ($raw:ty, $make:ident, $unmake:ident, $lock:ident, $unlock:ident) => {
        object!($raw, <$raw>::INIT, $make, $unmake);
        operation!($raw, $lock, raw => raw.lock());
        operation!($raw, $unlock, raw => raw.unlock());
    };
}

macro_rules! raw_rwlock {
    ($raw:ty, $make:ident, $unmake:ident, $read:ident, $unread:ident, $write:ident, $unwrite:ident) => {
        object!($raw, <$raw>::INIT, $make, $unmake);
        operation!($raw, $read, raw => raw.lock_shared());
        operation!($raw, $unread, raw => raw.unlock_shared());
        operation!($raw, $write, raw => raw.lock_exclusive());
        operation!($raw, $unwrite, raw => raw.unlock_exclusive());
    };
}

raw_mutex!(parking_lot::RawMutex, rust_parking_make, rust_parking_unmake, rust_parking_lock, rust_parking_unlock);
raw_mutex!(usync::RawMutex, rust_usync_make, rust_usync_unmake, rust_usync_lock, rust_usync_unlock);
raw_rwlock!(
    parking_lot::RawRwLock,
    rust_parking_rw_make,
    rust_parking_rw_unmake,
    rust_parking_rw_read_lock,
    rust_parking_rw_read_unlock,
    rust_parking_rw_write_lock,
    rust_parking_rw_write_unlock
);
raw_rwlock!(
    usync::RawRwLock,
    rust_usync_rw_make,
    rust_usync_rw_unmake,
    rust_usync_rw_read_lock,
    rust_usync_rw_read_unlock,
    rust_usync_rw_write_lock,
    rust_usync_rw_write_unlock
);

// --- std: a lock returns a guard, which the thread keeps until its unlock -----------------------------

/// A thread holds at most one lock at a time here.
struct Kept<G>(Cell<MaybeUninit<G>>);

impl<G> Kept<G> {
    const fn new() -> Self {
        Kept(Cell::new(MaybeUninit::uninit()))
    }

    fn keep(&self, guard: G) {
        self.0.set(MaybeUninit::new(guard));
    }

    /// # Safety
    /// The thread called `keep` since the last `release`.
    unsafe fn release(&self) {
        drop(self.0.replace(MaybeUninit::uninit()).assume_init());
    }
}

thread_local! {
    static MUTEX: Kept<sync::MutexGuard<'static, ()>> = const { Kept::new() };
    static READ: Kept<sync::RwLockReadGuard<'static, ()>> = const { Kept::new() };
    static WRITE: Kept<sync::RwLockWriteGuard<'static, ()>> = const { Kept::new() };
}

object!(sync::Mutex<()>, sync::Mutex::new(()), rust_std_make, rust_std_unmake);
operation!(sync::Mutex<()>, rust_std_lock, mutex => MUTEX.with(|kept| kept.keep(mutex.lock().unwrap())));
operation!(sync::Mutex<()>, rust_std_unlock, _mutex => MUTEX.with(|kept| kept.release()));

object!(sync::RwLock<()>, sync::RwLock::new(()), rust_std_rw_make, rust_std_rw_unmake);
operation!(sync::RwLock<()>, rust_std_rw_read_lock, lock => READ.with(|kept| kept.keep(lock.read().unwrap())));
operation!(sync::RwLock<()>, rust_std_rw_read_unlock, _lock => READ.with(|kept| kept.release()));
operation!(sync::RwLock<()>, rust_std_rw_write_lock, lock => WRITE.with(|kept| kept.keep(lock.write().unwrap())));
operation!(sync::RwLock<()>, rust_std_rw_write_unlock, _lock => WRITE.with(|kept| kept.release()));

// --- arrays: no line for each, as a program that has a million of them ---------------------------------

macro_rules! array {
    ($type:ty, $value:expr, $make:ident, $unmake:ident, $lock:ident, $unlock:ident, $array:ident, $i:ident => $locking:expr, $unlocking:expr) => {
        #[no_mangle]
        pub extern "C" fn $make(n: u64) -> *mut c_void {
            crate::make::<Vec<$type>>((0..n).map(|_| $value).collect())
        }
        #[no_mangle]
        pub unsafe extern "C" fn $unmake(object: *mut c_void) {
            crate::unmake::<Vec<$type>>(object)
        }
        #[no_mangle]
        pub unsafe extern "C" fn $lock(object: *mut c_void, $i: u64) {
            let $array = crate::at::<Vec<$type>>(object);
            $locking
        }
        #[no_mangle]
        #[allow(unused_variables)]
        pub unsafe extern "C" fn $unlock(object: *mut c_void, $i: u64) {
            let $array = crate::at::<Vec<$type>>(object);
            $unlocking
        }
    };
}

array!(parking_lot::RawMutex, parking_lot::RawMutex::INIT, rust_parking_array_new, rust_parking_array_free,
    rust_parking_array_lock, rust_parking_array_unlock, array, i => array[i as usize].lock(), array[i as usize].unlock());
array!(sync::Mutex<()>, sync::Mutex::new(()), rust_std_array_new, rust_std_array_free, rust_std_array_lock,
    rust_std_array_unlock, array, i => MUTEX.with(|kept| kept.keep(array[i as usize].lock().unwrap())),
    MUTEX.with(|kept| kept.release()));

// --- creation and destruction: a plain box each --------------------------------------------------------

macro_rules! life {
    ($type:ty, $value:expr, $new:ident, $free:ident, $lock:ident, $unlock:ident, $lock_it:expr, $unlock_it:expr) => {
        #[no_mangle]
        pub extern "C" fn $new() -> *mut c_void {
            Box::into_raw(Box::new($value)).cast()
        }
        #[no_mangle]
        pub unsafe extern "C" fn $free(object: *mut c_void) {
            drop(Box::from_raw(object.cast::<$type>()));
        }
        #[no_mangle]
        pub unsafe extern "C" fn $lock(object: *mut c_void) {
            let lock_it: fn(&'static $type) = $lock_it;
            lock_it(&*object.cast::<$type>());
        }
        #[no_mangle]
        pub unsafe extern "C" fn $unlock(object: *mut c_void) {
            let unlock_it: unsafe fn(&'static $type) = $unlock_it;
            unlock_it(&*object.cast::<$type>());
        }
    };
}

/// # Safety
/// The calling thread holds the lock.
unsafe fn unlock_parking(mutex: &'static parking_lot::Mutex<()>) {
    mutex.force_unlock();
}

fn lock_parking(mutex: &'static parking_lot::Mutex<()>) {
    std::mem::forget(mutex.lock());
}

/// # Safety
/// The calling thread holds the lock.
unsafe fn unlock_std(_mutex: &'static sync::Mutex<()>) {
    MUTEX.with(|kept| kept.release());
}

fn lock_std(mutex: &'static sync::Mutex<()>) {
    MUTEX.with(|kept| kept.keep(mutex.lock().unwrap()));
}

life!(
    parking_lot::Mutex<()>,
    parking_lot::Mutex::new(()),
    rust_parking_life_new,
    rust_parking_life_free,
    rust_parking_life_lock,
    rust_parking_life_unlock,
    lock_parking,
    unlock_parking
);
life!(
    sync::Mutex<()>,
    sync::Mutex::new(()),
    rust_std_life_new,
    rust_std_life_free,
    rust_std_life_lock,
    rust_std_life_unlock,
    lock_std,
    unlock_std
);
