//! Programs of the host: the filesystems' own tools.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

/// Which Debian package has a program, for the message when it is missing.
const PACKAGES: &[(&str, &str)] = &[
    ("btrfs", "btrfs-progs"),
    ("cryptsetup", "cryptsetup-bin"),
    ("e2fsck", "e2fsprogs"),
    ("fsck.exfat", "exfatprogs"),
    ("fsck.f2fs", "f2fs-tools"),
    ("fsck.vfat", "dosfstools"),
    ("mdadm", "mdadm"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.erofs", "erofs-utils"),
    ("mkfs.exfat", "exfatprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.f2fs", "f2fs-tools"),
    ("mkfs.ntfs", "ntfs-3g"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mksquashfs", "squashfs-tools"),
    ("mkudffs", "udftools"),
    ("ntfsfix", "ntfs-3g"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("thin_restore", "thin-provisioning-tools"),
    ("xfs_repair", "xfsprogs"),
    ("xorriso", "xorriso"),
];

/// A tool of the table. Most are in directories that an ordinary user's PATH
/// lacks.
pub(crate) fn tool(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    // Names are UTF-8 whatever the locale of who runs the tests: xorriso
    // converts them.
    command.env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a tool and returns what it printed; if it fails, that is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output().map_err(|error| missing(command, error))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{}: {}\n{text}", shown(command), output.status).into()),
    }
}

/// A command without its environment.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn missing(command: &Command, error: std::io::Error) -> String {
    let program = command.get_program().to_string_lossy();
    let package = PACKAGES.iter().find(|(name, _)| *name == program);
    match (error.kind(), package) {
        (ErrorKind::NotFound, Some((_, package))) => {
            format!("{program} is missing; install the package {package}")
        }
        _ => format!("cannot run {program}: {error}"),
    }
}

/// Runs a tool on an image: its arguments, then the image.
pub(crate) fn on_image(words: &[&str], image: &Path) -> Result<String, Box<dyn Error>> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    run(tool(program).args(arguments).arg(image))
}

/// An empty, sparse file of `size` bytes.
pub(crate) fn sparse_file(size: u64) -> Result<NamedTempFile, Box<dyn Error>> {
    let image = NamedTempFile::new()?;
    image.as_file().set_len(size)?;
    Ok(image)
}

#[test]
fn a_missing_tool_is_named_with_its_package() {
    let mut command = tool("mkfs.xfs");
    command.env("PATH", "/nowhere");
    let error = run(&mut command).expect_err("there is nothing");
    assert_eq!(
        error.to_string(),
        "mkfs.xfs is missing; install the package xfsprogs"
    );
}
