//! The boundary between the kernel image and its host: the types of
//! `kernel/arch/drupe/include/asm/host.h` and `cpu.h`, in Rust.
//!
//! The headers are the contract (calling context, ownership, units); this crate
//! repeats their layout and asserts it, as `kernel/arch/drupe/kernel/host.c` does
//! on the other side. Nothing here has behaviour. `drupe-host` serves the
//! operations, `drupe-machine` makes the calls.

mod layout;

use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicU64;

pub use rustix::io::Errno;

/// Version of these layouts; image and host must have the same.
pub const ABI_VERSION: u32 = 5;

/// Usable size of a task's stack in bytes.
pub const STACK_SIZE: usize = 124 << 10;

/// The deadline that turns a timer off.
pub const NO_DEADLINE: u64 = u64::MAX;

/// Why [`Image::enter`] returned: `enum drupe_leave`.
pub mod leave {
    /// No task is runnable; only an interrupt can change that.
    pub const IDLE: u32 = 0;
    /// [`CpuState::done`](crate::CpuState::done) is complete.
    pub const DONE: u32 = 1;
    /// The yield line was seen; a task is in mid-computation.
    pub const YIELD: u32 = 2;
    /// The kernel halted or died and must not be entered again.
    pub const STOPPED: u32 = 3;
}

/// Why a kernel stopped: `enum drupe_stop`.
pub mod stop {
    /// `reboot(2)` with `LINUX_REBOOT_CMD_HALT`.
    pub const HALT: u32 = 1;
    /// `reboot(2)` with `LINUX_REBOOT_CMD_POWER_OFF`.
    pub const POWER_OFF: u32 = 2;
    /// `reboot(2)` with `LINUX_REBOOT_CMD_RESTART`.
    pub const RESTART: u32 = 3;
    /// `panic()`, `BUG()` or an unanswered fault.
    pub const PANIC: u32 = 4;
}

/// Interrupt lines, bits of [`Posted::pending`]: `enum drupe_irq`.
pub mod irq {
    /// [`Posted::inbox`](crate::Posted::inbox) has a request.
    pub const CALL: u32 = 0;
    /// Leave at the next poll point.
    pub const YIELD: u32 = 1;
    /// The timer's deadline has passed.
    pub const TIMER: u32 = 2;
    /// A disk has completed a request.
    pub const DISK: u32 = 3;
    /// A link has something to receive, or takes more.
    pub const LINK: u32 = 4;
}

/// Requests that are not system calls: `enum drupe_op`.
pub mod op {
    /// Completed when the kernel has booted.
    pub const BOOT: u64 = 0x10000;
    /// Make a host task.
    pub const TASK_NEW: u64 = BOOT + 1;
    /// End the request's own task.
    pub const TASK_EXIT: u64 = BOOT + 2;
    /// Interrupt a call of a host task; belongs to no task itself.
    pub const TASK_INTERRUPT: u64 = BOOT + 3;
    /// Add a disk.
    pub const DISK_ADD: u64 = BOOT + 4;
    /// Remove a disk.
    pub const DISK_REMOVE: u64 = BOOT + 5;
    /// Allocate contiguous kernel memory.
    pub const PAGES_ALLOC: u64 = BOOT + 6;
    /// Free memory of [`PAGES_ALLOC`].
    pub const PAGES_FREE: u64 = BOOT + 7;
    /// `pread(2)` into kernel memory.
    pub const PREAD: u64 = BOOT + 8;
    /// `pwrite(2)` from kernel memory.
    pub const PWRITE: u64 = BOOT + 9;
    /// Break the kernel, for tests.
    pub const CRASH: u64 = BOOT + 10;
    /// Add a network link.
    pub const LINK_ADD: u64 = BOOT + 11;
    /// Remove a network link.
    pub const LINK_REMOVE: u64 = BOOT + 12;
    /// Tell the host when a file becomes ready.
    pub const WATCH: u64 = BOOT + 13;
    /// End a [`WATCH`].
    pub const UNWATCH: u64 = BOOT + 14;
    /// Take apart everything whose layout depends on addresses, before a snapshot.
    pub const FREEZE: u64 = BOOT + 15;
    /// Put together again what [`FREEZE`] took apart.
    pub const THAW: u64 = BOOT + 16;
}

/// Ways to break a kernel with [`op::CRASH`]: `enum drupe_crash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Crash {
    /// `panic()`.
    Panic = 0,
    /// `BUG()`.
    Bug = 1,
    /// A read from address 8.
    Read = 2,
    /// A jump to address 8.
    Jump = 3,
    /// A recursion without an end.
    Overflow = 4,
}

