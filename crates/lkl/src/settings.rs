//! Settings: sysctls, limits; and what LKL has that needs nothing here.

use std::ffi::{CStr, c_char, c_int, c_uint};

use crate::border::{Errno, Result, complain, text, utf8};
use crate::call::{Descriptor, sys};
use crate::fs::{c_text, mount_fs};

/// Sets a sysctl.
fn set(path: &str, value: &[u8]) -> Result<()> {
    mount_fs(c"proc")?;
    // A name of an interface may have a dot, and is written with a slash then.
    let path = match path.contains('/') {
        true => path.to_owned(),
        false => path.replace('.', "/"),
    };
    let file = Descriptor::open(&c_text(format!("/proc/sys/{path}")), libc::O_WRONLY)?;
    file.write(value).map(|_| ())
}

/// Sets several: "KEY=VALUE;…". Those that fail are told of, and the others set.
pub(crate) fn set_all(entries: &str) {
    for entry in entries.split(';').filter(|entry| !entry.trim().is_empty()) {
        let result = match entry.split_once('=') {
            Some((path, value)) => set(path.trim(), value.trim().as_bytes()),
            None => Err(Errno::of(libc::EINVAL)),
        };
        if let Err(Errno(errno)) = result {
            complain(&format!("sysctl {entry:?}: error {errno}"));
        }
    }
}

export! {
    fn lkl_sysctl(path: *const c_char, value: *const c_char) -> c_int {
        // SAFETY: texts of the caller's.
        let (path, value) = unsafe { (utf8(path)?, text(value)?) };
        set(path, CStr::to_bytes(value)).map(|()| 0)
    }

    fn lkl_sysctl_parse_write(sysctls: *const c_char) {
        // SAFETY: a text of the caller's.
        set_all(unsafe { utf8(sysctls) }?);
        Ok(())
    }

    fn lkl_set_fd_limit(fd_limit: c_uint) -> c_int {
        let limits = [u64::from(fd_limit); 2];
        // The calling thread's task: 0.
        sys!(PRLIMIT64, 0, libc::RLIMIT_NOFILE, &limits[..], 0).map(|_| 0)
    }

    fn lkl_create_syscall_thread() -> c_int {
        Ok(0)
    }

    fn lkl_stop_syscall_thread() -> c_int {
        Ok(0)
    }

    fn lkl_register_dbg_handler() {
        Ok(())
    }

    fn lkl_change_tls_mode() {
        Ok(())
    }

    fn lkl_trigger_irq(_irq: c_int) -> c_int {
        Err(Errno::of(libc::ENOSYS))
    }

    fn lkl_get_free_irq(_user: *const c_char) -> c_int {
        Err(Errno::of(libc::ENOSYS))
    }

    fn lkl_put_irq(_irq: c_int, _name: *const c_char) {
        Ok(())
    }
}
