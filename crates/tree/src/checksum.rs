//! [`Algorithm`]: checksums of files, by the algorithms of coreutils' tools.

use drupe::File;

use crate::{Interrupt, Result};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// MD5, which is broken: anybody can make two files with the same sum.
    Md5,
    /// SHA-1, which is broken as well.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE2b with 512 bits, as of b2sum(1).
    Blake2b,
}

impl Algorithm {
    /// The number of hexadecimal digits of a sum.
    pub fn digits(self) -> usize {
        match self {
            Algorithm::Md5 => 32,
            Algorithm::Sha1 => 40,
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 | Algorithm::Blake2b => 128,
        }
    }

    /// The checksum of a file of an image, in hexadecimal.
    ///
    /// # Errors
    ///
    /// Those of reading; `interrupt`.
    pub fn of(self, file: &File, interrupt: &Interrupt) -> Result<String> {
        let mut sum: Box<dyn sha2::digest::DynDigest> = match self {
            Algorithm::Md5 => Box::<md5::Md5>::default(),
            Algorithm::Sha1 => Box::<sha1::Sha1>::default(),
            Algorithm::Sha256 => Box::<sha2::Sha256>::default(),
            Algorithm::Sha512 => Box::<sha2::Sha512>::default(),
            Algorithm::Blake2b => Box::<blake2::Blake2b512>::default(),
        };
        let mut piece = vec![0; PIECE];
        let mut offset = 0;
        loop {
            interrupt.check("read")?;
            match file.read_at(&mut piece, offset)? {
                0 => break,
                len => {
                    sum.update(&piece[..len]);
                    offset += len as u64;
                }
            }
        }
        let mut bytes = vec![0; sum.output_size()];
        // The buffer is as large as the sum.
        let _ = sum.finalize_into_reset(&mut bytes);
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
