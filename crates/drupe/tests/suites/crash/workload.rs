//! The workload of the power cuts, and the states that may be found afterwards.
//!
//! A step changes one thing and syncs it. The disk's moments before and after
//! it tell what a power cut may leave: before the first, the old state; between
//! them, either; from the second on, the new one.

use std::error::Error;

use drupe::{Errno, Mount, OpenOptions, RecordingDisk};
use fastrand::Rng;

/// Bytes of a record of the log, of a block, and of what is written whole.
const RECORD: usize = 100;
const BLOCK: usize = 4096;
const SECTOR: usize = 512;
const BLOCKS: usize = 32;

/// A change that was synced.
struct Step {
    /// Records of the disk when it began, and when it was acknowledged.
    begun: usize,
    done: usize,
    change: Change,
}

enum Change {
    /// A new file, with so many bytes of its number's.
    File(u32, usize),
    /// It is removed.
    Removed(u32),
    /// The counter has this value: replaced by rename.
    Counter(u32),
    /// The log has so many records.
    Log(u32),
    /// A block has this version: overwritten in place.
    Block(usize, u8),
}

/// All steps, in their order.
pub(super) struct Workload(Vec<Step>);

fn path(number: u32) -> String {
    format!("/directory-{}/file-{number}", number % 3)
}

