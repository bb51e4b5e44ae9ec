//! sysctl(8) of a namespace's network, and of the kernel.

use std::ffi::CString;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::Network;
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::sys::{self, AT_FDCWD};

impl Network {
    /// The value of a sysctl, without the newline at its end:
    /// `"net.ipv4.tcp_congestion_control"`. A dot in a name is written as a
    /// slash: `"net.ipv4.conf.eth0/1.forwarding"`. ENOENT: there is none.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        let read = || {
            let path = path(name)?;
            let sys = &self.namespace.kernel.sys;
            let file = sys.openat(AT_FDCWD, &path, libc::O_RDONLY, 0)?;
            let mut value = Vec::with_capacity(4096);
            while sys.read_more(file.raw(), &mut value)? > 0 {
                value.reserve(4096);
            }
            Ok(value)
        };
        let value = self.inside(read);
        let value = value.map_err(|e| Error::at("sysctl", name, e))?;
        let value = String::from_utf8_lossy(&value);
        Ok(value.trim_end_matches('\n').to_owned())
    }

    /// Sets a sysctl. EINVAL, ERANGE: not a value that it can have.
    pub fn set_sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        let value = value.to_string();
        let write = || {
            let path = path(name)?;
            let sys = &self.namespace.kernel.sys;
            let file = sys.openat(AT_FDCWD, &path, libc::O_WRONLY, 0)?;
            // In one piece: the kernel takes what one call writes.
            sys.write(file.raw(), value.as_bytes()).map(drop)
        };
        let written = self.inside(write);
        written.map_err(|e| Error::at("set sysctl", name, e))
    }

    /// /proc/sys/net is that of the thread that opens it.
    fn inside<T>(&self, f: impl FnOnce() -> sys::Result<T>) -> sys::Result<T> {
        self.namespace.kernel.need(Pseudo::Proc)?;
        self.namespace.enter(f)?
    }
}

fn path(name: &str) -> sys::Result<CString> {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        letter => letter,
    };
    let path: String = name.chars().map(swap).collect();
    let strange = |part: &str| matches!(part, "" | "." | "..");
    if path.split('/').any(strange) {
        return Err(MachineError::Errno(Errno::INVAL));
    }
    CString::new(format!("/proc/sys/{path}")).map_err(|_| MachineError::Errno(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_where_sysctls_are() {
        let path = |name| path(name).ok().map(|path| path.into_string().unwrap());
        assert_eq!(
            path("net.ipv4.conf.eth0/1.forwarding").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/forwarding"
        );
        for name in ["", ".net", "net..ipv4", "net.//.//.kcore", "a\0b"] {
            assert_eq!(path(name), None, "{name}");
        }
    }
}
