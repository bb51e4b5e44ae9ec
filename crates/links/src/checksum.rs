//! Completes Internet checksums (RFC 1071) that a kernel has left to its link.
//!
//! A kernel that leaves a checksum to its link has put the sum of the pseudo
//! header where the checksum goes; what is left is to add up all from
//! [`FrameHeader::csum_start`] on.

use std::io::IoSlice;

use drupe_host::link::{Frame, FrameHeader};

/// Completes the checksum of a frame with [`FrameHeader::NEEDS_CSUM`], and clears that
/// flag. A frame that is to be cut ([`FrameHeader::gso_type`]) gets the checksum of the
/// whole frame.
///
/// `false`: the header's offsets are outside of the frame; nothing is changed.
pub fn complete_checksum(header: &mut FrameHeader, frame: &mut [u8]) -> bool {
    let pieces = &[IoSlice::new(frame)];
    let Ok(checksum) = checksum(&Frame {
        header: *header,
        pieces,
    }) else {
        return false;
    };
    if let Some(Checksum { at, value }) = checksum {
        frame[at..at + 2].copy_from_slice(&value);
        header.flags &= !FrameHeader::NEEDS_CSUM;
    }
    true
}

/// The checksum to put into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum {
    /// The offset of its two bytes from the frame's start.
    pub(crate) at: usize,
    pub(crate) value: [u8; 2],
}

/// Error: the checksum is not within the frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outside;

/// The checksum of a frame that needs one; `None` if it does not.
pub(crate) fn checksum(frame: &Frame<'_>) -> Result<Option<Checksum>, Outside> {
    let header = &frame.header;
    if header.flags & FrameHeader::NEEDS_CSUM == 0 {
        return Ok(None);
    }
    let start = usize::from(header.csum_start);
    let at = start + usize::from(header.csum_offset);
    if at + 2 > frame.len() {
        return Err(Outside);
    }
    // A checksum of 0 means that there is none, and is the same sum as !0
    // (`skb_checksum_help`, `net/core/dev.c`).
    let value = match !sum(frame.pieces, start) {
        0 => !0,
        value => value,
    };
    let value = value.to_ne_bytes();
    Ok(Some(Checksum { at, value }))
}

/// The ones' complement sum of the 16-bit words from byte `start` on, in the machine's
/// byte order, on which the sum does not depend.
fn sum(pieces: &[IoSlice<'_>], mut start: usize) -> u16 {
    let mut total = 0;
    // The bytes so far are odd: those of the next piece are in the other halves
    // of their words.
    let mut odd = false;
    for piece in pieces {
        let skipped = start.min(piece.len());
        start -= skipped;
        let bytes = &piece[skipped..];
        let part = fold(sum_bytes(bytes));
        let part = if odd { part.swap_bytes() } else { part };
        total += u64::from(part);
        odd ^= bytes.len() % 2 != 0;
    }
    fold(total)
}

/// Adds with end-around carry.
fn add(sum: u64, word: u64) -> u64 {
    let (sum, carry) = sum.overflowing_add(word);
    sum + u64::from(carry)
}

/// The sum of bytes as words of 64 bits, which 16-bit words are a part of: the
/// carry out of one goes into the next, and around.
fn sum_bytes(bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let (chunks, rest) = bytes.as_chunks::<8>();
    let (fours, chunks) = chunks.as_chunks::<4>();
    // Four sums that do not wait for each other.
    let mut sums = [0; 4];
    for four in fours {
        for (sum, chunk) in sums.iter_mut().zip(four) {
            *sum = add(*sum, word(chunk));
        }
    }
    let mut sum = sums.into_iter().fold(0, add);
    for chunk in chunks {
        sum = add(sum, word(chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(sum, word(&last))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the book: big-endian words, a zero behind an odd byte.
    fn naive(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|word| match word {
            [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            [high] => u64::from(*high) << 8,
            _ => unreachable!("chunks of two"),
        });
        fold(words.sum())
    }

    #[test]
    fn any_pieces_have_the_same_sum() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5000 {
            let len = random.usize(..3000);
            // Often all ones: the most carries.
            let bytes: Vec<u8> = match random.bool() {
                true => (0..len).map(|_| random.u8(..)).collect(),
                false => vec![0xff; len],
            };
            let start = random.usize(..=len);
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(random.usize(..=rest.len()));
                pieces.push(IoSlice::new(piece));
                rest = behind;
            }
            let sum = sum(&pieces, start).to_ne_bytes();
            assert_eq!(u16::from_be_bytes(sum), naive(&bytes[start..]));
        }
    }

    fn header(csum_start: u16, csum_offset: u16) -> FrameHeader {
        FrameHeader {
            flags: FrameHeader::NEEDS_CSUM,
            csum_start,
            csum_offset,
            ..FrameHeader::default()
        }
    }

    #[test]
    fn what_is_complete_sums_up_to_nothing() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..2000 {
            let len = random.usize(54..1600);
            let mut frame: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
            let pseudo = u16::from_be_bytes([frame[50], frame[51]]);
            let mut header = header(34, 16);
            assert!(complete_checksum(&mut header, &mut frame));
            assert_eq!(header.flags, 0);
            // As a receiver does: the pseudo header, then all of it.
            let total = u64::from(naive(&frame[34..])) + u64::from(pseudo);
            assert_eq!(fold(total), 0xffff);
            let same = frame.clone();
            assert!(complete_checksum(&mut header, &mut frame));
            assert_eq!(frame, same);
        }
    }

    #[test]
    fn a_sum_of_nothing_is_written_as_all_ones() {
        let mut frame = [0xff; 40];
        assert!(complete_checksum(&mut header(34, 4), &mut frame));
        assert_eq!(frame[38..], [0xff, 0xff]);
    }

    #[test]
    fn a_checksum_outside_of_the_frame_is_refused() {
        let mut frame = [0; 60];
        for (start, offset) in [(34, 25), (59, 0), (60, 0), (u16::MAX, u16::MAX)] {
            let mut header = header(start, offset);
            assert!(!complete_checksum(&mut header, &mut frame));
            assert_eq!(header.flags, FrameHeader::NEEDS_CSUM);
        }
        assert!(complete_checksum(&mut header(34, 24), &mut frame));
        assert!(complete_checksum(&mut header(58, 0), &mut frame));
    }
}
