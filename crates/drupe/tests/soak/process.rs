//! Signals whose handlers need much stack, and forks, while the program's threads are in
//! kernels.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::{hint, ptr, thread};

use crate::Failure;

/// Bytes of stack that the handler fills, and reads again.
const USED: usize = 32 << 10;

/// µs between two signals.
const INTERVAL: i64 = 700;

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// A handler as programs have them: without a stack of its own.
extern "C" fn handler(_signal: i32) {
    let mark = SIGNALS.fetch_add(1, Relaxed) as u8;
    let mut used = [mark; USED];
    hint::black_box(&mut used);
    if used.iter().any(|&byte| byte != mark) {
        // SAFETY: allowed in a handler.
        unsafe { libc::abort() };
    }
}

/// Sends the process signals, and forks it, until it is `over`; returns how many
/// of each.
pub(crate) fn disturb(over: &AtomicBool) -> Result<(u64, u64), Failure> {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: INTERVAL,
    };
    let on = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: all zeroes are a valid value of either type.
    let (mut action, off): (libc::sigaction, libc::itimerval) = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the structures are valid, and the handler async-signal-safe.
    unsafe {
        libc::sigaction(libc::SIGALRM, &action, ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &on, ptr::null_mut());
    }
    let mut forks = 0;
    while !over.load(Relaxed) {
        fork()?;
        forks += 1;
        thread::sleep(std::time::Duration::from_millis(20));
    }
    // SAFETY: as above.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &off, ptr::null_mut()) };
    Ok((SIGNALS.load(Relaxed), forks))
}

/// A child that looks for memory of its parent's kernels, and ends.
fn fork() -> Result<(), Failure> {
    // SAFETY: the child calls what a child of a process with threads may call.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            let code = i32::from(inherits());
            // SAFETY: ends the child, and nothing else of it.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: a child of ours, and room for its status.
            while unsafe { libc::waitpid(pid, &mut status, 0) } == -1 {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(error.into());
                }
            }
            match status {
                0 => Ok(()),
                status => Err(format!("a child: {status:#x}: it has a kernel's memory").into()),
            }
        }
    }
}

/// Whether a kernel's memory file is mapped here. Without allocating.
fn inherits() -> bool {
    const NAME: &[u8] = b"drupe-ram";
    let mut seen = 0;
    let mut buffer = [0u8; 4096];
    // SAFETY: a path that ends, and a buffer of that length.
    unsafe {
        let maps = libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY);
        loop {
            let len = libc::read(maps, buffer.as_mut_ptr().cast(), buffer.len());
            if len <= 0 {
                return maps < 0;
            }
            for &byte in &buffer[..len as usize] {
                seen = match byte {
                    byte if byte == NAME[seen] => seen + 1,
                    byte => usize::from(byte == NAME[0]),
                };
                if seen == NAME.len() {
                    return true;
                }
            }
        }
    }
}
