//! Notifications to the host: messages that are not answers.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Answer;

/// `FUSE_NOTIFY_INVAL_INODE`.
const INVAL_INODE: i32 = 2;

/// `FUSE_NOTIFY_INVAL_ENTRY`.
const INVAL_ENTRY: i32 = 3;

/// The message that makes the host forget a name in a directory.
pub(crate) fn forget_name(parent: u64, name: &OsStr) -> Vec<u8> {
    let mut message = Answer::default();
    message.clear();
    message.u64(parent);
    message.u32(name.len() as u32);
    message.u32(0);
    message.bytes(name.as_bytes());
    message.bytes(&[0]);
    message.notice(INVAL_ENTRY).to_vec()
}

/// The message that makes the host forget the attributes of a file, but keep its cached
/// contents.
pub(crate) fn forget_attributes(node: u64) -> Vec<u8> {
    let mut message = Answer::default();
    message.clear();
    message.u64(node);
    // From where on contents are forgotten: a negative number means nowhere.
    message.u64(u64::MAX);
    message.u64(0);
    message.notice(INVAL_INODE).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_to_forget() {
        let message = forget_name(2, OsStr::new("ab"));
        let mut expected = Vec::new();
        for word in [35u32, 3, 0, 0, 2, 0, 2, 0] {
            expected.extend(word.to_ne_bytes());
        }
        expected.extend(b"ab\0");
        assert_eq!(message, expected);
    }
}
