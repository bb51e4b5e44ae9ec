//! The threads that serve disk requests which may block.
//!
//! A request that may block is queued ([`drupe_cpu::work`]), and the kernel goes on.
//! The thread that has served it raises the disk interrupt, and the kernel's handler
//! takes the request back. Threads are started when all are busy, and end with the
//! kernel.

use crate::devices::pending::Pending;
use crate::instance::Instance;
use crate::memory::lent::Borrower;
use crate::thread::context;
use drupe_abi::{Io, io_op, irq};
use drupe_cpu::work::Kind;
use std::ops::Range;
use std::slice;

/// Queues `io`. `false`: no thread could be started; the caller must serve it.
///
/// # Safety
///
/// The kernel does not touch the request until it is returned (`asm/host.h`).
pub(super) unsafe fn submit(kernel: &Instance, io: *mut Io) -> bool {
    let start = || kernel.spawn("drupe-io", serve).is_ok();
    let take = || {
        // SAFETY: ours, and nobody else has it yet. A disk may change the vectors
        // while it works with them: they are looked at now.
        let loan = unsafe {
            match (*io).op {
                io_op::READ => kernel.memory.lend(Borrower::Disk, targets(&*io)),
                _ => None,
            }
        };
        Pending(io, loan)
    };
    // SAFETY: as above.
    let kind = unsafe { kind(&*io) };
    kernel.io_queue.submit(start, kind, take)
}

/// The main function of a thread.
fn serve(kernel: &Instance) {
    let context = context();
    while let Some(mut taken) = kernel.io_queue.next() {
        // SAFETY: pending, so ours.
        context.serve(kernel.id, || unsafe {
            kernel.disks.serve(&mut *taken.request.0)
        });
        if let Some(loan) = taken.request.1.take() {
            kernel.memory.end_loan(loan);
        }
        kernel.io_queue.complete(taken);
        kernel.vcpu().interrupt(irq::DISK);
        // The disk may have dropped the last handle of a kernel.
        context.do_deferred();
    }
}

fn kind(io: &Io) -> Kind {
    match io.op {
        io_op::WRITE | io_op::DISCARD | io_op::WRITE_ZEROES => Kind::Write(io.disk),
        io_op::FLUSH => Kind::Flush(io.disk),
        _ => Kind::Read,
    }
}

/// The addresses that a read fills.
///
/// # Safety
///
/// The vectors of `io` are valid while the result lives.
unsafe fn targets(io: &Io) -> impl Iterator<Item = Range<usize>> {
    // SAFETY: as promised.
    let vectors = unsafe { slice::from_raw_parts(io.iov, io.iov_count as usize) };
    vectors.iter().map(|vector| {
        let start = vector.base.addr();
        start..start + vector.len as usize
    })
}
