//! `drupe label` and `drupe uuid`: show and set those of a filesystem.

use std::io::Write;

use anyhow::anyhow;
use drupe::{Cause, Errno};

use crate::args::{Label, NewUuid, Uuid};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::output::{Names, Stdout};

pub(crate) fn label(context: &mut Context<'_>, command: &Label) -> Result<ExitCode, Failure> {
    let volume = context.path(&command.image)?.volume;
    let Some(label) = &command.label else {
        let kind = context.session.partition(&volume)?;
        let found = kind.probe()?;
        let label = found.and_then(|found| found.label).unwrap_or_default();
        let mut out = Stdout::lines();
        out.write_all(&Names::for_stdout().show(label.as_ref()))?;
        writeln!(out)?;
        return Ok(ExitCode::Success);
    };
    let mount = context.mount_for_writing(&volume)?;
    let set = mount.set_label(label).and_then(|()| mount.sync());
    match set {
        Ok(()) => Ok(ExitCode::Success),
        Err(error) => Err(refused(context, &volume, &error, "label")?),
    }
}

pub(crate) fn uuid(context: &mut Context<'_>, command: &Uuid) -> Result<ExitCode, Failure> {
    let volume = context.path(&command.image)?.volume;
    let Some(wanted) = command.uuid else {
        let found = context.session.partition(&volume)?.probe()?;
        let uuid = found.and_then(|found| found.uuid).unwrap_or_default();
        writeln!(Stdout::lines(), "{uuid}")?;
        return Ok(ExitCode::Success);
    };
    let bytes = match wanted {
        NewUuid::Given(uuid) => *uuid.as_bytes(),
        NewUuid::Random => {
            let mut bytes = [0; 16];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
            *uuid::Builder::from_random_bytes(bytes)
                .into_uuid()
                .as_bytes()
        }
    };
    let mount = context.mount_for_writing(&volume)?;
    match mount.set_uuid(bytes).and_then(|()| mount.sync()) {
        Ok(()) => Ok(ExitCode::Success),
        Err(error) => Err(refused(context, &volume, &error, "UUID")?),
    }
}

/// The host's tool that sets what the kernel cannot set, by the type of the filesystem.
fn tool(kind: &str, what: &str) -> Option<&'static str> {
    Some(match (kind, what) {
        ("vfat", "label") => "fatlabel",
        ("vfat", _) => "fatlabel -i",
        ("exfat", "label") => "exfatlabel",
        ("exfat", _) => "exfatlabel -i",
        ("ntfs", "label") => "ntfslabel",
        ("ntfs", _) => "ntfslabel --new-serial",
        ("xfs", _) => "xfs_admin -U",
        ("btrfs", _) => "btrfstune -U",
        _ => return None,
    })
}

/// Why it could not be set.
fn refused(
    context: &mut Context<'_>,
    volume: &Volume,
    error: &drupe::Error,
    what: &str,
) -> Result<Failure, Failure> {
    let name = volume.label();
    let found = context.session.partition(volume)?.probe()?;
    let kind = found.map_or("this filesystem", |found| found.kind);
    Ok(match error.cause() {
        Cause::Errno(Errno::NOTTY | Errno::OPNOTSUPP) => {
            let message = anyhow!("{name}: the kernel cannot set the {what} of {kind}");
            match tool(kind, what) {
                Some(tool) => Failure::from(message).with_hint(format!(
                    "`{tool}` of the host can, on a file that is the filesystem alone"
                )),
                None => message.into(),
            }
        }
        Cause::Errno(Errno::INVAL) => anyhow!(
            "{name}: {kind} does not take this {what}: it is too long, or the filesystem \
                     is too old for it"
        )
        .into(),
        _ => anyhow!("{name}: {error}").into(),
    })
}