/// Properties of a disk: `enum drupe_disk_flags`.
pub mod disk_flags {
    /// Writes fail with `EROFS`.
    pub const READ_ONLY: u64 = 1;
    /// The host takes [`io_op::DISCARD`](crate::io_op::DISCARD).
    pub const DISCARD: u64 = 2;
    /// The host takes [`io_op::WRITE_ZEROES`](crate::io_op::WRITE_ZEROES).
    pub const WRITE_ZEROES: u64 = 4;
    /// The data of a write must not change until the write is complete.
    pub const STABLE_WRITES: u64 = 8;
}

/// What a link leaves to its other end, in both directions: `enum drupe_link_flags`.
pub mod link_flags {
    /// Checksums.
    pub const CSUM: u64 = 1;
    /// TCP segmentation.
    pub const TSO: u64 = 2;
    /// UDP segmentation.
    pub const USO: u64 = 4;
}

/// What a disk is asked to do: `enum drupe_io_op`.
pub mod io_op {
    /// Fill the vectors from the disk.
    pub const READ: u32 = 0;
    /// Write the vectors to the disk.
    pub const WRITE: u32 = 1;
    /// Make all completed writes durable.
    pub const FLUSH: u32 = 2;
    /// The range's content is no longer needed.
    pub const DISCARD: u32 = 3;
    /// The range must read as zeroes.
    pub const WRITE_ZEROES: u32 = 4;
}

/// Flag of [`Boot`]: the kernel is going to be frozen.
pub const BOOT_SNAPSHOT: u64 = 1;

/// Flag of [`Io`]: the data must be durable when the write completes.
pub const IO_FUA: u32 = 1;

/// One call into the kernel: `struct drupe_request`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Request {
    /// System call number, or one of [`op`].
    pub nr: u64,
    /// Its arguments.
    pub args: [u64; 6],
    /// Handle of the host task that is to run it.
    pub task: u64,
    /// Result, negative errno on failure.
    pub ret: i64,
    /// Address of the next request of a list, or 0: that of an inbox, until the
    /// image has taken it.
    pub next: AtomicU64,
}

/// The part of a CPU's state that any thread may touch, on a cache line of its
/// own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Posted {
    /// Bitmap of [`irq`] lines; set by any thread, taken by the holder.
    pub pending: AtomicU64,
    /// Address of the newest [`Request`] that was posted, or 0; the image takes
    /// the whole list.
    pub inbox: AtomicU64,
}

/// The state of one CPU: `struct drupe_cpu`. All but `posted` belongs to the
/// thread that holds the CPU.
#[derive(Debug)]
#[repr(C)]
pub struct CpuState {
    /// What any thread may post.
    pub posted: Posted,
    /// The request the last entry brought.
    pub request: *mut Request,
    /// The completed request, with [`leave::DONE`].
    pub done: *mut Request,
    /// Stack pointer of the host thread that is inside.
    pub host_sp: u64,
    /// Stack pointer of the machine while it is left.
    pub kernel_sp: u64,
    /// The running task.
    pub current_task: *mut c_void,
    /// Interrupts are disabled.
    pub irqs_off: u64,
    /// The last [`leave`] code.
    pub leave: u32,
    /// With [`leave::DONE`]: other tasks want to run.
    pub runnable: u32,
    /// With [`leave::STOPPED`]: one of [`stop`].
    pub stop: u32,
    /// Number of this CPU.
    pub cpu: u32,
    /// With [`stop::PANIC`]: NUL-terminated message.
    pub stop_message: *const c_char,
}

/// One piece of kernel memory: `struct drupe_iovec`, which is `struct iovec`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct IoVec {
    /// Address.
    pub base: *mut u8,
    /// Length in bytes.
    pub len: u64,
}

/// One request to a disk: `struct drupe_io`.
#[derive(Debug)]
#[repr(C)]
pub struct Io {
    /// Number of the disk.
    pub disk: u32,
    /// One of [`io_op`].
    pub op: u32,
    /// [`IO_FUA`] or nothing.
    pub flags: u32,
    /// Number of vectors.
    pub iov_count: u32,
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes in all.
    pub len: u64,
    /// The vectors.
    pub iov: *mut IoVec,
    /// 0 or a negative errno, once complete.
    pub error: i64,
}

/// An Ethernet frame, or room for one: `struct drupe_frame`.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// `struct virtio_net_hdr`, little endian.
    pub header: [u8; 10],
    /// Number of vectors.
    pub iov_count: u32,
    /// The vectors.
    pub iov: *mut IoVec,
}

