//! GPT and MBR, sizes of sectors, and what of a disk is cut short. Checksums are
//! made right, or nothing behind them would be reached.
#![no_main]

use drupe_ondisk::table::Table;
use drupe_ondisk::{CutShort, sector};
use libfuzzer_sys::fuzz_target;

/// Makes the checksums of the header in block `at` right.
fn mend(disk: &mut [u8], block: usize, at: usize) {
    let field = |header: &[u8], at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let Some(header) = disk.get(at * block..).and_then(|rest| rest.get(..block)) else {
        return;
    };
    let (len, entries) = (
        field(header, 12) as usize,
        field(header, 72) as usize * block,
    );
    let count = field(header, 80).min(32768) as usize * 128;
    let entries = disk.get(entries..).and_then(|rest| rest.get(..count));
    let sum = entries.map_or(0, crc32fast::hash);
    let header = &mut disk[at * block..][..block];
    header[88..92].copy_from_slice(&sum.to_le_bytes());
    header[16..20].fill(0);
    let sum = header.get(..len).map_or(0, crc32fast::hash);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
}

fuzz_target!(|input: &[u8]| {
    let mut disk = drupe_fuzz::disk(input);
    let size = disk.get_ref().len();
    for block in [512, 4096] {
        mend(disk.get_mut(), block, 1);
        if size / block > 2 {
            mend(disk.get_mut(), block, size / block - 1);
        }
        if let Ok(Some(table)) = Table::read(&mut disk, block as u64) {
            for entry in &table.entries {
                assert!(entry.start < entry.end);
                assert!(table.find(entry.number).is_some());
            }
            let _ = table.damage.map(|damage| damage.to_string());
        }
        let cut = CutShort::of_disk(&mut disk, block as u64);
        let _ = cut.map(|cut| cut.map(|cut| cut.to_string()));
    }
    let _ = sector::detect(&mut disk);
});
