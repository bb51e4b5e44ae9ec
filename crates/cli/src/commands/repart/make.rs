//! What is in a new partition: its filesystem or volume, with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use anyhow::{Context as _, anyhow};
use drupe_repart::{Definition, LUKS2_HEADER, Planned, VerityRole, hashes_of, identity};
use uuid::Uuid;

use super::fill::{self, Encrypted};
use super::image::Image;
use super::luks::{self, Contents, Key};
use super::mkfs::{self, Wanted};
use super::prepare::Prepared;
use super::verity::{self, RootHash};
use super::{scratch, sources};
use crate::args::Repart;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};

/// What all new partitions are made from.
pub(crate) struct Maker<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) command: &'a Repart,
    pub(crate) image: &'a Image,
    pub(crate) definitions: &'a [Definition],
    pub(crate) key: Option<Key>,
    pub(crate) seed: Uuid,
    /// By definition: filesystems that are there already.
    pub(crate) prepared: Vec<Option<Prepared>>,
    /// By definition: the hashes of partitions that were made.
    pub(crate) hashes: BTreeMap<usize, File>,
    pub(crate) roots: BTreeMap<usize, RootHash>,
}

/// The first bytes of a partition.
struct Made {
    file: File,
    len: u64,
    holes_count: bool,
    /// All files are in it.
    is_filled: bool,
}

