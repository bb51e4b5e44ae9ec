//! A small store that forgets an `fsync`, the power cut that shows it, and the fix.
//!
//! ```text
//! cargo run --example power_cuts
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use drupe::{
    Disk, File, Kernel, Loss, ManualClock, MemoryDisk, Mount, MountOptions, OpenOptions,
    RecordingDisk,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

// ANCHOR: store
/// A store of names and values: a log of what was put, and now and then a snapshot of
/// everything, after which the log begins anew.
struct Store<'a> {
    root: &'a Mount,
    entries: BTreeMap<String, String>,
    log: File,
}

impl<'a> Store<'a> {
    fn open(root: &'a Mount) -> Result<Store<'a>> {
        let mut entries = BTreeMap::new();
        for file in ["/snapshot", "/log"] {
            if !root.exists(file)? {
                continue;
            }
            let text = root.read_to_string(file)?;
            // A last line without an end was being written.
            for line in text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'))
            {
                let (name, value) = line.trim_end().split_once('=').ok_or("a bad line")?;
                entries.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut log = OpenOptions::new();
        let log = root.open_with("/log", log.append(true).create(true))?;
        Ok(Store { root, entries, log })
    }

    /// Returns when the entry would survive a power cut.
    fn put(&mut self, name: &str, value: &str) -> Result<()> {
        self.log.write_all(format!("{name}={value}\n").as_bytes())?;
        self.log.sync_data()?;
        self.entries.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn snapshot(&mut self, sync: bool) -> Result<()> {
        let mut file = self.root.create("/snapshot.new")?;
        for (name, value) in &self.entries {
            file.write_all(format!("{name}={value}\n").as_bytes())?;
        }
        // The line that was forgotten.
        if sync {
            file.sync_all()?;
        }
        self.root.rename("/snapshot.new", "/snapshot")?;
        self.log.set_len(0)?;
        Ok(())
    }
}
// ANCHOR_END: store

// ANCHOR: record
/// What was put, and how many writes and flushes the disk had seen by then.
type Promises = Vec<(usize, String)>;

/// Uses a store on a disk that remembers all that is done to it.
fn record(kernel: &Kernel, sync: bool) -> Result<(Arc<RecordingDisk>, Promises)> {
    let disk = Arc::new(RecordingDisk::from_image(&empty_ext4()?));
    let mut promises = Promises::new();
    let attached = kernel.add_disk(Disk::new(Arc::clone(&disk)))?;
    let root = attached.whole().mount(MountOptions::new())?;
    let mut store = Store::open(&root)?;
    for number in 1..=10 {
        let name = format!("entry {number}");
        store.put(&name, "kept")?;
        promises.push((disk.moment(), name));
        if number == 5 {
            store.snapshot(sync)?;
        }
    }
    Ok((disk, promises))
}
// ANCHOR_END: record

// ANCHOR: cut
/// Cuts the power after every write and every flush, and says what is lost first.
fn first_loss(sync: bool) -> Result<Option<String>> {
    // The kernel's clock stands still: nothing is written in the background.
    let clock = ManualClock::new(UNIX_EPOCH);
    let kernel = Kernel::builder().host(clock).boot()?;
    let (disk, promises) = record(&kernel, sync)?;
    for moment in 0..=disk.moment() {
        // What no flush covers is lost; or some of it, other parts for each number.
        for loss in [Loss::Everything, Loss::Some(1), Loss::Some(2)] {
            let after = disk.after_power_cut(moment, loss);
            let entries = entries(&kernel, after)?;
            let mut promised = promises.iter().filter(|(when, _)| *when <= moment);
            if let Some((_, name)) = promised.find(|(_, name)| !entries.contains_key(name)) {
                let left: Vec<_> = entries.keys().collect();
                return Ok(Some(format!(
                    "power cut after {moment} writes and flushes, {loss:?} lost: \
                     {name:?} is gone, left are {left:?}"
                )));
            }
        }
    }
    Ok(None)
}

/// What the store has when the machine is on again.
fn entries(kernel: &Kernel, disk: MemoryDisk) -> Result<BTreeMap<String, String>> {
    let attached = kernel.add_disk(Disk::new(disk))?;
    let root = attached.whole().mount(MountOptions::new())?;
    let entries = Store::open(&root)?.entries;
    root.umount()?;
    Ok(entries)
}

fn main() -> Result<()> {
    for sync in [false, true] {
        match first_loss(sync)? {
            Some(loss) => println!("sync: {sync}: {loss}"),
            None => println!("sync: {sync}: nothing is ever lost"),
        }
    }
    Ok(())
}

#[test]
fn the_forgotten_sync_is_found() -> Result<()> {
    let loss = first_loss(false)?.ok_or("nothing is lost")?;
    assert!(
        loss.ends_with(r#""entry 1" is gone, left are ["entry 6"]"#),
        "{loss}"
    );
    assert_eq!(first_loss(true)?, None);
    Ok(())
}
// ANCHOR_END: cut

fn empty_ext4() -> Result<Vec<u8>> {
    let image = tempfile::NamedTempFile::new()?;
    image.as_file().set_len(16 << 20)?;
    let mut mke2fs = Command::new("/sbin/mke2fs");
    let made = mke2fs
        .args(["-q", "-t", "ext4"])
        .arg(image.path())
        .status()?;
    match made.success() {
        true => Ok(std::fs::read(image.path())?),
        false => Err("mke2fs failed".into()),
    }
}
