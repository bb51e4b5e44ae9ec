//! Whether a disk image is one of a disk with sectors of 4096 bytes ("4Kn").
//!
//! Only partition tables tell: they count in sectors. Filesystems have blocks of
//! their own, and the kernel mounts all of them on smaller sectors.

use std::io;

use drupe_ondisk::bytes::{le32, le64};
use drupe_ondisk::{probe, table};

use crate::BlockDevice;
use crate::window::Window;

const LARGE: u64 = 4096;

/// The logical block size that an image was made with, in bytes, if it says so
/// and it is not the disk's own.
pub(crate) fn detect(backend: &dyn BlockDevice) -> io::Result<Option<u32>> {
    let geometry = backend.geometry();
    if geometry.block_size != 512 || geometry.size < 2 * LARGE {
        return Ok(None);
    }
    let mut whole = Window::new(backend, 0, geometry.size);
    let mut head = [0; 2 * LARGE as usize];
    io::Read::read_exact(&mut whole, &mut head)?;
    let large = match (is_gpt(&head[512..]), is_gpt(&head[LARGE as usize..])) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => is_large_mbr(backend, &head)?,
    };
    Ok(large.then_some(LARGE as u32))
}

/// The header of a GPT, which is in the disk's second sector.
fn is_gpt(header: &[u8]) -> bool {
    header.starts_with(b"EFI PART") && le64(header, 24) == 1 && le32(header, 12) >= 92
}

/// An MBR does not tell, but what is in its partitions does: nothing known if
/// they are counted in sectors of 512 bytes, and something in those of 4096.
fn is_large_mbr(backend: &dyn BlockDevice, head: &[u8]) -> io::Result<bool> {
    if head[510..512] != [0x55, 0xaa] {
        return Ok(false);
    }
    let size = backend.geometry().size;
    let mut whole = Window::new(backend, 0, size);
    // A boot sector of a filesystem looks like an MBR.
    if probe::probe(&mut whole)?.is_some() {
        return Ok(false);
    }
    let mut known = |sector: u64| -> io::Result<usize> {
        let mut known = 0;
        for extent in table::extents(&mut whole, sector)? {
            let mut part = Window::new(backend, extent.start, extent.end - extent.start);
            if extent.end <= size && probe::probe(&mut part)?.is_some() {
                known += 1;
            }
        }
        Ok(known)
    };
    Ok(known(512)? == 0 && known(LARGE)? > 0)
}

#[cfg(test)]
mod tests {
    use drupe_host::disk::MemoryDisk;

    use super::*;

    /// A disk with a partition of swap from byte 65536 on, in sectors of `sector`
    /// bytes.
    fn dos(sector: u32) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        image[446 + 4] = 0x82;
        image[446 + 8..][..4].copy_from_slice(&(65536 / sector).to_le_bytes());
        image[446 + 12..][..4].copy_from_slice(&(65536 / sector).to_le_bytes());
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        image[65536 + 4086..][..10].copy_from_slice(b"SWAPSPACE2");
        image
    }

    fn gpt(at: usize) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        image[at..at + 8].copy_from_slice(b"EFI PART");
        image[at + 12] = 92;
        image[at + 24] = 1;
        image
    }

    fn detected(image: &[u8]) -> Option<u32> {
        detect(&MemoryDisk::from_image(image)).expect("memory reads")
    }

    #[test]
    fn tables_tell() {
        assert_eq!(detected(&gpt(4096)), Some(4096));
        assert_eq!(detected(&gpt(512)), None);
        // A backup, or what was there before.
        let both = gpt(512)
            .iter()
            .zip(gpt(4096))
            .map(|(a, b)| a | b)
            .collect::<Vec<_>>();
        assert_eq!(detected(&both), None);
        assert_eq!(detected(&dos(4096)), Some(4096));
        assert_eq!(detected(&dos(512)), None);
        assert_eq!(detected(&[0; 1 << 20]), None);
        assert_eq!(detected(&[0; 512]), None);
    }
}
