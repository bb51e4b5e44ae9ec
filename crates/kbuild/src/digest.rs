//! [`Digest`]: SHA-256 hashes of files and of sequences of fields.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use sha2::Digest as _;

use crate::error::{IoContext, Result};

/// A SHA-256 hash; printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash of a file's content.
    pub fn of_file(path: &Path) -> Result<Digest> {
        let mut hasher = Hasher::default();
        hasher.file(path)?;
        Ok(hasher.finish())
    }

    /// The hash itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 digits, used as the name of a directory.
    pub(crate) fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Digest, ()> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        Ok(Digest(bytes))
    }
}

/// Hashes fields one after the other, each with its length, so that no two
/// different sequences of fields give the same hash.
#[derive(Default)]
pub(crate) struct Hasher(sha2::Sha256);

impl Hasher {
    pub(crate) fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// A file's content, not its name.
    pub(crate) fn file(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path).on("open", path)?;
        let mut buffer = vec![0; 1 << 18];
        let mut len = 0u64;
        loop {
            let read = file.read(&mut buffer).on("read", path)?;
            if read == 0 {
                break;
            }
            self.0.update(&buffer[..read]);
            len += read as u64;
        }
        self.0.update(len.to_le_bytes());
        Ok(())
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let mut hasher = Hasher::default();
        hasher.field(b"drupe");
        let digest = hasher.finish();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("zz".parse::<Digest>(), Err(()));
        assert_eq!("é".repeat(32).parse::<Digest>(), Err(()));
    }

    #[test]
    fn fields_do_not_run_together() {
        let hash = |fields: &[&str]| {
            let mut hasher = Hasher::default();
            fields
                .iter()
                .for_each(|field| hasher.field(field.as_bytes()));
            hasher.finish()
        };
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
