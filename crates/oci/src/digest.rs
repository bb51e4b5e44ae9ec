//! [`Digest`]: the digest of a blob, which is its name too.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

/// A digest, as `sha256:` and hexadecimal digits.
///
/// The algorithms are SHA-256 and SHA-512, of which the specification says that all
/// implementations may rely on them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

impl Digest {
    /// The SHA-256 digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The SHA-256 digest with these digits; `None`: they are none.
    pub(crate) fn sha256(hex: &str) -> Option<Digest> {
        format!("sha256:{hex}").parse().ok()
    }

    /// The name of the algorithm: `sha256` or `sha512`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        // It goes into paths and addresses: only what it can be.
        let digest = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = Algorithm::ALL.into_iter().find(|a| a.name() == name)?;
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let valid = hex.len() == algorithm.digits() && hex.bytes().all(is_digit);
            valid.then(|| Digest {
                algorithm,
                hex: hex.to_owned(),
            })
        });
        digest.ok_or_else(|| {
            format!(
                "{:?} is no digest: sha256: and 64 hexadecimal digits, or sha512: and 128",
                text.chars().take(200).collect::<String>()
            )
        })
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes a digest.
#[derive(Debug, Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// For SHA-256.
    pub(crate) fn new() -> Hasher {
        Hasher::Sha256(Sha256::new())
    }

    /// For the algorithm of another digest.
    pub(crate) fn like(digest: &Digest) -> Hasher {
        match digest.algorithm {
            Algorithm::Sha256 => Hasher::new(),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        let (algorithm, bytes) = match self {
            Hasher::Sha256(hasher) => (Algorithm::Sha256, hasher.finalize().to_vec()),
            Hasher::Sha512(hasher) => (Algorithm::Sha512, hasher.finalize().to_vec()),
        };
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // A String takes everything.
            let _ = write!(hex, "{byte:02x}");
        }
        Digest { algorithm, hex }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        let digest: Digest = empty.parse().expect("a digest");
        assert_eq!(digest, Digest::of(b""));
        let long = format!("sha512:{}", "0f".repeat(64));
        let long: Digest = long.parse().expect("a digest");
        assert_eq!(Hasher::like(&long).finish().algorithm(), "sha512");
    }

    #[test]
    fn what_is_no_digest() {
        for text in [
            "",
            "sha256:",
            "sha256:00",
            &format!("sha256:{}", "../".repeat(21) + "0"),
            &format!("sha256:{}", "0F".repeat(32)),
            &format!("sha512:{}", "00".repeat(32)),
            &format!("md5:{}", "00".repeat(16)),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
