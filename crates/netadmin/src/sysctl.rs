//! Methods of [`Network`] that read and set sysctls, as sysctl(8) does.

use drupe::{Errno, Error, KernelFile, Result};

use crate::Network;

impl Network {
    /// The value of a sysctl, without the newline at its end:
    /// `"net.ipv4.tcp_congestion_control"`. A dot in a name is written as a slash:
    /// `"net.ipv4.conf.eth0/1.forwarding"`. ENOENT: there is no such sysctl.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        let read = |file: KernelFile| {
            let mut value = Vec::new();
            file.read_to_end(&mut value)?;
            Ok(value)
        };
        let value = self.opened(name, libc::O_RDONLY, read);
        let value = value.map_err(|e| e.with_operation("sysctl").with_path(name))?;
        let value = String::from_utf8_lossy(&value);
        Ok(value.trim_end_matches('\n').to_owned())
    }

    /// Sets a sysctl. EINVAL or ERANGE: the value is invalid.
    pub fn set_sysctl(&self, name: &str, value: impl ToString) -> Result<()> {
        let value = value.to_string();
        // In one piece: the kernel takes what one call writes.
        let write = |file: KernelFile| file.write(value.as_bytes()).map(drop);
        let written = self.opened(name, libc::O_WRONLY, write);
        written.map_err(|e| e.with_operation("set sysctl").with_path(name))
    }

    /// Opens the file of a sysctl inside of the namespace: /proc/sys/net is that of the
    /// thread that opens it.
    fn opened<T>(
        &self,
        name: &str,
        flags: i32,
        f: impl FnOnce(KernelFile) -> Result<T>,
    ) -> Result<T> {
        let path = path(name).ok_or_else(|| Error::new("sysctl", Errno::INVAL))?;
        let kernel = self.namespace().kernel();
        self.namespace().run(|| f(kernel.open(path, flags)?))?
    }
}

fn path(name: &str) -> Option<String> {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        letter => letter,
    };
    let path: String = name.chars().map(swap).collect();
    let strange = |part: &str| matches!(part, "" | "." | "..");
    (!path.split('/').any(strange)).then(|| format!("/proc/sys/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_where_sysctls_are() {
        assert_eq!(
            path("net.ipv4.conf.eth0/1.forwarding").unwrap(),
            "/proc/sys/net/ipv4/conf/eth0.1/forwarding"
        );
        for name in ["", ".net", "net..ipv4", "net.//.//.kcore"] {
            assert_eq!(path(name), None, "{name}");
        }
    }
}
