//! Tables made by hand, by the letter of the specifications.

use std::io::Cursor;

use super::*;

/// One MBR or extended boot record: (type, start, sectors) of its entries.
fn record(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut sector = vec![0; 512];
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

fn lookup(image: &[u8], number: u32) -> Option<PartitionInfo> {
    find(&mut Cursor::new(image), 512, number).expect("a cursor reads")
}

#[test]
fn primary_and_logical_partitions() {
    let mut image = vec![0; 64 * 512];
    let mut put = |at: usize, sector: Vec<u8>| image[at * 512..][..512].copy_from_slice(&sector);
    put(0, record(&[(0x0c, 1, 4), (0x05, 10, 40)]));
    put(10, record(&[(0x83, 1, 4), (0x05, 10, 5)]));
    put(20, record(&[(0x82, 1, 4)]));

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
    let mut image = vec![0; 40 * 512];
    image[..512].copy_from_slice(&record(&[(0xee, 1, 39)]));
    image[512..520].copy_from_slice(b"EFI PART");
    image[512 + 72..][..8].copy_from_slice(&2_u64.to_le_bytes());
    image[512 + 80..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    image[512 + 84..][..4].copy_from_slice(&128_u32.to_le_bytes());
    let entry = &mut image[1024 + 128..][..128];
    let kind = Uuid::parse_str("0fc63daf-8483-4772-8e79-3d69d8477de4").expect("a UUID");
    entry[..16].copy_from_slice(&kind.to_bytes_le());
    entry[16..32].copy_from_slice(&[0x11; 16]);
    for (n, unit) in "größe".encode_utf16().enumerate() {
        entry[56 + 2 * n..][..2].copy_from_slice(&unit.to_le_bytes());
    }

    let second = lookup(&image, 2).expect("partition 2");
    assert_eq!(second.kind_name, Some("Linux filesystem"));
    assert_eq!(second.name.as_deref(), Some("größe"));
    assert_eq!(
        second.uuid.as_deref(),
        Some("11111111-1111-1111-1111-111111111111")
    );
    // Beyond the disk: no entry, no panic.
    assert_eq!(lookup(&image, 4_000_000), None);
}

#[test]
fn extents_of_what_is_and_is_not_there() {
    let mut image = vec![0; 64 * 512];
    let mut put = |at: usize, sector: Vec<u8>| image[at * 512..][..512].copy_from_slice(&sector);
    put(
        0,
        record(&[(0x0c, 1, 4), (0x05, 10, 40), (0, 5, 5), (0x83, 60, 9000)]),
    );
    put(10, record(&[(0x83, 1, 4), (0x05, 10, 5)]));
    put(20, record(&[(0x82, 2, 4)]));
    let found = extents(&mut Cursor::new(&image), 512).expect("a cursor reads");
    let found: Vec<_> = found
        .iter()
        .map(|extent| (extent.number, extent.start / 512, extent.end / 512))
        .collect();
    assert_eq!(found, [(1, 1, 5), (4, 60, 9060), (5, 11, 15), (6, 22, 26)]);
}