/// What the host does for one kernel: `struct drupe_host_ops`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct HostOps {
    /// Monotonic time in ns.
    pub clock: unsafe extern "C" fn(*const c_void) -> u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub wall_clock: unsafe extern "C" fn(*const c_void) -> i64,
    /// Kernel log text.
    pub console_write: unsafe extern "C" fn(*const c_void, *const u8, u64),
    /// CPU, deadline in ns of `clock`, or [`NO_DEADLINE`].
    pub timer_set: unsafe extern "C" fn(*const c_void, u32, u64),
    /// Virtual address, physical address, length.
    pub map: unsafe extern "C" fn(*const c_void, u64, u64, u64) -> i64,
    /// Virtual address, length.
    pub unmap: unsafe extern "C" fn(*const c_void, u64, u64),
    /// The end of a stack of [`STACK_SIZE`] bytes, or null.
    pub stack_alloc: unsafe extern "C" fn(*const c_void) -> *mut u8,
    /// The end of a stack to free.
    pub stack_free: unsafe extern "C" fn(*const c_void, *mut u8),
    /// CPU, request; true when it is complete already.
    pub disk_submit: unsafe extern "C" fn(*const c_void, u32, *mut Io) -> bool,
    /// CPU; a completed request or null.
    pub disk_reap: unsafe extern "C" fn(*const c_void, u32) -> *mut Io,
    /// Link, frames, their number; how many were taken.
    pub link_send: unsafe extern "C" fn(*const c_void, u32, *const Frame, u32) -> u32,
    /// Link, room for a frame; its length, 0 or a negative errno.
    pub link_receive: unsafe extern "C" fn(*const c_void, u32, *mut Frame) -> i64,
    /// The bitmap of links with news.
    pub link_news: unsafe extern "C" fn(*const c_void) -> u64,
    /// Cookie of a watch.
    pub notify: unsafe extern "C" fn(*const c_void, u64),
}

/// What the host tells a kernel before it boots: `struct drupe_boot`.
#[derive(Debug)]
#[repr(C)]
pub struct Boot {
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// 1.
    pub cpu_count: u32,
    /// The host operations.
    pub ops: *const HostOps,
    /// First argument of every operation.
    pub ctx: *const c_void,
    /// Image plus RAM in bytes.
    pub memory_size: u64,
    /// Address space behind it, in bytes.
    pub vmalloc_size: u64,
    /// NUL-terminated kernel command line.
    pub command_line: *const c_char,
    /// Random bytes.
    pub seed: [u8; 32],
    /// [`BOOT_SNAPSHOT`] or nothing.
    pub flags: u64,
}

/// An instruction that may fault: `struct drupe_extable_entry`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ExtableEntry {
    /// Its address, relative to this field's.
    pub insn: i32,
    /// Where to go on, relative to this field's address.
    pub fixup: i32,
}

/// A fault in the image: `struct drupe_fault`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Fault {
    /// Address of the instruction.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Faulting address.
    pub addr: u64,
    /// Host signal number.
    pub signal: u64,
}

/// What the image tells the host: `struct drupe_image`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Image {
    /// The image's [`ABI_VERSION`].
    pub abi_version: u32,
    /// CPUs in `cpus`.
    pub cpu_count: u32,
    /// Their states.
    pub cpus: *mut CpuState,
    /// Runs the machine; the caller holds the CPU. Returns a [`leave`] code.
    pub enter: unsafe extern "C" fn(*mut CpuState, *mut Request) -> u32,
    /// Start of the image's code.
    pub text_start: u64,
    /// End of the image's code.
    pub text_end: u64,
    /// Exception table.
    pub extable: *const ExtableEntry,
    /// Its end.
    pub extable_end: *const ExtableEntry,
    /// Reports a fault and panics, in place of what faulted.
    pub fault: unsafe extern "C" fn(*const Fault),
    /// Leaves at once for good.
    pub abandon: unsafe extern "C" fn(*mut CpuState),
    /// Where it keeps the address of its [`Boot`].
    pub boot: *mut *const Boot,
    /// Start of the variables that may hold secrets drawn at boot.
    pub secrets: u64,
    /// Their end.
    pub secrets_end: u64,
}

// SAFETY: addresses; what may be done with them is up to who uses them.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

/// Type of the image's ELF entry point, `drupe_entry`.
pub type Entry = unsafe extern "C" fn(*const Boot, *mut Image) -> i64;
