//! Partitions of disks: found by number or label, described, unlocked.

use std::ffi::{c_char, c_void};

use drupe::{AttachedDisk, Partition};

use crate::border::{Out, bytes};
use crate::devices::READ_ONLY;
use crate::disk::text;
use crate::failure::{self, Failure, Result};

/// `struct drupe_partition_info`.
#[repr(C)]
struct PartitionInfo {
    start: u64,
    bytes: u64,
    number: u32,
    flags: u32,
    device: [c_char; 32],
    r#type: [c_char; 32],
    label: [c_char; 264],
    uuid: [c_char; 64],
    name: [c_char; 128],
    part_uuid: [c_char; 64],
    spare: [u64; 8],
}

const _: () = assert!(size_of::<PartitionInfo>() == 672);

impl PartitionInfo {
    fn of(partition: &Partition) -> Result<PartitionInfo> {
        let found = partition.probe()?;
        let entry = partition.info()?;
        let found = found.as_ref();
        let entry = entry.as_ref();
        let or_none = |text: Option<&String>| text.map_or("", |text| &text[..]).to_owned();
        Ok(PartitionInfo {
            start: partition.start(),
            bytes: partition.size(),
            number: partition.number().unwrap_or(0),
            flags: if partition.is_read_only() {
                READ_ONLY
            } else {
                0
            },
            device: text(partition.name()),
            r#type: text(found.map_or("", |found| found.kind)),
            label: text(&or_none(found.and_then(|found| found.label.as_ref()))),
            uuid: text(&or_none(found.and_then(|found| found.uuid.as_ref()))),
            name: text(&or_none(entry.and_then(|entry| entry.name.as_ref()))),
            part_uuid: text(&or_none(entry.and_then(|entry| entry.uuid.as_ref()))),
            spare: [0; 8],
        })
    }
}

/// Whether a partition is called so: by its table, or by the filesystem on it.
fn is_called(partition: &Partition, label: &str) -> Result<bool> {
    let entry = partition.info()?;
    if entry.is_some_and(|entry| entry.name.as_deref() == Some(label)) {
        return Ok(true);
    }
    let found = partition.probe()?;
    Ok(found.is_some_and(|found| found.label.as_deref() == Some(label)))
}

handles! {
    Partition => drupe_partition_free;
}

export! {
    fn drupe_disk_partitions(
        disk: &AttachedDisk,
        numbers: *mut c_void,
        capacity: usize,
        count: Out<usize>,
    ) -> status {
        let partitions = disk.partitions()?;
        let all: Vec<u32> = partitions.iter().filter_map(Partition::number).collect();
        let numbers: *mut u32 = numbers.cast();
        if numbers.is_null() && capacity != 0 {
            return Err(Failure::null("numbers"));
        }
        for (index, &number) in all.iter().take(capacity).enumerate() {
            // SAFETY: there is room for `capacity` of them, as the header says.
            unsafe { numbers.add(index).write(number) };
        }
        count.put(all.len());
        Ok(())
    }

    fn drupe_disk_whole(disk: &AttachedDisk) -> handle<Partition> {
        Ok(disk.whole())
    }

    fn drupe_disk_partition(disk: &AttachedDisk, number: u32) -> handle<Partition> {
        Ok(disk.partition(number)?)
    }

    fn drupe_disk_partition_labelled(disk: &AttachedDisk, label: &str) -> handle<Partition> {
        for partition in disk.partitions()? {
            if is_called(&partition, label)? {
                return Ok(partition);
            }
        }
        let whole = disk.whole();
        if is_called(&whole, label)? {
            return Ok(whole);
        }
        let message = format!("partition: nothing on {} is called {label:?}", disk.name());
        Err(Failure::new(failure::NO_PARTITION, message))
    }

    fn drupe_partition_info(partition: &Partition, info: Out<PartitionInfo>) -> status {
        info.put(PartitionInfo::of(partition)?);
        Ok(())
    }

    fn drupe_partition_unlock(
        partition: &Partition,
        passphrase: *const c_void,
        len: usize,
    ) -> handle<Partition> {
        // SAFETY: so many bytes, as the header says.
        let passphrase = unsafe { bytes(passphrase, len, "passphrase") }?;
        Ok(partition.unlock(passphrase)?)
    }
}
