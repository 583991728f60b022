//! Bounded queues of `i64`: blocking ones, and for each that has them the calls that return at once.

use std::ffi::{c_int, c_void};

use crate::at;
use crossbeam_queue::ArrayQueue;

macro_rules! channel {
    ($pair:ty, $bounded:expr, $make:ident, $unmake:ident, $put:ident, $get:ident) => {
        #[no_mangle]
        pub extern "C" fn $make(capacity: c_int) -> *mut c_void {
            crate::make::<$pair>($bounded(capacity as usize))
        }
        #[no_mangle]
        pub unsafe extern "C" fn $unmake(object: *mut c_void) {
            crate::unmake::<$pair>(object)
        }
        #[no_mangle]
        pub unsafe extern "C" fn $put(object: *mut c_void, item: i64) {
            at::<$pair>(object).0.send(item).unwrap()
        }
        #[no_mangle]
        pub unsafe extern "C" fn $get(object: *mut c_void) -> i64 {
            at::<$pair>(object).1.recv().unwrap()
        }
    };
}

type Crossbeam = (crossbeam_channel::Sender<i64>, crossbeam_channel::Receiver<i64>);
type Kanal = (kanal::Sender<i64>, kanal::Receiver<i64>);
type Flume = (flume::Sender<i64>, flume::Receiver<i64>);

channel!(
    Crossbeam,
    crossbeam_channel::bounded,
    rust_crossbeam_new,
    rust_crossbeam_free,
    rust_crossbeam_put,
    rust_crossbeam_get
);
channel!(Kanal, kanal::bounded, rust_kanal_new, rust_kanal_free, rust_kanal_put, rust_kanal_get);
channel!(Flume, flume::bounded, rust_flume_new, rust_flume_free, rust_flume_put, rust_flume_get);

// --- calls that return at once: 1, or 0 where the queue is full or empty -----------------------------

macro_rules! tries {
    ($type:ty, $tryput:ident, $tryget:ident, $queue:ident, $item:ident => $putting:expr, $getting:expr) => {
        #[no_mangle]
        pub unsafe extern "C" fn $tryput(object: *mut c_void, $item: i64) -> c_int {
            let $queue = at::<$type>(object);
            $putting as c_int
        }
        #[no_mangle]
        pub unsafe extern "C" fn $tryget(object: *mut c_void, place: *mut i64) -> c_int {
            let $queue = at::<$type>(object);
            match $getting {
                Some(item) => {
                    *place = item;
                    1
                }
                None => 0,
            }
        }
    };
}

#[no_mangle]
pub extern "C" fn rust_array_queue_new(capacity: c_int) -> *mut c_void {
    crate::make::<ArrayQueue<i64>>(ArrayQueue::new(capacity as usize))
}

#[no_mangle]
pub unsafe extern "C" fn rust_array_queue_free(object: *mut c_void) {
    crate::unmake::<ArrayQueue<i64>>(object)
}

tries!(ArrayQueue<i64>, rust_array_queue_tryput, rust_array_queue_tryget, queue, item => queue.push(item).is_ok(), queue.pop());
tries!(Crossbeam, rust_crossbeam_tryput, rust_crossbeam_tryget, channel, item => channel.0.try_send(item).is_ok(), channel.1.try_recv().ok());
tries!(Kanal, rust_kanal_tryput, rust_kanal_tryget, channel, item => channel.0.try_send(item).unwrap(), channel.1.try_recv().unwrap());
tries!(Flume, rust_flume_tryput, rust_flume_tryget, channel, item => channel.0.try_send(item).is_ok(), channel.1.try_recv().ok());
