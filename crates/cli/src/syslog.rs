//! Writes to the system's log (syslog(3)), for processes in the background.

use std::os::unix::net::UnixDatagram;

/// Where it listens.
const SOCKET: &str = "/dev/log";

/// Facility daemon (3), severity err (3).
const PRIORITY: u8 = 3 << 3 | 3;

/// Logs an error. Where there is no log, there is nobody to tell.
pub(crate) fn error(message: &str) {
    let line = line(std::process::id(), message);
    if let Ok(socket) = UnixDatagram::unbound() {
        let _ = socket.send_to(line.as_bytes(), SOCKET);
    }
}

/// One datagram, without a time: the log has its own.
fn line(pid: u32, message: &str) -> String {
    let message = message.replace(char::is_control, " ");
    format!("<{PRIORITY}>drupe[{pid}]: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_error() {
        assert_eq!(line(7, "a\nb"), "<27>drupe[7]: a b");
    }
}
