//! Calls that take too long: the deadline of a thread, and what interrupts it.

use std::time::{Duration, Instant};

use drupe::{Interrupter, Kernel};

use crate::border::DEADLINE;
use crate::failure::Failure;

handles! {
    Interrupter => drupe_interrupter_free;
}

export! {
    fn drupe_interrupter_new(kernel: &Kernel) -> handle<Interrupter> {
        Ok(kernel.interrupter()?)
    }

    fn drupe_interrupt(interrupter: &Interrupter) -> status {
        Ok(interrupter.interrupt()?)
    }

    fn drupe_deadline_set(milliseconds: u64) -> status {
        let deadline = Instant::now().checked_add(Duration::from_millis(milliseconds));
        let deadline = deadline.ok_or_else(|| Failure::argument("`milliseconds` is too much"))?;
        DEADLINE.set(Some(deadline));
        Ok(())
    }
}

/// The calling thread has no deadline any more.
#[unsafe(no_mangle)]
extern "C" fn drupe_deadline_clear() {
    DEADLINE.set(None);
}
