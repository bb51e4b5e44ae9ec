//! The header of LUKS1 (its on-disk format specification, figure 1).

use std::io::{Read, Seek};

use super::{Area, Digest, Hash, Kdf, Luks, Segment, Slot, damaged};
use crate::bytes::{be32, bytes_at, text};
use crate::{Result, SECTOR};

const SLOTS: usize = 8;
/// The value of a key slot's `active` field if it is used.
const ENABLED: u32 = 0x00ac_71f3;

pub(super) fn read<R: Read + Seek>(reader: &mut R) -> Result<Luks> {
    let header = bytes_at(reader, 0, 592)?;
    let cipher = format!("{}-{}", text(&header[8..40]), text(&header[40..72]));
    if cipher.contains(char::is_whitespace) {
        return Err(damaged(format!("the cipher {cipher:?} is unknown")));
    }
    let hash = Hash::named(&text(&header[72..104]))?;
    let key_bytes = be32(&header, 108) as usize;
    let slot = |id: usize| {
        let slot = &header[208 + 48 * id..][..48];
        let stripes = be32(slot, 44).into();
        let split = (key_bytes as u64).saturating_mul(stripes);
        let made = Slot {
            id: id as u32,
            kdf: Kdf::Pbkdf2 {
                hash,
                iterations: be32(slot, 4),
                salt: slot[8..40].to_vec(),
            },
            stripes,
            split_hash: hash,
            key_bytes,
            area: Area {
                offset: u64::from(be32(slot, 40)) * SECTOR,
                len: split.div_ceil(SECTOR) * SECTOR,
                cipher: cipher.clone(),
                key_bytes,
            },
        };
        (be32(slot, 0) == ENABLED).then(|| made.checked())
    };
    Ok(Luks {
        version: 1,
        uuid: text(&header[168..208]),
        slots: (0..SLOTS).filter_map(slot).collect::<Result<_>>()?,
        digests: vec![
            Digest {
                slots: (0..SLOTS as u32).collect(),
                hash,
                iterations: be32(&header, 164),
                salt: header[132..164].to_vec(),
                digest: header[112..132].to_vec(),
            }
            .checked()?,
        ],
        segment: Segment {
            cipher: cipher.clone(),
            offset: u64::from(be32(&header, 104)) * SECTOR,
            len: None,
            iv_tweak: 0,
            sector_size: 512,
            flags: Vec::new(),
        },
    })
}
