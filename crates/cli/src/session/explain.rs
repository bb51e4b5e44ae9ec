//! Turns errors of the library into messages for the user, with hints.

use std::path::Path;

use drupe::{Cause, ImageError};

use super::failure;
use crate::exit::Failure;

/// The hint of an image in which nothing can be mounted.
pub(super) const INFO: &str = "`drupe info` shows what there is";

/// What an error of this library means for the user of the command. `name`: the image or
/// the partition in it, as the user has named it.
pub(super) fn explain(name: &Path, error: &drupe::Error) -> Failure {
    let cause = error.cause();
    let message = match cause {
        Cause::JournalReplay { fstype } => format!(
            "the {fstype} journal must be replayed first: it was not unmounted cleanly, \
             and reading does not change an image"
        ),
        Cause::Locked => "is encrypted".to_owned(),
        Cause::Image(ImageError::NotAllowed { role, name }) if *role == "extent" => {
            format!("it looks like a vmdk whose {role} {name:?} is another file")
        }
        Cause::Image(ImageError::NotAllowed { role, name }) => {
            format!("its {role} {name:?} is another file")
        }
        Cause::Image(ImageError::ReadOnly { what }) => format!("{what} is a read-only format"),
        Cause::NoPartition { .. }
        | Cause::Host(_)
        | Cause::Image(_)
        | Cause::CutShort(_)
        | Cause::MissingDevice { .. }
        | Cause::NoDriver(_)
        | Cause::Volume(_) => cause.to_string(),
        _ if is_read_only_filesystem(cause) => "its filesystem is read-only".to_owned(),
        Cause::NoFilesystem(Some(found)) => format!("holds {found}, not a filesystem"),
        Cause::NoFilesystem(None) if device(error).is_some_and(is_part) => {
            "holds no filesystem that this kernel knows".to_owned()
        }
        Cause::NoFilesystem(None) => {
            "holds no partition table and no filesystem that this kernel knows".to_owned()
        }
        Cause::Dead(report) => format!("the kernel died: {}", report.message),
        _ => text(name, error),
    };
    let failure = failure(name, message);
    match hint(error) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What the user can do about an error.
fn hint(error: &drupe::Error) -> Option<&'static str> {
    Some(match error.cause() {
        Cause::JournalReplay { .. } => "use --replay to replay it in memory",
        Cause::MissingDevice { .. } | Cause::Volume(drupe::VolumeError::Missing(_)) => {
            "give the other images with --with"
        }
        Cause::Locked => {
            "give the passphrase with --key-file FILE or DRUPE_PASSPHRASE, or at a terminal"
        }
        Cause::Volume(drupe::VolumeError::ReadOnly(_)) => "use --replay",
        Cause::Volume(drupe::VolumeError::Damaged { what: "GPT", .. }) => {
            "testdisk can look for its partitions"
        }
        Cause::Image(ImageError::NotAllowed { role, .. }) if *role == "extent" => {
            "if you trust the image, use --image-format vmdk (for files beside it) or \
             --backing (for files anywhere); --image-format raw takes it for a disk"
        }
        Cause::Image(ImageError::NotAllowed { .. }) => "if you trust the image, use --backing",
        Cause::Image(ImageError::ReadOnly { .. }) => {
            "convert it with qemu-img, to qcow2 for example; --replay replays its journal \
             in memory"
        }
        Cause::NoPartition { present, .. } if present.is_empty() => {
            "without @PARTITION, the whole image is meant"
        }
        Cause::NoPartition { .. } => INFO,
        Cause::NoFilesystem(_) if device(error).is_some_and(is_part) => INFO,
        Cause::NoFilesystem(None) => "is it a disk image?",
        Cause::Dead(_) => "--kernel-log shows why",
        cause if is_read_only_filesystem(cause) => "use --read-only",
        _ => return None,
    })
}

/// What read-only filesystems of a kind that could be writable say.
fn is_read_only_filesystem(cause: &Cause) -> bool {
    match cause {
        Cause::Mount { errno, .. } | Cause::Errno(errno) => {
            matches!(*errno, drupe::Errno::ACCESS | drupe::Errno::ROFS)
        }
        _ => false,
    }
}

/// The kernel's name of the block device that an error is about: "vda1", "dm-0", "md1".
fn device(error: &drupe::Error) -> Option<&str> {
    let name = error.path()?.to_str()?;
    let is_device = ["vd", "dm-", "md"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    (is_device && !name.contains('/')).then_some(name)
}

/// Whether a device is a partition or a volume, not a whole disk.
fn is_part(device: &str) -> bool {
    device.ends_with(|last: char| last.is_ascii_digit())
}

/// The text of an error, with the user's name of the device in place of the kernel's.
fn text(name: &Path, error: &drupe::Error) -> String {
    match device(error) {
        Some(device) => {
            let cause = error.cause().to_string();
            let cause = replace_word(&cause, device, &name.display().to_string());
            format!("cannot {}: {cause}", error.operation())
        }
        None => error.to_string(),
    }
}

/// Replaces `word`, where no letter or digit is beside it.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        let is_whole =
            !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric);
        replaced.push_str(before);
        replaced.push_str(if is_whole { by } else { word });
        rest = behind;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use drupe::Errno;

    #[test]
    fn devices_have_the_names_that_the_user_knows() {
        let log = "EXT4-fs (vda1): bad geometry; vda1x, xvda1, vda10 stay".to_owned();
        let errno = Errno::INVAL;
        let error = drupe::Error::at("mount", "vda1", Cause::Mount { errno, log });
        let failure = explain(Path::new("disk.img@1"), &error);
        assert_eq!(
            failure.error.to_string(),
            "disk.img@1: cannot mount: Invalid argument (EINVAL): EXT4-fs (disk.img@1): bad \
             geometry; vda1x, xvda1, vda10 stay"
        );
    }

    #[test]
    fn a_partition_without_a_filesystem_is_named() {
        let error = |device| drupe::Error::at("mount", device, Cause::NoFilesystem(None));
        let failure = explain(Path::new("disk.img@1"), &error("vda1"));
        assert_eq!(
            failure.error.to_string(),
            "disk.img@1: holds no filesystem that this kernel knows"
        );
        assert_eq!(failure.hint.as_deref(), Some(INFO));
        let failure = explain(Path::new("disk.img"), &error("vda"));
        let text = failure.error.to_string();
        assert!(text.contains("holds no partition table"), "{text}");
    }
}
