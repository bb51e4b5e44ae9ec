//! [`Hash`](enum@Hash): the hash functions of LUKS headers, PBKDF2 and the anti-forensic diffusion.

use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::{Error, Result};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Calls a function that is generic over the hash.
macro_rules! with {
    ($hash:expr, $function:ident ( $($argument:expr),* )) => {
        match $hash {
            Hash::Sha1 => $function::<Sha1>($($argument),*),
            Hash::Sha224 => $function::<Sha224>($($argument),*),
            Hash::Sha256 => $function::<Sha256>($($argument),*),
            Hash::Sha384 => $function::<Sha384>($($argument),*),
            Hash::Sha512 => $function::<Sha512>($($argument),*),
        }
    };
}

impl Hash {
    pub(crate) fn named(name: &str) -> Result<Hash> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "sha1" => Hash::Sha1,
            "sha224" => Hash::Sha224,
            "sha256" => Hash::Sha256,
            "sha384" => Hash::Sha384,
            "sha512" => Hash::Sha512,
            _ => return Err(Error::Unsupported(format!("the hash {name:?} of LUKS"))),
        })
    }

    /// The number of rounds of [`Hash::pbkdf2`] for `len` bytes: all iterations for each
    /// block.
    pub(crate) fn work(self, iterations: u32, len: usize) -> u64 {
        let block = match self {
            Hash::Sha1 => 20,
            Hash::Sha224 => 28,
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        };
        u64::from(iterations).saturating_mul(len.div_ceil(block) as u64)
    }

    /// PBKDF2 with HMAC (RFC 8018).
    pub(crate) fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
        use pbkdf2::pbkdf2_hmac;
        with!(self, pbkdf2_hmac(password, salt, iterations, out));
    }

    /// Diffuses a block, so that each bit depends on all others (LUKS1 specification,
    /// 2.4).
    pub(crate) fn diffuse(self, block: &mut [u8]) {
        with!(self, diffuse(block));
    }

    pub(crate) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        with!(self, digest(bytes))
    }
}

fn digest<H: Digest>(bytes: &[u8]) -> Vec<u8> {
    H::digest(bytes).to_vec()
}

fn diffuse<H: Digest>(block: &mut [u8]) {
    for (n, part) in block.chunks_mut(<H as Digest>::output_size()).enumerate() {
        let mut hash = H::new();
        hash.update((n as u32).to_be_bytes());
        hash.update(&*part);
        let len = part.len();
        part.copy_from_slice(&hash.finalize()[..len]);
    }
}
