//! `drupe fsck`: checks a filesystem with its own tool of the host.
//!
//! The tools take files. That of ext4 takes a place in a file too; others can only check an
//! image that is a filesystem as a whole.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use drupe::Format;

use crate::args::Fsck;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::programs::find;

/// What a check may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    Nothing,
    Safe,
    All,
}

/// A tool, the package of Debian's that has it, and its arguments; `None` in place of
/// those: it has no such mode.
struct Tool {
    name: &'static str,
    package: &'static str,
    arguments: Option<&'static [&'static str]>,
    /// Exit codes that mean that all is well now.
    well: &'static [i32],
}

fn tool(kind: &str, repair: Repair) -> Option<Tool> {
    use Repair::{All, Nothing, Safe};
    let (name, package, arguments, well): (_, _, Option<&[&str]>, &[i32]) = match (kind, repair) {
        ("ext2" | "ext3" | "ext4", Nothing) => ("e2fsck", "e2fsprogs", Some(&["-f", "-n"]), &[0]),
        ("ext2" | "ext3" | "ext4", Safe) => ("e2fsck", "e2fsprogs", Some(&["-f", "-p"]), &[0, 1]),
        ("ext2" | "ext3" | "ext4", All) => ("e2fsck", "e2fsprogs", Some(&["-f", "-y"]), &[0, 1]),
        ("vfat", Nothing) => ("fsck.fat", "dosfstools", Some(&["-n"]), &[0]),
        ("vfat", Safe | All) => ("fsck.fat", "dosfstools", Some(&["-a"]), &[0, 1]),
        ("exfat", Nothing) => ("fsck.exfat", "exfatprogs", Some(&["-n"]), &[0]),
        ("exfat", Safe) => ("fsck.exfat", "exfatprogs", Some(&["-p"]), &[0, 1]),
        ("exfat", All) => ("fsck.exfat", "exfatprogs", Some(&["-y"]), &[0, 1]),
        ("xfs", Nothing) => ("xfs_repair", "xfsprogs", Some(&["-n", "-f"]), &[0]),
        ("xfs", Safe | All) => ("xfs_repair", "xfsprogs", Some(&["-f"]), &[0]),
        ("btrfs", Nothing) => ("btrfs", "btrfs-progs", Some(&["check", "--readonly"]), &[0]),
        // Its authors advise against its repair.
        ("btrfs", Safe | All) => ("btrfs", "btrfs-progs", None, &[0]),
        ("f2fs", Nothing) => ("fsck.f2fs", "f2fs-tools", Some(&["--dry-run"]), &[0]),
        ("f2fs", Safe) => ("fsck.f2fs", "f2fs-tools", Some(&["-a"]), &[0]),
        ("f2fs", All) => ("fsck.f2fs", "f2fs-tools", Some(&["-f", "-y"]), &[0]),
        _ => return None,
    };
    Some(Tool {
        name,
        package,
        arguments,
        well,
    })
}

pub(crate) fn run(context: &mut Context<'_>, command: &Fsck) -> Result<ExitCode, Failure> {
    let repair = match (command.repair, command.yes) {
        (true, _) => Repair::Safe,
        (_, true) => Repair::All,
        _ => Repair::Nothing,
    };
    if repair != Repair::Nothing && context.options.read_only {
        return Err(Failure::usage("repairing writes: not with --read-only"));
    }
    let volume = context.path(&command.image)?.volume;
    let image = volume.image.clone();
    let refused =
        |message: String| Failure::new(ExitCode::Image, anyhow!("{}: {message}", volume.label()));
    let disk = context.session.disk(&image)?;
    let is_raw = disk.format() == Some(Format::Raw);
    drop(disk);
    let partition = context.session.partition(&volume)?;
    let found = partition.probe()?;
    let kind = found.map_or("nothing that is known", |found| found.kind);
    let tool = tool(kind, repair);
    let tool = tool.ok_or_else(|| refused(format!("there is no tool to check {kind}")))?;
    let is_extended = matches!(kind, "ext2" | "ext3" | "ext4");
    let is_volume = volume
        .part
        .as_deref()
        .is_some_and(|part| part.parse::<u32>().is_err());
    let offset = partition.start();
    let is_whole = partition.number().is_none() && !is_volume;
    drop(partition);
    if !is_raw || is_volume || !(is_whole || is_extended) {
        let message = match is_raw && !is_volume {
            true => format!("{} checks no {kind} inside of another image", tool.name),
            false => "only filesystems in raw images can be checked, not in volumes".to_owned(),
        };
        return Err(refused(message).with_hint(
            "`drupe check-log` reads everything, and shows what the kernel has to complain about",
        ));
    }
    let Some(arguments) = tool.arguments else {
        return Err(refused(format!(
            "{} is not used to repair {kind}",
            tool.name
        )));
    };
    let program = find(tool.name).ok_or_else(|| {
        let missing = anyhow!(
            "checking {kind} needs {}, which is not installed",
            tool.name
        );
        Failure::from(missing).with_hint(format!("Debian has it in the package {}", tool.package))
    })?;
    context.session.let_go(&image)?;
    let named = || image.display().to_string();
    let writes = repair != Repair::Nothing;
    if writes {
        crate::session::refuse_attached(&context.options, &image)?;
    }
    let file = File::options().read(true).write(writes).open(&image);
    let file = file.with_context(named)?;
    let lock = match writes {
        true => rustix::fs::FlockOperation::NonBlockingLockExclusive,
        false => rustix::fs::FlockOperation::NonBlockingLockShared,
    };
    let locked = rustix::fs::flock(&file, lock);
    locked.with_context(|| format!("{} is in use", image.display()))?;
    // Whatever the image is called, the tool has this name for it.
    let name = match offset {
        0 => "/proc/self/fd/0".to_owned(),
        offset => format!("/proc/self/fd/0?offset={offset}"),
    };
    let mut child = Command::new(program);
    child.args(arguments).arg(name).stdin(Stdio::from(file));
    let status = child.status();
    let status = status.with_context(|| format!("cannot run {}", tool.name))?;
    match status.code() {
        Some(code) if tool.well.contains(&code) => Ok(ExitCode::Success),
        Some(_) => Ok(ExitCode::Failed),
        None => Err(anyhow!("{}: {status}", tool.name).into()),
    }
}
