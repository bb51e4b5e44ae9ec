//! Tables made by hand, by the letter of the specifications.

use std::io::Cursor;

use uuid::Uuid;

use super::dos::ENTRIES;
use super::*;

const SECTOR: usize = 512;
/// Sectors of the disks here.
const SECTORS: usize = 256;
/// Sectors of 128 entries.
const ARRAY: usize = 32;

/// One MBR or extended boot record: (type, start, sectors) of its entries.
fn record(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    sector[440..444].copy_from_slice(&0x1234_abcd_u32.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    for (n, (kind, start, sectors)) in entries.iter().enumerate() {
        let entry = &mut sector[ENTRIES + 16 * n..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&sectors.to_le_bytes());
    }
    sector
}

fn put(image: &mut [u8], sector: usize, bytes: &[u8]) {
    image[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
}

fn table(image: &[u8]) -> Result<Option<Table>> {
    Table::read(&mut Cursor::new(image), SECTOR as u64)
}

fn lookup(image: &[u8], number: u32) -> Option<PartitionInfo> {
    let table = table(image).expect("a sound table")?;
    Some(table.find(number)?.info.clone())
}

/// Entries for a GPT with one partition, number 2.
fn gpt_entries() -> Vec<u8> {
    let mut entries = vec![0; ARRAY * SECTOR];
    let entry = &mut entries[128..256];
    let kind = Uuid::parse_str("0fc63daf-8483-4772-8e79-3d69d8477de4").expect("a UUID");
    entry[..16].copy_from_slice(&kind.to_bytes_le());
    entry[16..32].copy_from_slice(&[0x11; 16]);
    entry[32..40].copy_from_slice(&40_u64.to_le_bytes());
    entry[40..48].copy_from_slice(&99_u64.to_le_bytes());
    for (n, unit) in "größe".encode_utf16().enumerate() {
        entry[56 + 2 * n..][..2].copy_from_slice(&unit.to_le_bytes());
    }
    entries
}

/// A header in sector `own`, whose entries are at `array`.
fn gpt_header(own: usize, array: usize, entries: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[24..32].copy_from_slice(&(own as u64).to_le_bytes());
    header[40..48].copy_from_slice(&34_u64.to_le_bytes());
    header[48..56].copy_from_slice(&200_u64.to_le_bytes());
    header[72..80].copy_from_slice(&(array as u64).to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&crc32fast::hash(entries).to_le_bytes());
    let checksum = crc32fast::hash(&header);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// A disk with both copies of a GPT.
fn gpt() -> Vec<u8> {
    let mut image = vec![0; SECTORS * SECTOR];
    let entries = gpt_entries();
    put(&mut image, 0, &record(&[(0xee, 1, SECTORS as u32 - 1)]));
    put(&mut image, 1, &gpt_header(1, 2, &entries));
    put(&mut image, 2, &entries);
    let (own, array) = (SECTORS - 1, SECTORS - 1 - ARRAY);
    put(&mut image, array, &entries);
    put(&mut image, own, &gpt_header(own, array, &entries));
    image
}

#[test]
fn primary_and_logical_partitions() {
    let mut image = vec![0; 64 * SECTOR];
    put(&mut image, 0, &record(&[(0x0c, 1, 4), (0x05, 10, 40)]));
    put(&mut image, 10, &record(&[(0x83, 1, 4), (0x05, 10, 5)]));
    put(&mut image, 20, &record(&[(0x82, 1, 4)]));

    let first = lookup(&image, 1).expect("partition 1");
    assert_eq!(first.kind, "0x0c");
    assert_eq!(first.uuid.as_deref(), Some("1234abcd-01"));
    assert_eq!(lookup(&image, 5).and_then(|p| p.kind_name), Some("Linux"));
    assert_eq!(
        lookup(&image, 6).and_then(|p| p.kind_name),
        Some("Linux swap")
    );
    assert_eq!(lookup(&image, 7), None);
}

#[test]
fn a_looping_chain_ends() {
    let mut image = record(&[(0x05, 1, 9)]);
    // Its next record is itself.
    image.extend(record(&[(0x05, 0, 9)]));
    assert_eq!(lookup(&image, 5), None);
}

#[test]
fn gpt_names_and_uuids() {
    let second = lookup(&gpt(), 2).expect("partition 2");
    assert_eq!(second.kind_name, Some("Linux filesystem"));
    assert_eq!(second.name.as_deref(), Some("größe"));
    assert_eq!(
        second.uuid.as_deref(),
        Some("11111111-1111-1111-1111-111111111111")
    );
    assert_eq!(lookup(&gpt(), 1), None);
    assert_eq!(lookup(&gpt(), 4_000_000), None);
}

#[test]
fn a_damaged_gpt_is_read_from_its_backup() {
    let sound = table(&gpt()).expect("sound").expect("a table");
    assert_eq!(sound.damage, None);
    // Where a byte is changed, and what is wrong then.
    for (at, flaw) in [
        (SECTOR, Flaw::NoHeader),
        (SECTOR + 56, Flaw::HeaderChecksum),
        (2 * SECTOR + 130, Flaw::EntriesChecksum),
    ] {
        let mut image = gpt();
        image[at] ^= 0xff;
        let found = table(&image).expect("a sound backup").expect("a table");
        assert_eq!(found.entries, sound.entries);
        assert_eq!(found.damage, Some(Damage::Primary(flaw)));
    }
    // The disk was made larger: the backup is where the MBR says.
    let mut image = gpt();
    put(&mut image, 1, &[0; SECTOR]);
    image.extend([0; 64 * SECTOR]);
    let found = table(&image).expect("a sound backup").expect("a table");
    assert_eq!(found.entries, sound.entries);
}

#[test]
fn a_gpt_without_its_mbr_is_read() {
    let mut image = gpt();
    put(&mut image, 0, &[0; SECTOR]);
    let found = table(&image).expect("readable").expect("a table");
    assert_eq!(found.damage, Some(Damage::ProtectiveMbr));
    // A program that cleared the start of the disk.
    image[..64 * SECTOR].fill(0);
    let found = table(&image).expect("readable").expect("a table");
    assert_eq!(found.damage, Some(Damage::Primary(Flaw::NoHeader)));
    // Something else is on the disk, and the table is a left-over.
    image[4086..4096].copy_from_slice(b"SWAPSPACE2");
    assert_eq!(table(&image).expect("readable"), None);
}

#[test]
fn a_gpt_of_a_disk_that_was_cut_short_is_read() {
    let sound = table(&gpt()).expect("sound").expect("a table");
    let mut image = gpt();
    // All that partitions may use is there.
    image.truncate(201 * SECTOR);
    let found = table(&image).expect("sound").expect("a table");
    assert_eq!(found, sound);
    image.truncate(150 * SECTOR);
    let found = table(&image).expect("sound").expect("a table");
    assert_eq!(found.entries, sound.entries);
    let damage = Damage::CutShort {
        ends_at: 150 * 512,
        needs: 201 * 512,
    };
    assert_eq!(found.damage, Some(damage));
}

#[test]
fn two_damaged_copies_are_an_error() {
    let mut image = gpt();
    put(&mut image, 1, &[0; SECTOR]);
    image[SECTORS * SECTOR - SECTOR + 60] ^= 1;
    assert_eq!(
        table(&image).expect_err("both damaged").to_string(),
        "damaged GPT: at the start of the disk: there is no header; \
         its backup at the end: the checksum of its header is wrong"
    );
}

/// What makes no sense, with right checksums.
#[test]
fn headers_that_make_no_sense() {
    let flawed = |at: usize, value: u32| {
        let mut image = gpt();
        let header = &mut image[SECTOR..][..92];
        header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        header[16..20].fill(0);
        let checksum = crc32fast::hash(header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        let found = table(&image).expect("a sound backup").expect("a table");
        found.damage
    };
    for (at, value, flaw) in [
        (12, 91, Flaw::HeaderSize(91)),
        (12, 513, Flaw::HeaderSize(513)),
        (24, 7, Flaw::Elsewhere(7)),
        (48, 1, Flaw::UsableBlocks),
        (72, u32::MAX, Flaw::NoEntries),
        (80, u32::MAX, Flaw::EntryCount(u32::MAX)),
        (80, 0, Flaw::EntryCount(0)),
        (84, 256, Flaw::EntrySize(256)),
    ] {
        assert_eq!(flawed(at, value), Some(Damage::Primary(flaw)));
    }
}

#[test]
fn partitions_that_are_and_are_not_there() {
    let mut image = vec![0; 64 * SECTOR];
    put(
        &mut image,
        0,
        &record(&[(0x0c, 1, 4), (0x05, 10, 40), (0, 5, 5), (0x83, 60, 9000)]),
    );
    put(&mut image, 10, &record(&[(0x83, 1, 4), (0x05, 10, 5)]));
    put(&mut image, 20, &record(&[(0x82, 2, 4)]));
    let table = table(&image).expect("sound").expect("a table");
    let found: Vec<_> = table
        .entries
        .iter()
        .map(|entry| {
            let sector = SECTOR as u64;
            let (start, end) = (entry.start / sector, entry.end / sector);
            (entry.number, start, end, entry.is_container)
        })
        .collect();
    assert_eq!(
        found,
        [
            (1, 1, 5, false),
            (2, 10, 50, true),
            (3, 5, 10, false),
            (4, 60, 9060, false),
            (5, 11, 15, false),
            (6, 22, 26, false)
        ]
    );
    let beyond = |size: u64| table.beyond(size * 512).map(|entry| entry.number);
    assert_eq!(beyond(9060), None);
    assert_eq!(beyond(64), Some(4));
}