impl Maker<'_> {
    /// Makes what is in all partitions that are new. Partitions with hashed data, and those
    /// with the hashes, get their UUIDs.
    pub(crate) fn all(&mut self, planned: &mut [Planned]) -> Result<ExitCode, Failure> {
        let mut code = ExitCode::Success;
        // Hashes come after all data.
        for hashes in [false, true] {
            for at in 0..planned.len() {
                let (Some(number), None) = (planned[at].definition, planned[at].old_size) else {
                    continue;
                };
                if is_of_hashes(&self.definitions[number]) != hashes {
                    continue;
                }
                self.context.check()?;
                let made = self.one(planned, at, number);
                let named = made.map_err(|failure| Failure {
                    error: failure.error.context(self.definitions[number].file.clone()),
                    ..failure
                });
                if named? != ExitCode::Success {
                    code = ExitCode::Failed;
                }
            }
        }
        Ok(code)
    }

    fn one(
        &mut self,
        planned: &mut [Planned],
        at: usize,
        number: usize,
    ) -> Result<ExitCode, Failure> {
        let (context, image) = (self.context, self.image);
        let definition = &self.definitions[number];
        let check = || context.check();
        let partition = planned[at].partition.clone();
        let range = partition.range();
        image.clear(range.clone())?;
        if let Some(hashes) = self.hashes.remove(&number) {
            image.take(&hashes, partition.size, partition.start, &check)?;
            return Ok(ExitCode::Success);
        }
        if is_of_hashes(definition) {
            return Err(anyhow!("the partition with the data for its hashes is not new").into());
        }
        let mut code = ExitCode::Success;
        let key = self.key.clone().filter(|_| definition.encrypt);
        let room = match key {
            Some(_) => partition.size.saturating_sub(LUKS2_HEADER),
            None => partition.size,
        };
        let format = definition.format.as_deref().filter(|&it| it != "swap");
        let format = format.filter(|_| !fill::is_empty(definition));
        let mut made = match self.prepared[number].take() {
            Some(prepared) => {
                code = prepared.code;
                Some(Made {
                    file: prepared.file,
                    len: prepared.size,
                    holes_count: true,
                    is_filled: true,
                })
            }
            None => self.contents(definition, &planned[at], room, key.is_some())?,
        };
        if let Some(made) = &made
            && made.len > room
        {
            return Err(anyhow!("the file of CopyBlocks= has grown").into());
        }
        let nothing = &mut |_: &drupe::Mount| Ok(());
        if let Some(hash) = hashes_of(self.definitions, number) {
            let whole = self.whole(made.take(), partition.size)?;
            if let Some(format) = format.filter(|_| !whole.is_filled) {
                let disk = fill::disk_of(&whole.file)?;
                let command = self.command;
                code = fill::fill(
                    context,
                    command,
                    disk,
                    definition,
                    Some(format),
                    None,
                    nothing,
                )?;
            }
            self.hash(planned, at, hash, &whole.file)?;
            made = Some(Made {
                is_filled: true,
                ..whole
            });
        }
        let encrypted = match (&key, &made) {
            (Some(key), made) => {
                let (label, uuid) = (&partition.label, identity::of_luks(partition.uuid));
                let header = luks::format(image.dir(), partition.size, label, uuid, key, &check)?;
                image.take(&header, partition.size, partition.start, &check)?;
                let contents = made.as_ref().map(|made| Contents {
                    file: &made.file,
                    len: made.len,
                    holes_count: made.holes_count,
                });
                Some(Encrypted { key, contents })
            }
            (None, Some(made)) => {
                image.take(&made.file, made.len, partition.start, &check)?;
                None
            }
            (None, None) => None,
        };
        let format = format.filter(|_| made.as_ref().is_some_and(|made| !made.is_filled));
        if format.is_none() && encrypted.is_none() {
            return Ok(code);
        }
        let disk = fill::part_of(image, range)?;
        let command = self.command;
        let filled = fill::fill(
            context, command, disk, definition, format, encrypted, nothing,
        )?;
        match filled {
            ExitCode::Success => Ok(code),
            failed => Ok(failed),
        }
    }

    /// The file of `CopyBlocks=`, or an empty filesystem.
    fn contents(
        &self,
        definition: &Definition,
        planned: &Planned,
        room: u64,
        is_encrypted: bool,
    ) -> Result<Option<Made>, Failure> {
        if let Some((file, len)) = sources::blocks(self.command.root.as_deref(), definition)? {
            return Ok(Some(Made {
                file,
                len,
                holes_count: true,
                is_filled: true,
            }));
        }
        let Some(format) = &definition.format else {
            return Ok(None);
        };
        let wanted = Wanted {
            format,
            label: &planned.partition.label,
            uuid: identity::of_filesystem(planned.partition.uuid),
            size: room,
            epoch: epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()),
            writes_zeroes: is_encrypted,
        };
        let file = mkfs::make(&wanted, self.image.dir(), &|| self.context.check())?;
        Ok(Some(Made {
            file,
            len: room,
            holes_count: false,
            is_filled: false,
        }))
    }

    /// A file without a name that is as large as the partition, with these first bytes.
    fn whole(&self, made: Option<Made>, size: u64) -> Result<Made, Failure> {
        let dir = self.image.dir();
        let new = || {
            let file = scratch::sparse(dir, size);
            file.with_context(|| format!("cannot make a file in {}", dir.display()))
        };
        let is_filled = made.as_ref().is_none_or(|made| made.is_filled);
        let file = new()?;
        if let Some(made) = made {
            let check = || self.context.check();
            scratch::each_piece(&made.file, made.len, &check, |offset, bytes| {
                Ok(file.write_all_at(bytes, offset)?)
            })?;
        }
        (&file)
            .seek(SeekFrom::Start(0))
            .context("cannot read a new file")?;
        Ok(Made {
            file,
            len: size,
            holes_count: true,
            is_filled,
        })
    }

    /// Makes the hashes of a partition's data, and gives both partitions their UUIDs.
    fn hash(
        &mut self,
        planned: &mut [Planned],
        at: usize,
        hash: usize,
        data: &File,
    ) -> Result<(), Failure> {
        let number = planned[at].definition.expect("it is the one with the data");
        let with_hashes = planned
            .iter()
            .position(|one| one.definition == Some(hash) && one.old_size.is_none());
        let Some(with_hashes) = with_hashes else {
            return Err(anyhow!(
                "the partition of {} for its hashes is not new",
                self.definitions[hash].file
            )
            .into());
        };
        let verity = self.definitions[hash].verity.as_ref();
        let wanted = verity::Wanted {
            data,
            room: planned[with_hashes].partition.size,
            uuid: planned[with_hashes].partition.uuid,
            seed: self.seed,
            blocks: verity.map_or((4096, 4096), drupe_repart::Verity::blocks),
        };
        let made = verity::format(&wanted, self.image.dir(), &|| self.context.check());
        let (file, root) = made.map_err(|failure| Failure {
            error: failure.error.context(self.definitions[hash].file.clone()),
            ..failure
        })?;
        let uuids = root.uuids();
        for ((place, definition), uuid) in
            [(at, number), (with_hashes, hash)].into_iter().zip(uuids)
        {
            if self.definitions[definition].uuid.is_none() {
                planned[place].partition.uuid = uuid;
            }
        }
        self.hashes.insert(hash, file);
        self.roots.extend([(number, root), (hash, root)]);
        Ok(())
    }
}

fn is_of_hashes(definition: &Definition) -> bool {
    let verity = definition.verity.as_ref();
    verity.is_some_and(|it| it.role == VerityRole::Hash)
}
