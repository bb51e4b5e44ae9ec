//! Helpers of the tests: kernels, addresses, threads.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use drupe::Kernel;
use drupe_netadmin::NetworkExt;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A kernel whose loopback interface is up.
pub(crate) fn kernel() -> drupe::Result<Kernel> {
    let kernel = Kernel::boot()?;
    kernel.network()?.link("lo")?.set_up()?;
    Ok(kernel)
}

/// Runs `f` with a deadline that only a kernel that hangs exceeds.
pub(crate) fn bounded<T>(f: impl FnOnce() -> T) -> T {
    drupe::with_deadline(Instant::now() + Duration::from_secs(60), f)
}

/// Two sides at once, each bounded.
pub(crate) fn together<A, B: Send>(
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let there = scope.spawn(|| bounded(there));
        let here = bounded(here);
        (here, there.join().expect("the other side panicked"))
    })
}

/// Bytes that tell when any of them is lost or out of place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let word = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..len as u64 / 8 + 1).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}
