//! How the kernel begins and ends.

use std::ffi::{c_int, c_long};
use std::sync::{Mutex, PoisonError};

use drupe::Kernel;
use drupe_netadmin::{Config, NetworkExt};

use crate::border::{Errno, Result, complain};
use crate::call::{HERE, sys};
use crate::error::errno;
use crate::host_ops::{self, HostOperations};
use crate::{disk, netdev, state};

/// The memory that a kernel has at least, in bytes: with it, it starts from a snapshot.
/// What it does not use costs nothing.
const LEAST_MEMORY: u64 = 64 << 20;

/// Who starts or halts the kernel.
static STARTING: Mutex<()> = Mutex::new(());

export! {
    fn lkl_init(lkl_ops: *mut HostOperations) -> c_int {
        if lkl_ops.is_null() {
            return Err(Errno::of(libc::EINVAL));
        }
        if state::running().is_some() {
            return Err(Errno::of(libc::EBUSY));
        }
        host_ops::set(lkl_ops);
        Ok(0)
    }

    fn lkl_cleanup() {
        if state::running().is_some() {
            halt()?;
        }
        host_ops::set(std::ptr::null_mut());
        Ok(())
    }

    fn lkl_is_running() -> c_int {
        Ok(state::running().is_some().into())
    }

    fn lkl_sys_halt() -> c_long {
        halt().map(|()| 0)
    }
}

/// Starts the kernel.
pub(crate) fn start(text: &str) -> Result<()> {
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if state::running().is_some() {
        return Err(Errno::of(libc::EBUSY));
    }
    let CommandLine { memory, dhcp, rest } = CommandLine::parse(text)?;
    let mut builder = Kernel::builder().kernel_log(host_ops::print);
    if memory > LEAST_MEMORY {
        builder = builder.memory(usize::try_from(memory).map_err(|_| Errno::of(libc::EINVAL))?);
    }
    if !rest.is_empty() {
        builder = builder.command_line(&rest);
    }
    let kernel = builder.boot().map_err(|error| {
        complain(&error.to_string());
        errno(&error)
    })?;
    state::replace(Some(kernel.clone()));
    let begun = begin(&kernel);
    if begun.is_ok() && dhcp {
        configure(&kernel);
    }
    if begun.is_err() {
        state::replace(None);
        // The error of what failed is the one to tell.
        let _ = kernel.halt();
    }
    begun
}

/// Makes the new kernel what LKL's is: no descriptors are open, the umask is 022, there is
/// no /mnt; and it has the devices.
fn begin(kernel: &Kernel) -> Result<()> {
    for descriptor in 0..3 {
        sys!(CLOSE, descriptor)?;
    }
    sys!(UMASK, 0o22)?;
    sys!(UNLINKAT, HERE, c"/mnt", libc::AT_REMOVEDIR)?;
    disk::attach_all(kernel)?;
    netdev::attach_all(kernel)
}

/// Halts the kernel. 0 if there is none: LKL's programs do it on their way out of any error.
fn halt() -> Result<()> {
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(kernel) = state::running() else {
        return Ok(());
    };
    // What a dead kernel has not written is lost.
    let _ = sys!(SYNC);
    state::replace(None);
    let halted = kernel.halt();
    disk::detach_all();
    netdev::end_all();
    halted.map_err(|error| errno(&error))
}

/// Asks a DHCP server for the address of the first network device. Without an answer, a
/// kernel goes on without an address.
fn configure(kernel: &Kernel) {
    let configured = kernel
        .network()
        .and_then(|network| network.configure("eth0", &Config::dhcp()));
    if let Err(error) = configured {
        complain(&format!("ip=dhcp: {error}"));
    }
    // That has mounted proc, which programs find where they have mounted it themselves.
    let _ = sys!(UMOUNT2, c"/proc", 0);
}

/// What the program asks of a kernel.
#[derive(Debug, Default, PartialEq, Eq)]
struct CommandLine {
    /// `mem=`, in bytes; 0 without.
    memory: u64,
    /// `ip=dhcp`: network devices are there only when the kernel has booted.
    dhcp: bool,
    /// Everything else.
    rest: String,
}

impl CommandLine {
    fn parse(text: &str) -> Result<CommandLine> {
        let mut line = CommandLine::default();
        let mut rest = Vec::new();
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("mem", size)) => {
                    line.memory = bytes(size).ok_or_else(|| {
                        let form = "mem= takes a number and K, M or G, as mem=64M";
                        complain(&format!("{word:?}: {form}"));
                        Errno::of(libc::EINVAL)
                    })?;
                }
                Some(("ip", "dhcp" | "on" | "any" | "both")) => line.dhcp = true,
                // `print` gets all that the kernel prints.
                Some(("loglevel", _)) => {}
                _ => rest.push(word),
            }
        }
        line.rest = rest.join(" ");
        Ok(line)
    }
}

/// A size as the kernel's parameters have it.
fn bytes(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_does_is_taken_out_of_the_command_line() {
        let parsed = CommandLine::parse("mem=128M loglevel=8 ip=dhcp  quiet ip=10.0.0.1");
        let wanted = CommandLine {
            memory: 128 << 20,
            dhcp: true,
            rest: "quiet ip=10.0.0.1".into(),
        };
        assert_eq!(parsed, Ok(wanted));
        assert_eq!(CommandLine::parse(""), Ok(CommandLine::default()));
        for (size, wanted) in [("100000K", 100_000 << 10), ("4096", 4096), ("1g", 1 << 30)] {
            let parsed = CommandLine::parse(&format!("mem={size}")).expect("a size");
            assert_eq!(parsed.memory, wanted);
        }
        for wrong in ["mem=", "mem=M", "mem=4x", "mem=99999999999G"] {
            let parsed = CommandLine::parse(wrong);
            assert_eq!(parsed, Err(Errno::of(libc::EINVAL)), "{wrong}");
        }
    }
}
