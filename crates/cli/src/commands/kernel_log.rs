//! Reads the kernel's log with its levels, from `/proc/kmsg`.

use std::io::Read;

use drupe::{File, Kernel, Mount, MountOptions, OpenOptions};
use serde::Serialize;

/// Levels of syslog(2) down to this one are complaints.
const WARNING: u8 = 4;

/// A complaint of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// "emergency" to "warning".
    pub(super) level: &'static str,
    pub(super) text: String,
}

/// The log of a kernel, from now on.
pub(super) struct KernelLog {
    file: File,
    // Keeps the file's mount.
    _proc: Mount,
}

impl KernelLog {
    pub(super) fn open(kernel: &Kernel) -> drupe::Result<KernelLog> {
        let proc = kernel.mount_virtual("proc", MountOptions::new())?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = proc.open_with("/kmsg", &options)?;
        let mut log = KernelLog { file, _proc: proc };
        log.complaints();
        Ok(log)
    }

    /// What it has complained of since it was asked last.
    pub(super) fn complaints(&mut self) -> Vec<Line> {
        let mut text = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        // EAGAIN at the end.
        while let Ok(len @ 1..) = self.file.read(&mut chunk) {
            text.extend_from_slice(&chunk[..len]);
        }
        parse(&String::from_utf8_lossy(&text))
    }
}

/// Lines of "<4>[    1.234567] text"; those without a level belong to the one
/// before.
fn parse(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut level = None;
    for line in text.lines() {
        let line = match line.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((number, rest)) => {
                // The facility is in the bits above.
                level = number.parse::<u8>().ok().map(|number| number & 7);
                rest
            }
            None => line,
        };
        let Some(level) = level.filter(|level| *level <= WARNING) else {
            continue;
        };
        let text = match line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
        {
            Some((_, text)) => text,
            None => line,
        };
        const NAMES: [&str; 5] = ["emergency", "alert", "critical", "error", "warning"];
        lines.push(Line {
            level: NAMES[usize::from(level)],
            text: text.to_owned(),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_and_what_belongs_to_them() {
        let text = "<6>[    0.1] fine\n more\n<3>[    1.5] EXT4-fs error: bad\n<4>odd\nline\n";
        let lines: Vec<_> = parse(text)
            .into_iter()
            .map(|line| (line.level, line.text))
            .collect();
        let expected = [
            ("error", "EXT4-fs error: bad"),
            ("warning", "odd"),
            ("warning", "line"),
        ];
        assert_eq!(
            lines,
            expected.map(|(level, text)| (level, text.to_owned()))
        );
    }
}
