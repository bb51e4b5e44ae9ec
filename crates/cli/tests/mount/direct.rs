//! Asynchronous direct I/O (libaio) together with reads through the host's cache, which
//! must not return old contents.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::Outcome;
use crate::mounted::{EXT4, on};

const BLOCK: usize = 4096;
/// Blocks of the file, all written at the same time.
const BLOCKS: usize = 32;

/// A context of io_setup(2).
struct Aio(libc::c_ulong);

/// `struct iocb`, include/uapi/linux/aio_abi.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Iocb {
    data: u64,
    key: u32,
    flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    len: u64,
    offset: i64,
    reserved: u64,
    more_flags: u32,
    event_fd: u32,
}

/// `IOCB_CMD_PWRITE`.
const PWRITE: u16 = 1;

fn checked(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

impl Aio {
    fn new() -> io::Result<Aio> {
        let mut context = 0;
        // SAFETY: writes a number.
        checked(unsafe { libc::syscall(libc::SYS_io_setup, BLOCKS, &raw mut context) })?;
        Ok(Aio(context))
    }

    /// Writes each of the blocks in `memory` to its place, and waits for all.
    fn write(&self, file: &File, memory: &[u8]) -> io::Result<()> {
        let mut requests: Vec<Iocb> = (0..BLOCKS)
            .map(|index| Iocb {
                opcode: PWRITE,
                fd: file.as_raw_fd() as u32,
                buffer: memory[index * BLOCK..].as_ptr() as u64,
                len: BLOCK as u64,
                offset: (index * BLOCK) as i64,
                ..Iocb::default()
            })
            .collect();
        let pointers: Vec<*mut Iocb> = requests.iter_mut().map(|it| &raw mut *it).collect();
        // SAFETY: pointers to requests whose memory lives until all are done, below.
        let submitted =
            unsafe { libc::syscall(libc::SYS_io_submit, self.0, BLOCKS, pointers.as_ptr()) };
        let submitted = checked(submitted)?;
        let mut events = [[0i64; 4]; BLOCKS];
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: writes at most as many events as there is room for.
        let done = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                self.0,
                submitted,
                submitted,
                events.as_mut_ptr(),
                none,
            )
        };
        let all = checked(done)? == BLOCKS && submitted == BLOCKS;
        match all && events.iter().all(|event| event[2] == BLOCK as i64) {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // SAFETY: nothing is on its way any more.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

#[test]
fn the_hosts_cache_is_not_left_behind() -> Outcome {
    on(&EXT4, |mounted| {
        let path = mounted.path("file");
        std::fs::write(&path, vec![0; BLOCKS * BLOCK])?;
        let mut options = OpenOptions::new();
        let direct = options
            .write(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)?;
        let aio = Aio::new()?;
        let over = AtomicBool::new(false);
        let buffered = File::open(&path)?;
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut bytes = vec![0; BLOCKS * BLOCK];
                    while !over.load(Ordering::Relaxed) {
                        buffered.read_exact_at(&mut bytes, 0).expect("as long");
                    }
                });
            }
            let work = || -> Outcome {
                // Aligned to pages by hand.
                let mut memory = vec![0u8; (BLOCKS + 1) * BLOCK];
                let start = memory.as_ptr().align_offset(BLOCK);
                let memory = &mut memory[start..][..BLOCKS * BLOCK];
                let mut bytes = vec![0; BLOCKS * BLOCK];
                for round in 1..=200 {
                    memory.fill(round);
                    aio.write(&direct, memory)?;
                    buffered.read_exact_at(&mut bytes, 0)?;
                    let old = bytes.iter().filter(|&&byte| byte != round).count();
                    assert_eq!(old, 0, "bytes are old after round {round}");
                }
                Ok(())
            };
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            over.store(true, Ordering::Relaxed);
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
