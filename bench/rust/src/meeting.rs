//! Where threads meet: a barrier, and the hand-over by a mutex and two condition variables.

use std::ffi::{c_int, c_void};
use std::sync;

use crate::{at, object, operation};

// Not usync::Barrier: two threads that meet in it again and again hang: one stays in wait().

#[no_mangle]
pub extern "C" fn rust_std_barrier_new(threads: c_int) -> *mut c_void {
    crate::make(sync::Barrier::new(threads as usize))
}

#[no_mangle]
pub unsafe extern "C" fn rust_std_barrier_free(object: *mut c_void) {
    crate::unmake::<sync::Barrier>(object)
}

operation!(sync::Barrier, rust_std_barrier_wait, barrier => { barrier.wait(); });

const NO_TURN: c_int = -1;

struct StdTurn {
    turn: sync::Mutex<c_int>,
    side: [sync::Condvar; 2],
}

object!(
    StdTurn,
    StdTurn { turn: sync::Mutex::new(NO_TURN), side: Default::default() },
    rust_std_condvar_make,
    rust_std_condvar_unmake
);

#[no_mangle]
pub unsafe extern "C" fn rust_std_condvar_give(object: *mut c_void, to: c_int) {
    let turn = at::<StdTurn>(object);
    *turn.turn.lock().unwrap() = to;
    turn.side[to as usize].notify_one();
}

#[no_mangle]
pub unsafe extern "C" fn rust_std_condvar_take(object: *mut c_void, me: c_int) {
    let turn = at::<StdTurn>(object);
    let mut now = turn.turn.lock().unwrap();
    while *now != me {
        now = turn.side[me as usize].wait(now).unwrap();
    }
    *now = NO_TURN;
}

struct ParkingTurn {
    turn: parking_lot::Mutex<c_int>,
    side: [parking_lot::Condvar; 2],
}

object!(
    ParkingTurn,
    ParkingTurn { turn: parking_lot::Mutex::new(NO_TURN), side: Default::default() },
    rust_parking_condvar_make,
    rust_parking_condvar_unmake
);

#[no_mangle]
pub unsafe extern "C" fn rust_parking_condvar_give(object: *mut c_void, to: c_int) {
    let turn = at::<ParkingTurn>(object);
    *turn.turn.lock() = to;
    turn.side[to as usize].notify_one();
}

#[no_mangle]
pub unsafe extern "C" fn rust_parking_condvar_take(object: *mut c_void, me: c_int) {
    let turn = at::<ParkingTurn>(object);
    let mut now = turn.turn.lock();
    while *now != me {
        turn.side[me as usize].wait(&mut now);
    }
    *now = NO_TURN;
}
