//! The only crate that enters a kernel. (Signatures; being written.)
#![allow(unused, missing_docs)]
use drupe_abi::Errno;
use drupe_host::disk::Disk;
use std::sync::Arc;

pub struct Config {
    /// Bytes of memory, image included; at least 16 MiB. `None`: the default.
    pub memory: usize,
    /// Added to the kernel command line.
    pub command_line: String,
    /// Gets every piece of kernel log text as it is printed.
    pub console: Option<Box<dyn Fn(&[u8]) + Send + Sync>>,
}
impl Default for Config { fn default() -> Self { todo!() } }

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The kernel answered with an error.
    #[error("{0}")]
    Errno(Errno),
    /// The kernel has been halted.
    #[error("the kernel has been halted")]
    Halted,
    /// The kernel died (panic, BUG, wild access); the report has its log and backtrace.
    #[error("the kernel died: {}", .0.message)]
    Dead(Arc<DeathReport>),
    /// A call from inside a host operation or signal handler, while this thread is in the kernel.
    #[error("this thread is inside the kernel already")]
    Reentered,
    /// The kernel could not be loaded or booted.
    #[error("cannot boot the kernel: {0}")]
    Boot(Arc<str>),
}
#[derive(Debug)]
pub struct DeathReport { pub message: String, pub log: String }

pub struct Machine;
/// A disk of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskId(pub u32);
impl DiskId { /// Name of the device: "vda" for 0, as in /dev/vda.
    pub fn name(self) -> String { todo!() } }

impl Machine {
    /// Boots a kernel. devtmpfs, proc and sysfs are NOT mounted; / is an empty tmpfs (0755, /dev and /init exist).
    pub fn boot(config: Config) -> Result<Arc<Machine>, Error> { todo!() }
    /// One system call (asm-generic numbers, `drupe_abi::nr`), on the calling thread's own kernel task.
    /// # Safety
    /// Pointers among the arguments must be valid for what the call does with them (bad ones give EFAULT,
    /// but valid memory of the program that the call writes to must be the caller's to give).
    pub unsafe fn syscall(&self, nr: usize, args: [usize; 6]) -> Result<usize, Error> { todo!() }
    /// Adds a disk; its partitions have been scanned on return (/sys/block/vda/vda1..., /dev/vda1 in devtmpfs).
    pub fn add_disk(&self, disk: Arc<dyn Disk>) -> Result<DiskId, Error> { todo!() }
    /// Removes it; EBUSY while mounted or open.
    pub fn remove_disk(&self, id: DiskId) -> Result<(), Error> { todo!() }
    /// Physically contiguous kernel memory, for calls that pin pages (O_DIRECT), which cannot use host memory.
    pub fn buffer(self: &Arc<Self>, len: usize) -> Result<Buffer, Error> { todo!() }
    /// pread(2) into a kernel buffer: buffer[start..start+len]; works with O_DIRECT.
    pub fn pread(&self, fd: i32, buffer: &mut Buffer, range: std::ops::Range<usize>, offset: u64) -> Result<usize, Error> { todo!() }
    /// pwrite(2) from a kernel buffer.
    pub fn pwrite(&self, fd: i32, buffer: &Buffer, range: std::ops::Range<usize>, offset: u64) -> Result<usize, Error> { todo!() }
    /// Kernel log so far.
    pub fn log(&self) -> String { todo!() }
    /// sync and power off; every later or blocked call gets `Halted`. Idempotent. (Does not umount.)
    pub fn halt(&self) -> Result<(), Error> { todo!() }
}
/// Kernel memory; derefs to [u8]; freed on drop.
pub struct Buffer;
impl std::ops::Deref for Buffer { type Target = [u8]; fn deref(&self) -> &[u8] { todo!() } }
impl std::ops::DerefMut for Buffer { fn deref_mut(&mut self) -> &mut [u8] { todo!() } }
