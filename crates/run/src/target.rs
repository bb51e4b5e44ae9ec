//! [`Targets`]: access to the descriptors and memory of the program's processes.

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::listener::last_error;

/// `PIDFD_THREAD` (Linux 6.9): the pidfd refers to one thread.
const THREAD: u32 = libc::O_EXCL as u32;

/// How many pidfds of threads are kept.
const KEPT: usize = 256;

/// Pidfds by the threads that make calls.
#[derive(Default)]
pub(crate) struct Targets {
    threads: HashMap<u32, OwnedFd>,
}

impl Targets {
    /// Duplicates a descriptor of a thread's process.
    pub(crate) fn descriptor(&mut self, thread: u32, number: i32) -> Result<OwnedFd, Errno> {
        if let Some(known) = self.threads.get(&thread) {
            match pidfd_getfd(known, number, PidfdGetfdFlags::empty()) {
                // Another thread has this number now.
                Err(Errno::SRCH) => {}
                result => return result,
            }
        }
        let (process, exact) = open(thread)?;
        let result = pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
        if exact {
            if self.threads.len() >= KEPT {
                self.threads.clear();
            }
            self.threads.insert(thread, process);
        }
        result
    }
}

/// A pidfd of a thread, and whether it is one. On older hosts it is of the thread's
/// process; then it must not be kept under the thread's number, which may be reused.
fn open(thread: u32) -> Result<(OwnedFd, bool), Errno> {
    let pid = pid(thread)?;
    match pidfd_open(pid, PidfdFlags::from_bits_retain(THREAD)) {
        Err(Errno::INVAL) => {}
        result => return result.map(|fd| (fd, true)),
    }
    let status = fs::read_to_string(format!("/proc/{thread}/status")).map_err(|_| Errno::SRCH)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    let leader = line.and_then(|text| text.trim().parse().ok());
    let leader = leader.ok_or(Errno::SRCH)?;
    let process = pidfd_open(self::pid(leader)?, PidfdFlags::empty())?;
    Ok((process, leader == thread))
}

fn pid(number: u32) -> Result<Pid, Errno> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(Errno::SRCH)
}

/// The inode number of a socket, which is the same for all its descriptors in all
/// processes. `None`: not a socket.
pub(crate) fn socket_number(fd: impl AsFd) -> Option<u64> {
    let stat = rustix::fs::fstat(fd).ok()?;
    (stat.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some(stat.st_ino)
}

/// The memory of a thread that waits for the answer to a call.
#[derive(Clone, Copy)]
pub(crate) struct Memory(pub(crate) u32);

impl Memory {
    /// Reads up to `to.len()` bytes, fewer if less memory is mapped.
    pub(crate) fn read_some(self, from: u64, to: &mut [u8]) -> Result<usize, Errno> {
        let remote = [vector(from, to.len() as u64)];
        self.gather(&remote, to)
    }

    /// Fills `to`. EFAULT: less memory is mapped.
    pub(crate) fn read(self, from: u64, to: &mut [u8]) -> Result<(), Errno> {
        whole(self.read_some(from, to)?, to.len())
    }

    /// Reads several pieces into one buffer.
    pub(crate) fn gather(self, from: &[libc::iovec], to: &mut [u8]) -> Result<usize, Errno> {
        if to.is_empty() {
            return Ok(0);
        }
        let local = vector(to.as_mut_ptr() as u64, to.len() as u64);
        // SAFETY: writes into `to`, and reads another process.
        let read = unsafe {
            libc::process_vm_readv(self.pid(), &local, 1, from.as_ptr(), from.len() as u64, 0)
        };
        moved(read)
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(self, to: u64, bytes: &[u8]) -> Result<(), Errno> {
        let remote = [vector(to, bytes.len() as u64)];
        whole(self.scatter(&remote, bytes)?, bytes.len())
    }

    /// Writes one buffer to several pieces.
    pub(crate) fn scatter(self, to: &[libc::iovec], bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let local = vector(bytes.as_ptr() as u64, bytes.len() as u64);
        // SAFETY: reads `bytes`, and writes to another process.
        let written = unsafe {
            libc::process_vm_writev(self.pid(), &local, 1, to.as_ptr(), to.len() as u64, 0)
        };
        moved(written)
    }

    pub(crate) fn read_u32(self, from: u64) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.read(from, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn pid(self) -> i32 {
        self.0 as i32
    }
}

/// A piece of memory, of this or another process.
pub(crate) fn vector(base: u64, len: u64) -> libc::iovec {
    libc::iovec {
        iov_base: base as *mut libc::c_void,
        iov_len: len as usize,
    }
}

fn moved(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last_error())
}

fn whole(done: usize, wanted: usize) -> Result<(), Errno> {
    match done == wanted {
        true => Ok(()),
        false => Err(Errno::FAULT),
    }
}

/// Takes over a descriptor that a system call has just returned.
///
/// # Safety It is open, and nothing else owns it.
pub(crate) unsafe fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the caller's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
