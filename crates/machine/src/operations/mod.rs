//! The table of host operations: `struct drupe_host_ops` of `asm/host.h`.
//!
//! Every function is called by the thread that holds a CPU, while it is inside
//! the kernel that `ctx` points to (`stack_alloc` also while it is being booted). None may unwind: what could is caught.

mod io_threads;

use crate::devices::environment::contain;
use crate::instance::Instance;
use drupe_abi::{Errno, Frame, HostOps, Io};
use std::ffi::c_void;

/// The operations of every kernel.
pub(crate) static OPS: HostOps = HostOps {
    clock,
    wall_clock,
    console_write,
    timer_set,
    map,
    unmap,
    stack_alloc,
    stack_free,
    disk_submit,
    disk_reap,
    link_send,
    link_receive,
    link_news,
    notify,
};

/// # Safety
///
/// `ctx` is the kernel that calls.
unsafe fn kernel<'a>(ctx: *const c_void) -> &'a Instance {
    // SAFETY: the kernel was given its own address, and lives while it runs.
    unsafe { &*ctx.cast() }
}

unsafe extern "C" fn clock(ctx: *const c_void) -> u64 {
    // SAFETY: the kernel passes its own context.
    unsafe { kernel(ctx) }.environment.clock()
}

unsafe extern "C" fn wall_clock(ctx: *const c_void) -> i64 {
    // SAFETY: the kernel passes its own context.
    unsafe { kernel(ctx) }.environment.wall_clock()
}

unsafe extern "C" fn console_write(ctx: *const c_void, text: *const u8, len: u64) {
    // SAFETY: the kernel passes its own context, and a buffer of `len` bytes
    // that it does not change while we read.
    let (kernel, text) = unsafe { (kernel(ctx), std::slice::from_raw_parts(text, len as usize)) };
    // A listener that panics loses this piece of the log, no more.
    let _ = contain(|| kernel.log.write(text));
    kernel.environment.console(text);
}

unsafe extern "C" fn timer_set(ctx: *const c_void, cpu: u32, deadline: u64) {
    // SAFETY: the kernel passes its own context.
    let vcpu = &unsafe { kernel(ctx) }.vcpus[cpu as usize];
    vcpu.timer.set(vcpu, deadline);
}

fn negative(result: Result<(), Errno>) -> i64 {
    result.map_or_else(|errno| -i64::from(errno.raw_os_error()), |()| 0)
}

unsafe extern "C" fn map(ctx: *const c_void, va: u64, pa: u64, len: u64) -> i64 {
    // SAFETY: the kernel passes its own context.
    negative(unsafe { kernel(ctx) }.memory.map(va, pa, len))
}

unsafe extern "C" fn unmap(ctx: *const c_void, va: u64, len: u64) {
    // There are no ranges outside.
    // SAFETY: the kernel passes its own context.
    let _ = unsafe { kernel(ctx) }.memory.unmap(va, len);
}

unsafe extern "C" fn stack_alloc(ctx: *const c_void) -> *mut u8 {
    // SAFETY: the kernel passes its own context.
    let end = unsafe { kernel(ctx) }.memory.stack_alloc();
    end.unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn stack_free(ctx: *const c_void, end: *mut u8) {
    // SAFETY: the kernel passes its own context.
    unsafe { kernel(ctx) }.memory.stack_free(end);
}

unsafe extern "C" fn disk_submit(ctx: *const c_void, _cpu: u32, io: *mut Io) -> bool {
    // SAFETY: the kernel passes its own context and a request that is ours until
    // it is complete.
    let (kernel, io) = unsafe { (kernel(ctx), &mut *io) };
    // SAFETY: the vectors are kernel memory that stays in place until then.
    unsafe {
        if kernel.disks.serve_at_once(io) {
            return true;
        }
        if io_threads::submit(kernel, io) {
            return false;
        }
        kernel.disks.serve(io);
    }
    true
}

unsafe extern "C" fn disk_reap(ctx: *const c_void, _cpu: u32) -> *mut Io {
    // SAFETY: the kernel passes its own context.
    let io = unsafe { kernel(ctx) }.io_queue.reap().map(|io| io.0);
    io.unwrap_or(std::ptr::null_mut())
}

unsafe extern "C" fn link_send(
    ctx: *const c_void,
    link: u32,
    frames: *const Frame,
    count: u32,
) -> u32 {
    // SAFETY: the kernel passes its own context, and frames that stay as they
    // are during the call.
    unsafe {
        let frames = std::slice::from_raw_parts(frames, count as usize);
        kernel(ctx).netdevs.send(link, frames)
    }
}

unsafe extern "C" fn link_receive(ctx: *const c_void, link: u32, frame: *mut Frame) -> i64 {
    // SAFETY: the kernel passes its own context, and memory that is ours during
    // the call.
    unsafe { kernel(ctx).netdevs.receive(link, &mut *frame) }
}

unsafe extern "C" fn link_news(ctx: *const c_void) -> u64 {
    // SAFETY: the kernel passes its own context.
    unsafe { kernel(ctx) }.netdevs.news()
}

unsafe extern "C" fn notify(ctx: *const c_void, cookie: u64) {
    // SAFETY: the kernel passes its own context.
    unsafe { kernel(ctx) }.watches.notify(cookie);
}
