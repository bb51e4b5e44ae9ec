//! [`Packet`]: a copy of a frame; [`Pool`]: reuses the buffers of packets.

use std::io::{IoSlice, IoSliceMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use drupe_host::link::{Frame, FrameHeader};

/// Bytes of the longest frame: what the buffers of
/// [`Link::receive`](drupe_host::link::Link::receive) have room for.
pub(crate) const MAX_FRAME: usize = 65_550;

/// Bytes that small buffers have room for.
const SMALL: usize = 2048;

/// The least cost of a frame in bytes, since its buffer may be larger than the frame.
const MIN_COST: usize = 512;

/// How many free buffers are kept: 2 MiB of small ones, 16 MiB of large ones.
const KEPT_SMALL: usize = 1024;
const KEPT_LARGE: usize = 256;

/// How many buffers a [`Cache`] takes or returns at a time.
const BATCH: usize = 16;

/// A frame that a link keeps.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) header: FrameHeader,
    pub(crate) data: Vec<u8>,
}

impl Packet {
    /// Its cost in a queue, in bytes.
    pub(crate) fn cost(&self) -> usize {
        cost(self.data.len())
    }

    /// Copies it into `buffers`, as much as they have room for.
    pub(crate) fn copy_to(&self, buffers: &mut [IoSliceMut<'_>]) -> (usize, FrameHeader) {
        (scatter(&self.data, buffers), self.header)
    }
}

/// The cost in a queue of a frame of `len` bytes.
pub(crate) fn cost(len: usize) -> usize {
    len.max(MIN_COST)
}

/// Copies `data` into `buffers`. Returns how many bytes fitted.
pub(crate) fn scatter(mut data: &[u8], buffers: &mut [IoSliceMut<'_>]) -> usize {
    let all = data.len();
    for buffer in buffers {
        if data.is_empty() {
            break;
        }
        let (head, tail) = data.split_at(data.len().min(buffer.len()));
        buffer[..head.len()].copy_from_slice(head);
        data = tail;
    }
    all - data.len()
}

/// The first `N` bytes of a frame; `None`: it is shorter.
pub(crate) fn head<const N: usize>(pieces: &[IoSlice<'_>]) -> Option<[u8; N]> {
    if let Some(head) = pieces.first().and_then(|piece| piece.first_chunk()) {
        return Some(*head);
    }
    let mut head = [0; N];
    let mut bytes = pieces.iter().flat_map(|piece| piece.iter());
    for byte in &mut head {
        *byte = *bytes.next()?;
    }
    Some(head)
}

/// Free buffers, shared by all ports of a switch or both ends of a pair. A frequent user
/// has a [`Cache`].
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Spares>);

#[derive(Debug, Default)]
struct Spares {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
}

impl Spares {
    fn list(&mut self, large: bool) -> &mut Vec<Vec<u8>> {
        match large {
            true => &mut self.large,
            false => &mut self.small,
        }
    }
}

impl Pool {
    fn spares(&self) -> MutexGuard<'_, Spares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some buffers of a [`Pool`], for one user at a time.
#[derive(Debug, Default)]
pub(crate) struct Cache(Spares);

impl Cache {
    /// An empty buffer with room for `len` bytes.
    fn take(&mut self, pool: &Pool, len: usize) -> Vec<u8> {
        let large = len > SMALL;
        let own = self.0.list(large);
        if own.is_empty() {
            let mut spares = pool.spares();
            let spares = spares.list(large);
            own.extend(spares.drain(spares.len().saturating_sub(BATCH)..));
        }
        own.pop().unwrap_or_else(|| match large {
            true => Vec::with_capacity(len.max(MAX_FRAME)),
            false => Vec::with_capacity(SMALL),
        })
    }

    /// A copy of `frame`.
    pub(crate) fn copy(&mut self, pool: &Pool, frame: &Frame<'_>, len: usize) -> Packet {
        let mut data = self.take(pool, len);
        for piece in frame.pieces {
            data.extend_from_slice(piece);
        }
        let header = frame.header;
        Packet { header, data }
    }

    /// A copy of `packet`.
    pub(crate) fn clone(&mut self, pool: &Pool, packet: &Packet) -> Packet {
        let mut data = self.take(pool, packet.data.len());
        data.extend_from_slice(&packet.data);
        let header = packet.header;
        Packet { header, data }
    }

    /// Returns a packet's buffer.
    pub(crate) fn put(&mut self, pool: &Pool, packet: Packet) {
        let mut data = packet.data;
        data.clear();
        let large = data.capacity() > SMALL;
        let own = self.0.list(large);
        own.push(data);
        if own.len() >= 2 * BATCH {
            let mut spares = pool.spares();
            let spares = spares.list(large);
            spares.extend(own.drain(..BATCH));
            spares.truncate(if large { KEPT_LARGE } else { KEPT_SMALL });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_gathered_and_scattered() {
        let pieces = [&[1, 2][..], &[], &[3, 4, 5]].map(IoSlice::new);
        assert_eq!(head(&pieces), Some([1, 2, 3, 4]));
        assert_eq!(head::<6>(&pieces), None);
        let frame = Frame {
            header: FrameHeader::default(),
            pieces: &pieces,
        };
        let packet = Cache::default().copy(&Pool::default(), &frame, frame.len());
        let (mut a, mut b) = ([0; 3], [0; 9]);
        let buffers = &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        assert_eq!(packet.copy_to(buffers).0, 5);
        assert_eq!((a, &b[..2]), ([1, 2, 3], &[4, 5][..]));
    }

    #[test]
    fn buffers_are_used_again() {
        let pool = Pool::default();
        let (mut sender, mut receiver) = (Cache::default(), Cache::default());
        let piece = [IoSlice::new(&[7; 60])];
        let frame = Frame {
            header: FrameHeader::default(),
            pieces: &piece,
        };
        let mut addresses = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let packet = sender.copy(&pool, &frame, 60);
            addresses.insert(packet.data.as_ptr());
            receiver.put(&pool, packet);
        }
        assert!(addresses.len() <= 3 * BATCH, "{}", addresses.len());
    }
}
