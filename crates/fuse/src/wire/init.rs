//! INIT: the negotiation of version and features.

use drupe::Errno;

use super::{Answer, Arguments};

/// The protocol's major version.
const MAJOR: u32 = 7;
const MINOR: u32 = 41;

/// The lowest supported minor version, of Linux 3.15. Older structures are shorter.
const LEAST_MINOR: u32 = 23;

/// Features (`FUSE_*` of INIT).
pub(crate) mod flag {
    pub(crate) const ASYNC_READ: u64 = 1 << 0;
    pub(crate) const EXPORT_SUPPORT: u64 = 1 << 4;
    pub(crate) const BIG_WRITES: u64 = 1 << 5;
    pub(crate) const DONT_MASK: u64 = 1 << 6;
    pub(crate) const DO_READDIRPLUS: u64 = 1 << 13;
    pub(crate) const READDIRPLUS_AUTO: u64 = 1 << 14;
    pub(crate) const WRITEBACK_CACHE: u64 = 1 << 16;
    pub(crate) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(crate) const POSIX_ACL: u64 = 1 << 20;
    pub(crate) const MAX_PAGES: u64 = 1 << 22;
    pub(crate) const CACHE_SYMLINKS: u64 = 1 << 23;
    pub(crate) const EXPLICIT_INVAL_DATA: u64 = 1 << 25;
    pub(crate) const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    pub(crate) const INIT_EXT: u64 = 1 << 30;
}

/// The version and features that the host offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    major: u32,
    minor: u32,
    max_readahead: u32,
    flags: u64,
}

/// The features and limits that the server requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    pub(crate) flags: u64,
    /// Limit of one read or write in bytes.
    pub(crate) largest: u32,
    /// Limit of background requests at a time.
    pub(crate) background: u16,
}

impl Offer {
    /// EPROTO if the host is too old.
    pub(crate) fn parse(mut arguments: Arguments<'_>) -> Result<Offer, Errno> {
        let (major, minor) = (arguments.u32()?, arguments.u32()?);
        if (major, minor) < (MAJOR, LEAST_MINOR) {
            return Err(Errno::PROTO);
        }
        let (max_readahead, low) = (arguments.u32()?, arguments.u32()?);
        let high = match u64::from(low) & flag::INIT_EXT {
            0 => 0,
            _ => arguments.u32()?,
        };
        Ok(Offer {
            major,
            minor,
            max_readahead,
            flags: u64::from(high) << 32 | u64::from(low),
        })
    }

    /// Whether the host has a later major version; it will then send INIT again with this
    /// one.
    pub(crate) fn is_of_later_major(self) -> bool {
        self.major > MAJOR
    }

    /// Answers with the negotiated features (`struct fuse_init_out`).
    pub(crate) fn agree(self, abilities: Abilities, answer: &mut Answer) {
        let Abilities {
            flags,
            largest,
            background,
        } = abilities;
        let flags = self.flags & flags;
        answer.u32(MAJOR);
        answer.u32(MINOR.min(self.minor));
        if self.is_of_later_major() {
            return;
        }
        answer.u32(self.max_readahead.min(largest));
        answer.u32(flags as u32);
        answer.bytes(&background.to_ne_bytes());
        // From how many on the host holds back: three quarters, as it does itself.
        answer.bytes(&(background / 4 * 3).to_ne_bytes());
        answer.u32(largest);
        // Times to the nanosecond.
        answer.u32(1);
        answer.bytes(&((largest / 4096) as u16).to_ne_bytes());
        answer.bytes(&[0; 2]);
        answer.u32((flags >> 32) as u32);
        answer.bytes(&[0; 4 + 6 * 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    fn offer(words: &[u32]) -> Result<Offer, Errno> {
        let mut message = vec![0; 40];
        message.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        let (_, arguments) = Request::parse(&message).expect("a message");
        Offer::parse(arguments)
    }

    #[test]
    fn no_more_than_both_can() {
        let offered = offer(&[7, 45, 1 << 17, 1 << 30 | 0b11, 1]).expect("new enough");
        let mut answer = Answer::default();
        answer.clear();
        let abilities = Abilities {
            flags: 1 << 32 | 0b10 | flag::POSIX_ACL,
            largest: 1 << 20,
            background: 16,
        };
        offered.agree(abilities, &mut answer);
        let message = answer.finish(1, Ok(()));
        let word = |index: usize| {
            let bytes = message[16 + 4 * index..].first_chunk().expect("there");
            u32::from_ne_bytes(*bytes)
        };
        assert_eq!(message.len(), 16 + 64);
        assert_eq!([0, 1, 2, 3].map(word), [7, 41, 1 << 17, 0b10]);
        assert_eq!((word(4), word(5), word(7)), (12 << 16 | 16, 1 << 20, 256));
        assert_eq!(word(8), 1);
    }

    #[test]
    fn versions() {
        assert_eq!(offer(&[7, 8, 0, 0]), Err(Errno::PROTO));
        let later = offer(&[8, 0, 0, 0]).expect("it can fall back");
        assert!(later.is_of_later_major());
        let mut answer = Answer::default();
        answer.clear();
        let abilities = Abilities {
            flags: 0,
            largest: 4096,
            background: 1,
        };
        later.agree(abilities, &mut answer);
        assert_eq!(answer.len(), 8);
    }
}