fn contents(number: u32, len: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(number.into());
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn record(number: u32) -> Vec<u8> {
    contents(1_000_000 + number, RECORD)
}

/// Runs it on a fresh filesystem.
pub(super) fn run(
    mount: &Mount,
    disk: &RecordingDisk,
    rounds: u32,
) -> Result<Workload, Box<dyn Error>> {
    for directory in 0..3 {
        mount.create_dir(format!("/directory-{directory}"))?;
    }
    mount.write("/blocks", [0; BLOCKS * BLOCK])?;
    mount.write("/log", [])?;
    mount.sync()?;
    let mut steps = Vec::new();
    let mut step = |change: Change, work: &mut dyn FnMut() -> Result<(), drupe::Error>| {
        let begun = disk.moment();
        work()?;
        let done = disk.moment();
        steps.push(Step {
            begun,
            done,
            change,
        });
        Ok::<_, Box<dyn Error>>(())
    };
    let sync = |path: &str| mount.open(path)?.sync_all();
    let directory = |number: u32| format!("/directory-{}", number % 3);
    let mut random = Rng::with_seed(3);
    for n in 1..=rounds {
        let len = random.usize(0..60_000);
        step(Change::File(n, len), &mut || {
            mount.write(path(n), contents(n, len))?;
            sync(&path(n))?;
            sync(&directory(n))
        })?;
        step(Change::Counter(n), &mut || {
            mount.write("/counter.new", n.to_string())?;
            sync("/counter.new")?;
            mount.rename("/counter.new", "/counter")?;
            sync("/")
        })?;
        step(Change::Log(n), &mut || {
            let log = mount.open_with("/log", OpenOptions::new().append(true))?;
            log.write_all_at(&record(n - 1), 0)?;
            log.sync_data()
        })?;
        let block = random.usize(0..BLOCKS);
        step(Change::Block(block, n as u8), &mut || {
            let blocks = mount.open_with("/blocks", OpenOptions::new().write(true))?;
            blocks.write_all_at(&[n as u8; BLOCK], (block * BLOCK) as u64)?;
            blocks.sync_data()
        })?;
        noise(mount, &mut random, n)?;
        if let Some(old) = n.checked_sub(4).filter(|&old| old > 0) {
            step(Change::Removed(old), &mut || {
                mount.remove_file(path(old))?;
                sync(&directory(old))
            })?;
        }
        if n % 10 == 0 {
            mount.sync()?;
        }
    }
    Ok(Workload(steps))
}

/// What nobody syncs, and a power cut may leave in any state.
fn noise(mount: &Mount, random: &mut Rng, n: u32) -> Result<(), drupe::Error> {
    let noise = format!("/noise-{n}");
    mount.create_dir(&noise)?;
    for file in 0..random.u32(0..8) {
        mount.write(
            format!("{noise}/{file}"),
            contents(n, random.usize(0..20_000)),
        )?;
    }
    if n > 3 {
        let old = format!("/noise-{}", n - 3);
        match random.bool() {
            true => mount.remove_dir_all(old),
            false => mount.rename(old, format!("{noise}/moved")),
        }?;
    }
    Ok(())
}

impl Workload {
    /// Whether all is there that must be after a power cut at `moment`.
    pub(super) fn verify(&self, mount: &Mount, moment: usize) -> Result<(), Box<dyn Error>> {
        let begun = || self.0.iter().filter(|step| step.begun < moment);
        let mut removing = Vec::new();
        // What the counter, the log and the blocks have, at least and at most.
        let (mut counter, mut log) = ((0, 0), 0);
        let mut blocks = vec![(0, vec![0]); BLOCKS];
        for step in begun() {
            let done = step.done <= moment;
            match step.change {
                Change::File(..) => {}
                Change::Removed(number) => removing.push((number, done)),
                Change::Counter(value) => {
                    counter = (if done { value } else { counter.0 }, value);
                }
                Change::Log(records) if done => log = records,
                Change::Log(_) => {}
                Change::Block(block, version) => {
                    let (least, may) = &mut blocks[block];
                    may.push(version);
                    if done {
                        *least = may.len() - 1;
                    }
                }
            }
        }
        for step in begun().filter(|step| step.done <= moment) {
            if let Change::File(number, len) = step.change {
                let removed = removing.iter().find(|(old, _)| *old == number);
                let path = path(number);
                match (mount.read(&path), removed) {
                    (Ok(_), Some((_, true))) => return Err(format!("{path} is back").into()),
                    (Ok(found), _) if found == contents(number, len) => {}
                    (Ok(_), _) => return Err(format!("{path} has other contents").into()),
                    (Err(error), Some(_)) if error.errno() == Some(Errno::NOENT) => {}
                    (Err(error), _) => return Err(error.into()),
                }
            }
        }
        verify_counter(mount, counter)?;
        let found = mount.read("/log");
        for number in 0..log {
            let at = number as usize * RECORD;
            let found = found.as_ref().map_err(|error| error.to_string())?;
            if found.get(at..at + RECORD) != Some(&record(number)[..]) {
                return Err(format!("record {number} of {log} of the log is lost").into());
            }
        }
        self.verify_blocks(mount, moment, &blocks)
    }

    fn verify_blocks(
        &self,
        mount: &Mount,
        moment: usize,
        blocks: &[(usize, Vec<u8>)],
    ) -> Result<(), Box<dyn Error>> {
        // Before the first step, they may not be there yet.
        if self.0.first().is_none_or(|step| step.begun > moment) {
            return Ok(());
        }
        let found = mount.read("/blocks")?;
        if found.len() != BLOCKS * BLOCK {
            return Err(format!("/blocks has {} bytes", found.len()).into());
        }
        for (n, sector) in found.chunks(SECTOR).enumerate() {
            let (least, may) = &blocks[n * SECTOR / BLOCK];
            let whole = sector.iter().all(|byte| *byte == sector[0]);
            if !whole || !may[*least..].contains(&sector[0]) {
                let version = sector[0];
                let expected = &may[*least..];
                let message = format!("sector {n} of /blocks: {version}, not of {expected:?}");
                return Err(message.into());
            }
        }
        Ok(())
    }
}

fn verify_counter(mount: &Mount, (least, most): (u32, u32)) -> Result<(), Box<dyn Error>> {
    match mount.read_to_string("/counter") {
        Ok(text) => match text.parse() {
            Ok(value) if (least.max(1)..=most).contains(&value) => Ok(()),
            _ => Err(format!("the counter is {text:?}, not {least} to {most}").into()),
        },
        Err(error) if least == 0 && error.errno() == Some(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
