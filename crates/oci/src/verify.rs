//! [`Verified`]: a blob whose size and digest are checked while it is read.

use std::io::{self, Read};

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::manifest::LIMIT;

/// A stream of bytes that can go to another thread.
pub(crate) type Stream = Box<dyn Read + Send>;

/// A blob. Its end is reported only after its size and digest were found to be right.
pub(crate) struct Verified<R> {
    blob: R,
    /// For errors.
    name: String,
    size: u64,
    read: u64,
    /// With the digest that it must have; `None`: its size is all that is known.
    digest: Option<(Hasher, Digest)>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Complete,
    Failed,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(blob: R, name: String, size: u64, digest: Option<Digest>) -> Verified<R> {
        Verified {
            blob,
            name,
            size,
            read: 0,
            digest: digest.map(|digest| (Hasher::like(&digest), digest)),
            state: State::Reading,
        }
    }

    /// Reads what is left, so that all of it is checked.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    /// Whether it could not be read, or was found to be wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    fn fail(&mut self, problem: String) -> io::Error {
        self.state = State::Failed;
        Error::invalid(self.name.clone(), problem).into_io()
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.state {
            _ if bytes.is_empty() => return Ok(0),
            State::Reading => {}
            State::Complete => return Ok(0),
            State::Failed => return Err(self.fail("it was damaged already".into())),
        }
        let count = match self.blob.read(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.state = State::Failed;
                return Err(error);
            }
            read => read?,
        };
        self.read += count as u64;
        if self.read > self.size {
            let problem = format!(
                "it is longer than the {} bytes that it is to have",
                self.size
            );
            return Err(self.fail(problem));
        }
        if let Some((hasher, _)) = &mut self.digest {
            hasher.update(&bytes[..count]);
        }
        if count > 0 {
            return Ok(count);
        }
        if self.read < self.size {
            let problem = format!("it ends after {} of {} bytes", self.read, self.size);
            return Err(self.fail(problem));
        }
        if let Some((hasher, expected)) = self.digest.take() {
            let found = hasher.finish();
            if found != expected {
                let problem = format!("it is damaged: its digest is {found}, not {expected}");
                return Err(self.fail(problem));
            }
        }
        self.state = State::Complete;
        Ok(0)
    }
}

/// Reads a document of JSON, whose size and digest are checked before anything is made of
/// it.
pub(crate) fn document(blob: impl Read, name: &str, size: u64, digest: &Digest) -> Result<Vec<u8>> {
    if size > LIMIT {
        let problem = format!("it has {size} bytes, and {LIMIT} are the most for a document");
        return Err(Error::unsupported(name, problem));
    }
    let mut bytes = Vec::new();
    let mut blob = Verified::new(blob, name.to_owned(), size, Some(digest.clone()));
    match blob.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let text = error.to_string();
            let problem = text.strip_prefix(&format!("{name}: ")).unwrap_or(&text);
            Err(Error::invalid(name, problem))
        }
        Err(error) => Err(Error::file(name, error)),
    }
}

/// Reads a document of which only the largest size is known.
pub(crate) fn limited(file: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::file(name, error))?;
    match bytes.len() as u64 > LIMIT {
        true => {
            let problem = format!("it has more than the {LIMIT} bytes that a document may have");
            Err(Error::unsupported(name, problem))
        }
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(blob: &[u8], size: u64, digest: Option<Digest>) -> Result<Vec<u8>, String> {
        let mut verified = Verified::new(blob, "blob".into(), size, digest);
        let mut bytes = Vec::new();
        let read = verified.read_to_end(&mut bytes);
        let again = verified.read(&mut [0; 8]);
        assert_eq!(read.is_ok(), matches!(again, Ok(0)), "a failure stays one");
        read.map(|_| bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn the_end_is_that_of_the_right_bytes() {
        let digest = || Some(Digest::of(b"contents"));
        assert_eq!(
            read(b"contents", 8, digest()).as_deref(),
            Ok(&b"contents"[..])
        );
        assert_eq!(read(b"contents", 8, None).as_deref(), Ok(&b"contents"[..]));
        for (blob, size, problem) in [
            (&b"contentz"[..], 8, "damaged"),
            (b"content", 8, "ends after 7 of 8"),
            (b"contents!", 8, "longer"),
            (b"contents", 7, "longer"),
            (b"contents", 9, "ends after 8 of 9"),
            (b"", 8, "ends after 0"),
        ] {
            let error = read(blob, size, digest()).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn large_documents_are_not_read() {
        let digest = Digest::of(b"");
        assert!(document(io::repeat(b' '), "x", LIMIT + 1, &digest).is_err());
        assert!(document(io::repeat(b' '), "x", 10, &digest).is_err());
        assert!(limited(io::repeat(b' '), "x").is_err());
        assert_eq!(limited(&b"{}"[..], "x").expect("a document"), b"{}");
    }
}
