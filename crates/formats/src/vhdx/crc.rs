//! CRC-32C, over tables of at most 64 KiB.

/// The CRC-32C of `bytes`; the four bytes at `hole`, where the checksum is stored, count
/// as zeroes.
pub(super) fn crc32c(bytes: &[u8], hole: usize) -> u32 {
    let bytes = bytes.iter().enumerate();
    let crc = bytes.fold(u32::MAX, |crc, (at, &byte)| {
        let byte = if (hole..hole + 4).contains(&at) {
            0
        } else {
            byte
        };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_others_compute() {
        // The check value of the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789", 100), 0xe306_9283);
        assert_eq!(
            crc32c(b"12\xff\xff\xff\xff789", 2),
            crc32c(b"12\0\0\0\x00789", 100)
        );
    }
}
