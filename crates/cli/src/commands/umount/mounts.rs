//! Whose a mount of drupe's is, by `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use drupe_tree::paths::{base_name, parent};

/// The type of what drupe mounts.
const TYPE: &[u8] = b"fuse.drupe";

/// Who has mounted something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The path of a mount without symbolic links: of the mount itself nothing can be asked.
pub(super) fn real(dir: &Path) -> PathBuf {
    match (parent(dir).canonicalize(), base_name(dir)) {
        (Ok(above), Some(name)) => above.join(name),
        _ => dir.to_owned(),
    }
}

/// Who has mounted what is on `dir`.
///
/// # Errors
///
/// Nothing of drupe's is.
pub(super) fn owner(mountinfo: &[u8], dir: &Path) -> Result<Owner, &'static str> {
    let nothing = "nothing that drupe has mounted is mounted there";
    let lines = mountinfo.split(|&byte| byte == b'\n');
    let mut on_dir = lines.rev().filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let at = unescape(fields.get(4)?);
        (at == dir.as_os_str()).then_some(fields)
    });
    // The last one hides the others.
    let fields = on_dir.next().ok_or(nothing)?;
    // Behind a dash: type, source, options.
    let dash = fields
        .iter()
        .position(|field| *field == b"-")
        .ok_or(nothing)?;
    let (Some(&kind), Some(&options)) = (fields.get(dash + 1), fields.get(dash + 3)) else {
        return Err(nothing);
    };
    if kind != TYPE {
        return Err(nothing);
    }
    let number = |name: &str| {
        let mut options = options.split(|&byte| byte == b',');
        let value = options.find_map(|option| option.strip_prefix(name.as_bytes()))?;
        str::from_utf8(value).ok()?.parse().ok()
    };
    match (number("user_id="), number("group_id=")) {
        (Some(uid), Some(gid)) => Ok(Owner { uid, gid }),
        _ => Err(nothing),
    }
}

/// Octal escapes: `\\040` is a space.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = rest.get(1..4).filter(|_| byte == b'\\');
        let escaped = escaped.and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &rest[4..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_counts() {
        let table = b"36 25 0:31 / /mnt/a\\040b rw - ext4 /dev/sda rw\n\
            99 25 0:70 / /mnt/a\\040b rw,nosuid shared:7 - fuse.drupe /x.img \
            rw,user_id=1000,group_id=100,default_permissions\n\
            100 25 0:71 / /mnt/c rw - fuse.sshfs x rw,user_id=1,group_id=1\n";
        let owner = |dir: &str| owner(table, Path::new(dir));
        assert_eq!(
            owner("/mnt/a b"),
            Ok(Owner {
                uid: 1000,
                gid: 100
            })
        );
        assert!(owner("/mnt/c").is_err());
        assert!(owner("/mnt").is_err());
    }
}
