//! Converts [`FrameHeader`]s to and from bytes, in the machine's byte order.

use drupe_host::link::FrameHeader;

pub(crate) fn to_bytes(header: FrameHeader) -> [u8; FrameHeader::LEN] {
    let mut bytes = [0; FrameHeader::LEN];
    bytes[0] = header.flags;
    bytes[1] = header.gso_type;
    let numbers = [
        header.hdr_len,
        header.gso_size,
        header.csum_start,
        header.csum_offset,
    ];
    for (to, number) in bytes[2..].chunks_exact_mut(2).zip(numbers) {
        to.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

pub(crate) fn from_bytes(bytes: [u8; FrameHeader::LEN]) -> FrameHeader {
    let number = |at| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    FrameHeader {
        flags: bytes[0],
        gso_type: bytes[1],
        hdr_len: number(2),
        gso_size: number(4),
        csum_start: number(6),
        csum_offset: number(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let header = FrameHeader {
            flags: 1,
            gso_type: 2,
            hdr_len: 3,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 0x1234,
        };
        assert_eq!(from_bytes(to_bytes(header)), header);
        assert_eq!(to_bytes(header)[..4], [1, 2, 3, 0]);
    }
}
