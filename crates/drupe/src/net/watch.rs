//! [`watch`]: hears of an epoll becoming ready, in any thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use drupe_machine::Interrupter;

use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::sys::{OwnedFd, Sys};

/// Ends when it is dropped: nobody is notified any more then.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    interrupter: Interrupter,
    thread: Option<JoinHandle<()>>,
}

/// Calls `notify`, in any thread, whenever `epoll` has events it did not have
/// before, and when the kernel ends. `notify` must not block, nor call a kernel.
pub(super) fn watch(
    kernel: &Arc<KernelInner>,
    epoll: &OwnedFd,
    notify: Arc<dyn Fn() + Send + Sync>,
) -> Result<Watch> {
    let failed = |cause: Cause| Error::new("poll", cause);
    // An epoll of one epoll, edge-triggered, tells of every new event.
    let sys = Arc::clone(&kernel.sys);
    let outer = sys.epoll_create().map_err(|e| failed(e.into()))?;
    let event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLET) as u32,
        u64: 0,
    };
    sys.epoll_ctl(outer.raw(), libc::EPOLL_CTL_ADD, epoll.raw(), event)
        .map_err(|e| failed(e.into()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(1);
    let stopped = Arc::clone(&stop);
    let thread = thread::Builder::new().name("drupe-poll".into());
    let thread = thread.spawn(move || {
        // It exits when told by hanging up, if this fails.
        if sender.send(sys.machine().interrupter()).is_ok() {
            run(&sys, &outer, &stopped, &*notify);
        }
    });
    let thread = thread.map_err(|e| failed(Cause::Host(e)))?;
    let gone = || failed(Cause::Host(io::ErrorKind::BrokenPipe.into()));
    let interrupter = receiver.recv().map_err(|_| gone())?;
    Ok(Watch {
        stop,
        interrupter: interrupter.map_err(|e| failed(e.into()))?,
        thread: Some(thread),
    })
}

fn run(sys: &Sys, outer: &OwnedFd, stop: &AtomicBool, notify: &(dyn Fn() + Send + Sync)) {
    let mut events = Vec::with_capacity(1);
    while !stop.load(Ordering::SeqCst) {
        let waited = sys.epoll_wait(outer.raw(), &mut events, None);
        notify();
        match waited {
            Ok(()) | Err(drupe_machine::Error::Errno(_)) => {}
            Err(_) => return,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A kernel that has ended has sent the thread home.
        let _ = self.interrupter.interrupt();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
