//! `Encrypt=key-file`: LUKS2 volumes. cryptsetup makes the header in a file, which needs no
//! device mapper of the host's; the kernel in this program opens the volume and writes
//! what is in it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use drupe::{AttachedDisk, Cause, Partition, VolumeError, VolumeKind};
use rustix::fs::{MemfdFlags, memfd_create};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::mkfs::check_made;
use super::scratch;
use super::tools::{self, Run, STDIN, Tool};
use crate::context::Context;
use crate::exit::Failure;
use crate::passphrase::Passphrase;
use crate::session::Session;

/// What opens a volume.
pub(crate) type Key = Zeroizing<Vec<u8>>;

/// The key that the command line or the environment gives.
pub(crate) fn key(context: &Context<'_>) -> Result<Key, Failure> {
    match Passphrase::new(&context.options, false)? {
        Passphrase::Given(key) if !key.is_empty() => Ok(key),
        Passphrase::Given(_) => Err(anyhow!("the key file of Encrypt=key-file is empty").into()),
        Passphrase::Terminal | Passphrase::Nowhere => {
            let failure = Failure::usage("Encrypt=key-file needs a key");
            Err(failure.with_hint("give it with --key-file FILE or DRUPE_PASSPHRASE"))
        }
    }
}

/// A file of `size` bytes in `dir` that begins with the header of a new LUKS2 volume, with
/// the parameters of systemd-repart.
pub(crate) fn format(
    dir: &Path,
    size: u64,
    label: &str,
    uuid: Uuid,
    key: &Key,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<File, Failure> {
    let mut file = scratch::sparse(dir, size)
        .with_context(|| format!("cannot make a file in {}", dir.display()))?;
    let mut held = memfd_create("drupe-key", MemfdFlags::CLOEXEC)
        .map(File::from)
        .context("cannot make a file in memory")?;
    held.write_all(key)
        .and_then(|()| held.seek(SeekFrom::Start(0)))
        .context("cannot write to a file in memory")?;
    let (_held, key_file) = scratch::inherited(&held).context("cannot duplicate a descriptor")?;
    let uuid = uuid.to_string();
    let arguments = [
        "luksFormat",
        "--batch-mode",
        "--type=luks2",
        "--cipher=aes-xts-plain64",
        "--key-size=512",
        "--sector-size=512",
        "--uuid",
        &uuid,
        "--label",
        label,
        "--key-file",
        &key_file,
        STDIN,
    ];
    let tool = Tool {
        name: "cryptsetup",
        package: "cryptsetup-bin",
        arguments: arguments.map(Into::into).into(),
    };
    let run = Run {
        setting: "Encrypt=key-file".to_owned(),
        file: &file,
        epoch: None,
        writes_zeroes: false,
    };
    tools::run(&tool, &run, check)?;
    check_made(&mut file, "crypto_LUKS", tool.name)?;
    Ok(file)
}

/// Opens the volume on a disk.
pub(crate) fn open(
    context: &Context<'_>,
    session: &Session<'_>,
    disk: &AttachedDisk,
    key: &Key,
) -> Result<Partition, Failure> {
    let given_up = context.signals.interrupt().flag();
    let mut once = |_: &drupe::Volume, attempt| (attempt == 0).then(|| key.clone());
    let kernel = session.kernel()?;
    let found = kernel.volumes_until(std::slice::from_ref(disk), &given_up, &mut once);
    let found = found.map_err(|error| match error.cause() {
        Cause::Volume(VolumeError::GivenUp) => Failure::interrupted(),
        _ => error.into(),
    })?;
    let opened = found.iter().find(|one| one.kind() == VolumeKind::Luks);
    match opened {
        Some(volume) => Ok(volume.partition().clone()),
        None => Err(match found.iter().find_map(|one| one.trouble()) {
            Some(trouble) => anyhow!("cannot open the new LUKS volume: {trouble}"),
            None => anyhow!("cannot open the new LUKS volume"),
        }
        .into()),
    }
}

/// The first bytes of a volume.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) file: &'a File,
    pub(crate) len: u64,
    /// Holes are zeroes that count. Otherwise nobody has written there, and what is there
    /// stays as random as the key.
    pub(crate) holes_count: bool,
}

/// Writes the contents of a volume.
pub(crate) fn put(
    context: &Context<'_>,
    session: &Session<'_>,
    contents: Contents<'_>,
    volume: &Partition,
) -> Result<(), Failure> {
    let node = format!("/dev/{}", volume.name());
    let device = session.kernel()?.open(node, libc::O_RDWR)?;
    let check = || context.check();
    let zeroes = vec![0; scratch::CHUNK];
    let fill_hole = |mut hole: Range<u64>| -> Result<(), Failure> {
        while contents.holes_count && !hole.is_empty() {
            check()?;
            let len = zeroes.len().min((hole.end - hole.start) as usize);
            device.write_all_at(&zeroes[..len], hole.start)?;
            hole.start += len as u64;
        }
        Ok(())
    };
    let mut end = 0;
    scratch::each_piece(contents.file, contents.len, &check, |offset, bytes| {
        fill_hole(end..offset)?;
        end = offset + bytes.len() as u64;
        Ok(device.write_all_at(bytes, offset)?)
    })?;
    fill_hole(end..contents.len)?;
    Ok(device.sync_all()?)
}
