//! `Verity=` of a definition, and the settings that go with it.

use crate::value::{parse_bool, parse_size};

/// Bytes of a block, where nothing else is said.
const BLOCK: u32 = 4096;

/// `Verity=`, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// `Verity=`
    pub role: VerityRole,
    /// `VerityMatchKey=`: that of the data and of the hashes that belong together.
    pub key: String,
    /// `VerityDataBlockSizeBytes=`
    pub data_block: Option<u32>,
    /// `VerityHashBlockSizeBytes=`
    pub hash_block: Option<u32>,
}

/// What a partition is of two that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerityRole {
    /// `Verity=data`
    Data,
    /// `Verity=hash`
    Hash,
}

/// What a file says, before it is known whether all is there.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    role: Option<VerityRole>,
    key: Option<String>,
    data_block: Option<u32>,
    hash_block: Option<u32>,
}

impl Draft {
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "Verity" => {
                self.role = match value {
                    "data" => Some(VerityRole::Data),
                    "hash" => Some(VerityRole::Hash),
                    "signature" => {
                        return Err(
                            "drupe does not support Verity=signature yet; remove the setting"
                                .to_owned(),
                        );
                    }
                    _ if parse_bool(value) == Some(false) => None,
                    _ => return Err(format!("{key}={value}: expected data, hash or off")),
                };
            }
            "VerityMatchKey" => self.key = (!value.is_empty()).then(|| value.to_owned()),
            _ => {
                let block = parse_size(value).and_then(|bytes| u32::try_from(bytes).ok());
                let block = block.filter(|it| it.is_power_of_two() && (512..=4096).contains(it));
                let block = block.ok_or_else(|| {
                    format!("{key}={value}: expected a power of two from 512 to 4096")
                })?;
                match key {
                    "VerityDataBlockSizeBytes" => self.data_block = Some(block),
                    _ => self.hash_block = Some(block),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Option<Verity>, String> {
        match (self.role, self.key) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err("VerityMatchKey= needs Verity=data or Verity=hash".to_owned()),
            (Some(_), None) => Err("Verity= needs VerityMatchKey=".to_owned()),
            (Some(role), Some(key)) => Ok(Some(Verity {
                role,
                key,
                data_block: self.data_block,
                hash_block: self.hash_block,
            })),
        }
    }
}

impl Verity {
    pub(crate) fn check(&self, encrypts: bool, has_contents: bool) -> Result<(), String> {
        if encrypts {
            return Err("Verity= cannot be combined with Encrypt=".to_owned());
        }
        if self.role == VerityRole::Hash && has_contents {
            return Err(
                "Verity=hash fills the partition; it cannot be combined with Format=, CopyBlocks= or CopyFiles="
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Sizes of the blocks of data and of hashes, as the definition of the hashes says.
    pub fn blocks(&self) -> (u32, u32) {
        (
            self.data_block.unwrap_or(BLOCK),
            self.hash_block.unwrap_or(BLOCK),
        )
    }
}
