//! md: the superblocks of software RAID members.
//!
//! Layout: `include/uapi/linux/raid/md_p.h`. This finds the devices that belong together;
//! the kernel reads the superblocks itself when it assembles the array.

use std::io::{self, Read, Seek, SeekFrom};

use crate::bytes::{le32, le64, maybe_bytes_at, text};
use crate::{Error, Result};

const MAGIC: u32 = 0xa92b_4efc;

/// The superblock of a member: its array and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// UUID of the array.
    pub array: [u8; 16],
    /// The array's name as stored, "HOST:NAME"; empty in old formats.
    pub full_name: String,
    /// Major and minor version of the superblock: (1, 2), (0, 90) and so on.
    pub version: (u32, u32),
    /// 1 for RAID 1, and so on; -1: linear.
    pub level: i32,
    /// The number of members of the complete array.
    pub disks: u32,
    /// The event counter, which grows with each change. A member with a lower one is out
    /// of date.
    pub events: u64,
}

/// Reads bytes at an offset; `None` if they are not all there.
type Get<'a> = dyn FnMut(u64, usize) -> io::Result<Option<Vec<u8>>> + 'a;

impl Member {
    /// Reads the superblock of a device.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when there is none.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Result<Member> {
        let size = reader.seek(SeekFrom::End(0))?;
        let found = Member::find(size, &mut |offset, len| maybe_bytes_at(reader, offset, len))?;
        found.ok_or(Error::Damaged {
            what: "md superblock",
            why: "there is none".into(),
        })
    }

    /// Looks for the superblock of a device of `size` bytes.
    pub(crate) fn find(size: u64, get: &mut Get<'_>) -> io::Result<Option<Member>> {
        // Version 1.1 is at the start, 1.2 behind 4 KiB, 1.0 near the end.
        let near_end = ((size / 512).saturating_sub(16) & !7) * 512;
        for (minor, offset) in [(1, 0), (2, 4096), (0, near_end)] {
            if let Some(sb) = get(offset, 256)?
                && le32(&sb, 0) == MAGIC
                && le32(&sb, 4) == 1
                && le64(&sb, 144).checked_mul(512) == Some(offset)
            {
                return Ok(Some(Member::version_1(&sb, minor)));
            }
        }
        // Version 0.90 is in the last 64 KiB, in the byte order of its machine.
        let offset = (size & !0xffff).saturating_sub(0x10000);
        let sb = get(offset, 256)?;
        let sb = sb.filter(|sb| le32(sb, 0) == MAGIC && le32(sb, 4) == 0);
        Ok(sb.map(|sb| Member::version_0(&sb)))
    }

    /// The array's name without the host name.
    pub fn name(&self) -> &str {
        self.full_name.rsplit(':').next().unwrap_or_default()
    }

    fn version_1(sb: &[u8], minor: u32) -> Member {
        Member {
            array: std::array::from_fn(|n| sb[16 + n]),
            full_name: text(&sb[32..64]),
            version: (1, minor),
            level: le32(sb, 72) as i32,
            disks: le32(sb, 92),
            events: le64(sb, 200),
        }
    }

    fn version_0(sb: &[u8]) -> Member {
        let mut array = [0; 16];
        for (n, at) in [20, 52, 56, 60].into_iter().enumerate() {
            array[4 * n..][..4].copy_from_slice(&le32(sb, at).to_be_bytes());
        }
        Member {
            array,
            full_name: String::new(),
            version: (0, 90),
            level: le32(sb, 28) as i32,
            disks: le32(sb, 40),
            events: u64::from(le32(sb, 160)) << 32 | u64::from(le32(sb, 156)),
        }
    }
}
