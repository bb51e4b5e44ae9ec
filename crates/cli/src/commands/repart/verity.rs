//! `Verity=`: the hashes of a partition in another one, by veritysetup.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use drupe_repart::identity;
use uuid::Uuid;

use super::scratch;
use super::tools::{self, Run, STDIN, Tool};
use crate::exit::Failure;

/// Bytes of a root hash: SHA-256.
const ROOT: usize = 32;

/// What the hashes are of, and how they are made.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// All of the partition.
    pub(crate) data: &'a File,
    /// Bytes that there are for the hashes.
    pub(crate) room: u64,
    /// Of the partition with the hashes.
    pub(crate) uuid: Uuid,
    pub(crate) seed: Uuid,
    /// Bytes of a block of data, and of one of hashes.
    pub(crate) blocks: (u32, u32),
}

/// The hash of all hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RootHash([u8; ROOT]);

impl RootHash {
    /// The UUIDs of the partition with the data and of that with the hashes, by the
    /// Discoverable Partitions Specification: the first and the last 16 bytes.
    pub(crate) fn uuids(&self) -> [Uuid; 2] {
        let half = |at: usize| {
            let half: [u8; 16] = self.0[at..at + 16].try_into().expect("16 of 32 bytes");
            Uuid::from_bytes(half)
        };
        [half(0), half(ROOT - 16)]
    }

    fn parse(text: &str) -> Option<RootHash> {
        if text.len() != 2 * ROOT || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; ROOT];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(RootHash(hash))
    }
}

impl std::fmt::Display for RootHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes the hashes, in a file without a name in `dir`.
pub(crate) fn format(
    wanted: &Wanted<'_>,
    dir: &Path,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<(File, RootHash), Failure> {
    let file = scratch::sparse(dir, wanted.room)
        .with_context(|| format!("cannot make a file in {}", dir.display()))?;
    let (_out, path) = scratch::inherited(&file).context("cannot duplicate a descriptor")?;
    let salt = identity::verity_salt(wanted.seed);
    let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let arguments = [
        "format".to_owned(),
        "--hash=sha256".to_owned(),
        format!("--data-block-size={}", wanted.blocks.0),
        format!("--hash-block-size={}", wanted.blocks.1),
        format!("--salt={salt}"),
        format!("--uuid={}", identity::of_verity(wanted.uuid)),
        STDIN.to_owned(),
        path,
    ];
    let tool = Tool {
        name: "veritysetup",
        package: "cryptsetup-bin",
        arguments: arguments.map(Into::into).into(),
    };
    let run = Run {
        setting: "Verity=hash".to_owned(),
        file: wanted.data,
        epoch: None,
        writes_zeroes: false,
    };
    let printed = tools::run(&tool, &run, check)?;
    let root = printed
        .lines()
        .find_map(|line| line.strip_prefix("Root hash:"));
    let root = root.and_then(|text| RootHash::parse(text.trim()));
    let root = root.ok_or_else(|| anyhow!("veritysetup did not fail, and gave no root hash"))?;
    let size = file.metadata().context("cannot look at a new file")?.len();
    if size > wanted.room {
        let failure = Failure::from(anyhow!(
            "the hashes take {size} bytes, and the partition has {}",
            wanted.room
        ));
        return Err(failure.with_hint(format!("set SizeMinBytes={size}")));
    }
    Ok((file, root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_hashes() {
        let text = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
        let root = RootHash::parse(text).unwrap();
        assert_eq!(root.to_string(), text);
        let [data, hash] = root.uuids();
        assert_eq!(data.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(hash.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        for text in ["", &text[1..], &format!("{text}0"), &text.replace('f', "g")] {
            assert_eq!(RootHash::parse(text), None, "{text}");
        }
    }
}
