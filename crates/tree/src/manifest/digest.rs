//! [`Digest`]: digests in a manifest, and checking contents against them.

use crc::{CRC_32_CKSUM, Crc};
use md5::Md5;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::error::{Error, Result};

/// Bytes that are read at once, a multiple of [`BLOCK`].
const CHUNK: usize = 64 << 10;

/// The digest that a file's contents must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest {
    keyword: &'static str,
    /// The value in lower-case hexadecimal; for `cksum` a decimal number.
    value: String,
}

/// The keywords of mtree(5), and their algorithms.
const KEYWORDS: &[(&str, &str)] = &[
    ("cksum", "cksum"),
    ("md5", "md5"),
    ("md5digest", "md5"),
    ("ripemd160digest", "rmd160"),
    ("rmd160", "rmd160"),
    ("rmd160digest", "rmd160"),
    ("sha1", "sha1"),
    ("sha1digest", "sha1"),
    ("sha256", "sha256"),
    ("sha256digest", "sha256"),
    ("sha384", "sha384"),
    ("sha384digest", "sha384"),
    ("sha512", "sha512"),
    ("sha512digest", "sha512"),
];

/// The digest of fs-verity as in composefs: blocks of 4096 bytes, SHA-256, no salt.
const FS_VERITY: &str = "fs-verity";

/// Hexadecimal digits of the shortest digest, MD5.
const SHORTEST: usize = 32;

impl Digest {
    /// Parses a keyword and value of mtree(5). `None`: the keyword is not of a digest.
    ///
    /// # Errors
    ///
    /// It looks like a digest, but of an unsupported algorithm.
    pub(super) fn of_mtree(keyword: &str, value: &str) -> Result<Option<Digest>, String> {
        if let Some((_, keyword)) = KEYWORDS.iter().find(|(name, _)| *name == keyword) {
            return Ok(Some(Digest {
                keyword,
                value: value.to_ascii_lowercase(),
            }));
        }
        let looks_so =
            value.len() >= SHORTEST && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        match looks_so || keyword.ends_with("digest") {
            true => Err(format!(
                "{}: drupe cannot check this digest; leave it out, or give one of another kind",
                keyword.escape_debug()
            )),
            false => Ok(None),
        }
    }

    /// The digest in the last field of a composefs dump.
    pub(super) fn fs_verity(value: &str) -> Digest {
        Digest {
            keyword: FS_VERITY,
            value: value.to_ascii_lowercase(),
        }
    }
}

/// Reads contents to their end, and compares the digests.
///
/// # Errors
///
/// The digest that differs.
pub(super) fn check(
    digests: &[Digest],
    mut read: impl FnMut(&mut [u8]) -> Result<usize>,
) -> Result<()> {
    let mut hashers: Vec<_> = digests
        .iter()
        .map(|digest| hasher(digest.keyword))
        .collect();
    let mut chunk = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        while filled < CHUNK {
            match read(&mut chunk[filled..])? {
                0 => break,
                len => filled += len,
            }
        }
        for hasher in &mut hashers {
            hasher.update(&chunk[..filled]);
        }
        if filled < CHUNK {
            break;
        }
    }
    for (digest, hasher) in digests.iter().zip(hashers) {
        let found = hasher.finish();
        if found != digest.value {
            let Digest { keyword, value } = digest;
            let cause = format!("its contents have {keyword} {found}, not {value}");
            return Err(Error::new("check", &cause));
        }
    }
    Ok(())
}

/// Computes a digest, from parts of [`CHUNK`] bytes except the last.
trait Hasher {
    fn update(&mut self, bytes: &[u8]);
    fn finish(self: Box<Self>) -> String;
}

fn hasher(keyword: &str) -> Box<dyn Hasher> {
    let hash: Box<dyn DynDigest> = match keyword {
        "md5" => Box::new(Md5::new()),
        "rmd160" => Box::new(Ripemd160::new()),
        "sha1" => Box::new(Sha1::new()),
        "sha384" => Box::new(Sha384::new()),
        "sha512" => Box::new(Sha512::new()),
        "cksum" => return Box::new(Cksum::default()),
        FS_VERITY => return Box::new(FsVerity::default()),
        _ => Box::new(Sha256::new()),
    };
    Box::new(Plain(hash))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Plain(Box<dyn DynDigest>);

impl Hasher for Plain {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> String {
        hex(&self.0.finalize())
    }
}

/// The checksum of cksum(1), of the contents and their length.
struct Cksum {
    digest: crc::Digest<'static, u32>,
    len: u64,
}

static CKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_CKSUM);

impl Default for Cksum {
    fn default() -> Cksum {
        Cksum {
            digest: CKSUM.digest(),
            len: 0,
        }
    }
}

