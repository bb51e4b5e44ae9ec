//! Kernels: `drupe_kernel_boot` and what concerns a kernel as a whole; versions.

use std::ffi::{c_char, c_void};

use drupe::Kernel;

use crate::border::{Given, Options, Out, UserData, c_memory, check_flags, member};
use crate::failure::Failure;

/// `DRUPE_API_VERSION`.
const API_VERSION: u32 = 1;

/// `DRUPE_COLD_BOOT`.
const COLD_BOOT: u32 = 1;
/// `DRUPE_SMALL_PAGES`.
const SMALL_PAGES: u32 = 2;

/// `drupe_log_callback`.
type LogCallback = unsafe extern "C" fn(data: *mut c_void, text: *const c_char, len: usize);

/// `struct drupe_kernel_options`.
#[derive(Clone, Copy)]
#[repr(C)]
struct KernelOptions {
    size: usize,
    memory: u64,
    command_line: *const c_char,
    log: Option<LogCallback>,
    log_data: *mut c_void,
    flags: u32,
    spare: u32,
}

// SAFETY: it is repr(C); its pointers may be NULL.
unsafe impl Options for KernelOptions {}

const _: () = assert!(size_of::<KernelOptions>() == 48);

handles! {
    Kernel => drupe_kernel_free;
}

export! {
    fn drupe_kernel_boot(options: Given<KernelOptions>) -> handle<Kernel> {
        let Given(options) = options;
        check_flags(options.flags, COLD_BOOT | SMALL_PAGES)?;
        let mut builder = Kernel::builder();
        if options.memory != 0 {
            let memory = usize::try_from(options.memory);
            builder = builder.memory(memory.map_err(|_| Failure::argument("too much memory"))?);
        }
        // SAFETY: a member of the options: NULL, or a string.
        if let Some(text) = unsafe { member(options.command_line, "command_line") }? {
            builder = builder.command_line(text);
        }
        if options.flags & COLD_BOOT != 0 {
            builder = builder.cold_boot();
        }
        if options.flags & SMALL_PAGES != 0 {
            builder = builder.ram(drupe::Ram::SmallPages);
        }
        if let Some(log) = options.log {
            let data = UserData(options.log_data);
            builder = builder.kernel_log(move |text| {
                // SAFETY: a function of the caller's, with what he gave for it.
                unsafe { log(data.get(), text.as_ptr().cast(), text.len()) }
            });
        }
        Ok(builder.boot()?)
    }

    fn drupe_kernel_halt(kernel: &Kernel) -> status {
        Ok(kernel.halt()?)
    }

    fn drupe_kernel_log(kernel: &Kernel, text: Out<*mut c_char>) -> status {
        text.put(c_memory(kernel.log().as_bytes())?);
        Ok(())
    }

    fn drupe_kernel_release(kernel: &Kernel, release: Out<*mut c_char>) -> status {
        let mut text = Vec::new();
        let file = kernel.open("/proc/sys/kernel/osrelease", libc::O_RDONLY)?;
        file.read_to_end(&mut text)?;
        release.put(c_memory(text.trim_ascii_end())?);
        Ok(())
    }

    fn drupe_syscall(
        kernel: &Kernel,
        number: i64,
        arguments: *const c_void,
        result: Out<u64>,
    ) -> status {
        let number = usize::try_from(number);
        let number = number.map_err(|_| Failure::argument("`number` is negative"))?;
        // SAFETY: six words, as the header says.
        let words = unsafe { crate::border::bytes(arguments, 48, "arguments") }?;
        let word = |at: usize| {
            let bytes = words.get(at * 8..at * 8 + 8);
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, usize::from_ne_bytes)
        };
        // SAFETY: what the arguments point to is the caller's to answer for.
        let value = unsafe { kernel.syscall(number, std::array::from_fn(word)) }?;
        result.put(value as u64);
        Ok(())
    }
}

/// The version of the interface that this library has.
#[unsafe(no_mangle)]
extern "C" fn drupe_api_version() -> u32 {
    API_VERSION
}

/// The version of drupe.
#[unsafe(no_mangle)]
extern "C" fn drupe_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Frees what a call has allocated for the caller.
///
/// # Safety
/// `memory` is NULL, or from this library and not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn drupe_free(memory: *mut c_void) {
    // SAFETY: all of it is from malloc(3).
    unsafe { libc::free(memory) }
}
