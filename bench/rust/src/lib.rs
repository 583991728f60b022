//! C functions for peers_rust.c: `rust_<peer>_make` and `_unmake` (or `_new` and `_free`), and the peer's operations. Each
//! object is a box on cache lines of its own, as the harness gives to the peers in C.

mod locks;
mod meeting;
mod queues;

use std::ffi::c_void;

/// Keeps a neighbour in memory from being measured too.
#[repr(align(64))]
pub struct Lined<T>(pub T);

pub fn make<T>(value: T) -> *mut c_void {
    Box::into_raw(Box::new(Lined(value))).cast()
}

/// # Safety
/// `object` comes from `make::<T>` and is not used again.
pub unsafe fn unmake<T>(object: *mut c_void) {
    drop(Box::from_raw(object.cast::<Lined<T>>()));
}

/// # Safety
/// `object` comes from `make::<T>` and lives as long as the reference.
pub unsafe fn at<T>(object: *mut c_void) -> &'static T {
    &(*object.cast::<Lined<T>>()).0
}

/// `make` and `unmake` of a type by name.
#[macro_export]
macro_rules! object {
    ($type:ty, $value:expr, $make:ident, $unmake:ident) => {
        #[no_mangle]
        pub extern "C" fn $make(_cell: *const std::ffi::c_void) -> *mut std::ffi::c_void {
            $crate::make::<$type>($value)
        }
        #[no_mangle]
        pub unsafe extern "C" fn $unmake(object: *mut std::ffi::c_void) {
            $crate::unmake::<$type>(object)
        }
    };
}

/// A function of one object.
#[macro_export]
macro_rules! operation {
    ($type:ty, $name:ident, $object:ident => $body:expr) => {
        #[no_mangle]
        pub unsafe extern "C" fn $name(object: *mut std::ffi::c_void) {
            let $object = $crate::at::<$type>(object);
            $body
        }
    };
}
