//! How the kernel begins and ends.

use std::ffi::{c_int, c_long};
use std::sync::{Mutex, PoisonError};

use drupe::Kernel;

use crate::border::{Errno, Result, complain};
use crate::call::{HERE, sys};
use crate::error::errno;
use crate::host_ops::{self, HostOperations};
use crate::netdev::AddedDevice;
use crate::state;

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
    let (memory, rest) = command_line(text)?;
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
    let mut devices = state::devices();
    for disk in devices.disks.iter_mut().flatten() {
        disk.attach(kernel)?;
    }
    for device in devices.netdevs.iter_mut().flatten() {
        device.attach(kernel)?;
    }
    Ok(())
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
    let mut devices = state::devices();
    devices
        .disks
        .iter_mut()
        .flatten()
        .for_each(|disk| disk.detach());
    let netdevs = std::mem::take(&mut devices.netdevs);
    // Threads of devices may be in operations of the program's that add others.
    drop(devices);
    netdevs.into_iter().flatten().for_each(AddedDevice::end);
    halted.map_err(|error| errno(&error))
}

/// The memory in bytes that `mem=` asks for, 0 without, and the rest of the command line.
fn command_line(text: &str) -> Result<(u64, String)> {
    let mut memory = 0;
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        match word.strip_prefix("mem=") {
            Some(size) => {
                memory = bytes(size).ok_or_else(|| {
                    complain(&format!(
                        "{word:?}: mem= takes a number and K, M or G, as mem=64M"
                    ));
                    Errno::of(libc::EINVAL)
                })?;
            }
            // What the kernel prints on its console is all that it logs.
            None if word.starts_with("loglevel=") => {}
            None => rest.push(word),
        }
    }
    Ok((memory, rest.join(" ")))
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
    fn memory_is_taken_out_of_the_command_line() {
        let parsed = command_line("mem=128M loglevel=8 ip=dhcp  quiet").expect("it is one");
        assert_eq!(parsed, (128 << 20, "ip=dhcp quiet".to_owned()));
        assert_eq!(
            command_line("mem=100000K").expect("it is one").0,
            100_000 << 10
        );
        assert_eq!(command_line("").expect("it is one"), (0, String::new()));
        for wrong in ["mem=", "mem=M", "mem=4x", "mem=99999999999G"] {
            assert_eq!(command_line(wrong), Err(Errno::of(libc::EINVAL)), "{wrong}");
        }
    }
}
