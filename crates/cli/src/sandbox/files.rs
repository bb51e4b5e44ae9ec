//! The files that a confined process may use (landlock(7)).

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::uses::{Profile, Uses};
use drupe_tree::paths;

/// Read whatever the command: the time zone; the program, which has the kernel in it, and
/// where it is mapped, without which the kernel would be copied into memory; and what the
/// standard library asks of the processor.
const COMMON: &[&str] = &[
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/self/exe",
    "/proc/self/maps",
    "/proc/self/cgroup",
    "/proc/self/auxv",
];

/// Written too: passphrases are asked for at the terminal.
const DEVICES: &[&str] = &["/dev/null", "/dev/tty"];

/// The newest rights that are asked for; a host that has fewer gives fewer.
const RIGHTS: ABI = ABI::V6;

/// Leaves the process what the command uses. `backing`: images may name other files.
/// Returns whether it is confined now: not if the host's kernel has no Landlock.
pub(super) fn confine(uses: &Uses, backing: bool) -> Result<bool> {
    let all = AccessFs::from_all(RIGHTS) & !AccessFs::Execute;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .scope(Scope::from_all(RIGHTS))?
        .create()?;
    let mut rules = Rules(ruleset);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    for path in COMMON {
        rules.allow(Path::new(path), read)?;
    }
    for path in DEVICES {
        rules.allow(Path::new(path), device)?;
    }
    for path in &uses.list {
        rules.allow(path, AccessFs::ReadDir.into())?;
    }
    for path in &uses.read {
        rules.allow(path, read)?;
    }
    for image in &uses.read_images {
        for file in image_files(image, backing) {
            rules.allow(&file, BitFlags::from(AccessFs::ReadFile) | ioctls(&file))?;
        }
    }
    for image in &uses.write_images {
        for file in image_files(image, backing) {
            let write = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
            rules.allow(&file, write | ioctls(&file))?;
        }
    }
    let read = uses.read_images.iter().map(|image| (image, true));
    let written = uses.write_images.iter().map(|image| (image, false));
    for (image, read_only) in read.chain(written) {
        // That another process uses an image is an error that names the process.
        if drupe::is_locked(image, read_only)
            && let Some(holder) = drupe::lock_holder(image)
        {
            rules.allow(Path::new("/proc/locks"), AccessFs::ReadFile.into())?;
            let name = format!("/proc/{}/comm", holder.pid);
            rules.allow(Path::new(&name), AccessFs::ReadFile.into())?;
        }
    }
    if uses.profile == Profile::Serve {
        // Which groups a caller is in. What else is there to know of others' processes,
        // the host asks for more than to be let in.
        rules.allow(Path::new("/proc"), AccessFs::ReadFile.into())?;
    }
    for path in &uses.write {
        rules.allow(path, all)?;
    }
    if let Some(output) = &uses.output
        && !drupe_tree::is_descriptor(output)
    {
        // It is open, and will be renamed.
        let real = output.canonicalize();
        let dir = paths::parent(real.as_ref().unwrap_or(output));
        rules.allow(dir, AccessFs::MakeReg | AccessFs::RemoveFile)?;
    }
    let status = rules.0.restrict_self().context("restrict")?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// An image, and what belongs to it or it refers to.
fn image_files(image: &Path, backing: bool) -> Vec<PathBuf> {
    let mut files = drupe::image_files(image, backing);
    files.push(image.to_owned());
    files
}

/// A block device is asked for its size.
fn ioctls(path: &Path) -> BitFlags<AccessFs> {
    let is_device = path
        .metadata()
        .is_ok_and(|found| found.file_type().is_block_device());
    match is_device {
        true => AccessFs::IoctlDev.into(),
        false => BitFlags::empty(),
    }
}

struct Rules(RulesetCreated);

impl Rules {
    /// Allows this beneath a path. What is not there cannot be opened anyway, and is
    /// named when that is tried.
    fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<()> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let Ok(file) = PathFd::new(path) else {
            return Ok(());
        };
        // A pipe or socket, as of /dev/stdin: Landlock has no rules for them, and never
        // denies them.
        let Ok(found) = path.metadata() else {
            return Ok(());
        };
        let kind = found.file_type();
        if kind.is_fifo() && is_anonymous(path) || kind.is_socket() {
            return Ok(());
        }
        let access = match kind.is_dir() {
            true => access,
            false => access & AccessFs::from_file(RIGHTS),
        };
        (&mut self.0)
            .add_rule(PathBeneath::new(file, access))
            .with_context(|| format!("allow {}", path.display()))?;
        Ok(())
    }
}

/// Whether a path leads to a pipe that has no name of its own.
fn is_anonymous(path: &Path) -> bool {
    path.canonicalize()
        .map_or(true, |real| real.to_string_lossy().contains("pipe:["))
}
