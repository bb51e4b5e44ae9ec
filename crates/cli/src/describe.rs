//! Formats attributes of files: types, modes, times, and the JSON that several commands
//! print.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use drupe::{FileType, Metadata, Mount};
use serde::Serialize;

use crate::json_list::{bytes_of, text_of};

/// A file, as `--json` prints it.
#[derive(Serialize)]
pub(crate) struct Json {
    /// With replacement characters where it is not UTF-8.
    path: String,
    /// The true bytes, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Permissions, in octal.
    mode: String,
    nlink: u64,
    uid: u32,
    gid: u32,
    size: u64,
    ino: u64,
    /// Seconds since 1970, with nine digits behind the point.
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_bytes: Option<Vec<u8>>,
    /// Major and minor number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
}

impl Json {
    /// Of a path, whose link target is read when it is one.
    pub(crate) fn new(path: &Path, metadata: &Metadata, mount: &Mount) -> Json {
        let target = match metadata.is_symlink() {
            true => mount.read_link(path).ok(),
            false => None,
        };
        Json {
            path: text_of(path),
            path_bytes: bytes_of(path),
            kind: kind(metadata.file_type()).1,
            mode: format!("{:04o}", metadata.mode() & 0o7777),
            nlink: metadata.nlink(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.len(),
            ino: metadata.ino(),
            modified: metadata.modified().map(seconds).unwrap_or_default(),
            target_bytes: target.as_ref().and_then(bytes_of),
            target: target.as_ref().map(text_of),
            device: device(metadata),
        }
    }
}

/// "-1.500000000" is a second and a half before 1970.
pub(crate) fn seconds(time: SystemTime) -> String {
    let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ("", after),
        Err(before) => ("-", before.duration()),
    };
    format!(
        "{sign}{}.{:09}",
        distance.as_secs(),
        distance.subsec_nanos()
    )
}

pub(crate) fn device(metadata: &Metadata) -> Option<(u32, u32)> {
    let kind = metadata.file_type();
    let is_device = kind.is_block_device() || kind.is_char_device();
    let dev = metadata.rdev();
    is_device.then(|| (libc::major(dev), libc::minor(dev)))
}

/// The letter of ls(1), and a word.
pub(crate) fn kind(kind: FileType) -> (char, &'static str) {
    match () {
        () if kind.is_dir() => ('d', "directory"),
        () if kind.is_symlink() => ('l', "symlink"),
        () if kind.is_block_device() => ('b', "block_device"),
        () if kind.is_char_device() => ('c', "char_device"),
        () if kind.is_fifo() => ('p', "fifo"),
        () if kind.is_socket() => ('s', "socket"),
        () => ('-', "file"),
    }
}

/// What stat(1) calls it.
pub(crate) fn kind_name(metadata: &Metadata) -> &'static str {
    match kind(metadata.file_type()).0 {
        'd' => "directory",
        'l' => "symbolic link",
        'b' => "block special file",
        'c' => "character special file",
        'p' => "fifo",
        's' => "socket",
        _ if metadata.len() == 0 => "regular empty file",
        _ => "regular file",
    }
}

/// "drwxr-xr-x".
pub(crate) fn mode_string(metadata: &Metadata) -> String {
    let mode = metadata.mode();
    let mut text = String::from(kind(metadata.file_type()).0);
    for (shift, special, set, plain) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => plain,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// "12K": the fewest digits that tell, rounded up, as `ls -h` has it.
pub(crate) fn human(bytes: u64) -> String {
    let mut unit = 1_u64;
    let mut units = "BKMGTPE".chars();
    let mut name = units.next();
    while bytes.div_ceil(unit) >= 1024 {
        match units.next() {
            Some(next) => (unit, name) = (unit << 10, Some(next)),
            None => break,
        }
    }
    let name = name.filter(|_| unit > 1);
    let Some(name) = name else {
        return bytes.to_string();
    };
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
    match tenths < 100 {
        true => format!("{}.{}{name}", tenths / 10, tenths % 10),
        false => format!("{}{name}", bytes.div_ceil(unit)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn seconds_before_1970() {
        let before = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(seconds(before), "-1.500000000");
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_nanos(1)), "0.000000001");
    }

    #[test]
    fn human_sizes() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1025, "1.1K"),
            (10_000, "9.8K"),
            (10_240, "10K"),
            (1 << 20, "1.0M"),
            ((1 << 20) - 1, "1.0M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human(bytes), text, "{bytes}");
        }
    }
}
