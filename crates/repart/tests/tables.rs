//! Tables that nobody should have made: an error before anything is written.

use std::fs::File;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

use drupe_repart::{Definition, Disk, Error, PartitionType, plan};
use gptman::{GPT, GPTPartitionEntry};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;
const SEED: Uuid = Uuid::from_u128(1);

/// A disk with entries at these sectors, and what else `change` does to its table.
fn disk(entries: &[(u32, u64, u64)], change: impl FnOnce(&mut GPT)) -> Cursor<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; SIZE as usize]);
    let mut gpt = GPT::new_from(&mut disk, 512, [9; 16]).unwrap();
    for &(number, first, last) in entries {
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: [1; 16],
            unique_partition_guid: [number as u8; 16],
            starting_lba: first,
            ending_lba: last,
            attribute_bits: 0,
            partition_name: "x".into(),
        };
    }
    change(&mut gpt);
    // Not `write_into` of the table: it would refuse what is to be tried.
    let entries: Vec<_> = gpt.iter().map(|(_, entry)| entry.clone()).collect();
    let mut backup = gpt.header.clone();
    (backup.primary_lba, backup.backup_lba) = (backup.backup_lba, 1);
    backup.partition_entry_lba = gpt.header.last_usable_lba.min(SIZE / 512 - 34) + 1;
    gpt.header.write_into(&mut disk, 512, &entries).unwrap();
    backup.write_into(&mut disk, 512, &entries).unwrap();
    disk
}

fn definition(kind: &str) -> Definition {
    Definition::new("new.conf", PartitionType::parse(kind).unwrap())
}

fn refused(entries: &[(u32, u64, u64)], change: impl FnOnce(&mut GPT)) -> String {
    let mut disk = disk(entries, change);
    Disk::read(&mut disk)
        .expect_err("it is refused")
        .to_string()
}

#[test]
fn what_cannot_be() {
    let none = |_: &mut GPT| {};
    for (entries, told) in [
        (
            &[(1, 2048, 90_000), (2, 4096, 5000)][..],
            "partitions 1 and 2 overlap",
        ),
        (
            &[(1, 2048, 4095), (2, 4095, 5000)],
            "partitions 1 and 2 overlap",
        ),
        (&[(3, 5000, 4000)], "partition 3 is not within"),
        (&[(3, 0, u64::MAX)], "partition 3 is not within"),
        (&[(3, u64::MAX - 1, u64::MAX)], "partition 3 is not within"),
        (&[(3, 40, 200_000)], "partition 3 is not within"),
        (&[(3, 10, 100)], "partition 3 is not within"),
    ] {
        let found = refused(entries, none);
        assert!(found.contains(told), "{entries:?}: {found}");
    }
    let told = refused(&[], |gpt| gpt.header.last_usable_lba = u64::MAX / 2);
    assert!(told.contains("where no tool puts one"), "{told}");
}

/// New partitions never begin within the table, whatever it says.
#[test]
fn the_first_sector_that_is_free() {
    for first in [0, 1, 8] {
        let mut file = disk(&[], |gpt| gpt.header.first_usable_lba = first);
        let disk = Disk::read(&mut file).unwrap().unwrap();
        assert_eq!(disk.usable.start, 34 * 512, "{first}");
    }
}

/// The last number is taken: a lower one that is free is used, or an error says that none is.
#[test]
fn numbers() {
    let mut file = disk(&[(128, 2048, 4095), (1, 4096, 8191)], |_| {});
    let table = Disk::read(&mut file).unwrap().unwrap();
    let new = [definition("root"), definition("home")];
    let planned = plan(&new, &[], &table, SEED).unwrap();
    let numbers: Vec<_> = planned.iter().map(|one| one.partition.number).collect();
    assert_eq!(numbers, [1, 2, 3, 128]);
    let all: Vec<_> = (1..=128u32)
        .map(|number| {
            (
                number,
                2048 + u64::from(number) * 8,
                2048 + u64::from(number) * 8 + 7,
            )
        })
        .collect();
    let mut file = disk(&all, |_| {});
    let table = Disk::read(&mut file).unwrap().unwrap();
    let told = plan(&new, &[], &table, SEED).unwrap_err().to_string();
    assert!(told.contains("no room for more partitions"), "{told}");
}

/// What an existing partition is asked to be, and cannot.
#[test]
fn existing_partitions_without_room() {
    let root = PartitionType::parse("root").unwrap();
    let entry = |gpt: &mut GPT| gpt[1].partition_type_guid = root.uuid.to_bytes_le();
    let mut file = disk(&[(1, 2048, 4095)], entry);
    let table = Disk::read(&mut file).unwrap().unwrap();
    for (size, padding) in [
        (Some(15 << 60), None),
        (Some(1 << 30), None),
        (None, Some(1 << 30)),
    ] {
        let mut definition = definition("root");
        definition.size.min = size;
        definition.padding.min = padding;
        let failed = plan(&[definition], &[], &table, SEED).unwrap_err();
        assert!(
            matches!(failed, Error::NoRoom { .. }),
            "{size:?} {padding:?}: {failed}"
        );
    }
}

#[test]
fn the_same_uuid_twice() {
    let table = Disk::new(&mut Cursor::new(vec![0; SIZE as usize]), SEED).unwrap();
    let mut one = definition("root");
    one.uuid = Some(SEED);
    let told = plan(&[one.clone(), one], &[], &table, SEED).unwrap_err();
    assert!(
        told.to_string().contains("another partition has the UUID"),
        "{told}"
    );
}

/// A file that fails at one write, as when the power goes.
struct Failing {
    file: File,
    left: usize,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.left {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => {
                self.left -= 1;
                // Half of it gets there.
                self.file.write(&bytes[..bytes.len().div_ceil(2)])
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl io::Read for Failing {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

/// Wherever writing ends, the old table or the new one can be read.
#[test]
fn one_copy_is_whole_at_any_moment() {
    let definitions = [definition("root"), definition("home")];
    let mut seen = [0; 2];
    for left in 0.. {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(disk(&[(1, 2048, 4095)], |_| {}).get_ref())
            .unwrap();
        let table = Disk::read(&mut file).unwrap().unwrap();
        let planned = plan(&definitions, &[], &table, SEED).unwrap();
        let partitions: Vec<_> = planned.into_iter().map(|one| one.partition).collect();
        let mut failing = Failing { file, left };
        let done = table.write(&mut failing, &partitions, || Ok(()));
        let mut file = failing.file;
        let found = Disk::read(&mut file)
            .unwrap()
            .expect("a table")
            .partitions
            .len();
        match found {
            1 => seen[0] += 1,
            3 => seen[1] += 1,
            _ => panic!("{found} partitions after {left} writes"),
        }
        if done.is_ok() {
            break;
        }
    }
    assert!(seen[0] > 1 && seen[1] > 1, "{seen:?}");
}