impl Hasher for Cksum {
    fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn finish(mut self: Box<Self>) -> String {
        let used = self.len.to_le_bytes();
        let len = used.len() - self.len.leading_zeros() as usize / 8;
        self.digest.update(&used[..len]);
        self.digest.finalize().to_string()
    }
}

/// Bytes of a block of fs-verity's tree.
const BLOCK: usize = 4096;

/// The fs-verity digest of a file's Merkle tree and length
/// (Documentation/filesystems/fsverity.rst).
#[derive(Default)]
struct FsVerity {
    /// Hashes of the blocks.
    hashes: Vec<u8>,
    len: u64,
}

/// The hashes of blocks, the last one filled with zeroes.
fn hash_blocks(bytes: &[u8], hashes: &mut Vec<u8>) {
    for part in bytes.chunks(BLOCK) {
        let mut hash = Sha256::new();
        sha2::Digest::update(&mut hash, part);
        sha2::Digest::update(&mut hash, &[0; BLOCK][part.len()..]);
        hashes.extend(hash.finalize());
    }
}

impl Hasher for FsVerity {
    fn update(&mut self, bytes: &[u8]) {
        hash_blocks(bytes, &mut self.hashes);
        self.len += bytes.len() as u64;
    }

    fn finish(self: Box<Self>) -> String {
        let mut level = self.hashes;
        // The hash of one block is the root.
        while level.len() > 32 {
            let mut above = Vec::new();
            hash_blocks(&level, &mut above);
            level = above;
        }
        // struct fsverity_descriptor: version 1, SHA-256, blocks of 2^12 bytes, no salt.
        let mut descriptor = [0; 256];
        descriptor[..3].copy_from_slice(&[1, 1, 12]);
        descriptor[8..16].copy_from_slice(&self.len.to_le_bytes());
        descriptor[16..][..level.len()].copy_from_slice(&level);
        hex(&Sha256::digest(descriptor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(digests: &[Digest], text: &[u8]) -> Result<()> {
        let mut rest = text;
        check(digests, |into| {
            // Not all at once.
            let len = rest.len().min(into.len()).min(1000);
            let (head, tail) = rest.split_at(len);
            into[..len].copy_from_slice(head);
            rest = tail;
            Ok(len)
        })
    }

    #[test]
    fn digests_of_other_tools() {
        // By md5sum, sha1sum, …, cksum, openssl dgst -rmd160, of 5,000 times "a".
        let text = vec![b'a'; 5000];
        let digests: Vec<Digest> = [
            ("md5", "7aaa7dec709fa4fa82f3746abfd80bdb"),
            ("sha1digest", "6aa9bf7df2242ef867558584c02160023a96f2f9"),
            (
                "sha256",
                "C526C6222044DAB5674DE9C4AC7F4566EBB5E4D8BF9D8EA34C9CC8A7CC3C869C",
            ),
            (
                "sha384",
                "ec8aedb696beaef98926c5afc2b545cc41761f275583367afdb81e96a7eea0226a6910c379326ff\
                 e6474678ca142014c",
            ),
            (
                "sha512",
                "0a76c190740222c4ae52b525ff4055e06543c22cd1617f342113742befe4a8ea3e50e1e5491e9bc\
                 fcb25baf041734ff1f5675207b6d7fc7f9c334db07e8e48c0",
            ),
            ("rmd160digest", "5f2ad63d5238f3deb518f714a5ad111d75278006"),
            ("cksum", "1213292781"),
        ]
        .into_iter()
        .map(|(keyword, value)| Digest::of_mtree(keyword, value).unwrap().unwrap())
        .collect();
        check_text(&digests, &text).unwrap();
        for digest in &digests {
            let failed = check_text(std::slice::from_ref(digest), &text[1..]).unwrap_err();
            let told = failed.at("f").to_string();
            assert!(told.contains(&digest.value), "{told}");
        }
        assert_eq!(Digest::of_mtree("size", "5000"), Ok(None));
        for (keyword, value) in [("sha3digest", ""), ("blake2", &"0f".repeat(32))] {
            let told = Digest::of_mtree(keyword, value).unwrap_err();
            assert!(told.starts_with(keyword), "{told}");
        }
    }

    #[test]
    fn digests_of_fs_verity() {
        // By `fsverity digest`: no block, two, and 245, which have a level above.
        for (len, value) in [
            (
                0,
                "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
            ),
            (
                5000,
                "918347c69490f04c08ed15c9711f5da336fac318892ef517e47f6c5c3f1c5811",
            ),
            (
                1_000_000,
                "50049eeefec9385017816e55c0783638f225a3938338cbd673ce9ee8bc977100",
            ),
        ] {
            let text = vec![b'a'; len];
            check_text(&[Digest::fs_verity(value)], &text).unwrap();
            check_text(&[Digest::fs_verity(value)], &[&text[..], b"a"].concat()).unwrap_err();
        }
    }
}
