//! [`Resuming`]: a blob from a registry, which goes on where a connection was cut.

use std::io::{self, Read};
use std::time::Duration;

use super::Registry;
use super::http::{self, Body};
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::source::{Blob, Source};

/// How often to try again without getting any further, and all in all.
const TRIES: u32 = 5;
const ALL_TRIES: u32 = 50;
/// How long to wait before the first new try; each time, it is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// A blob. What it reads is not checked.
pub(super) struct Resuming {
    registry: Registry,
    blob: Descriptor,
    body: Option<Body>,
    at: u64,
    /// Since something was read.
    tries: u32,
    all_tries: u32,
}

impl Resuming {
    pub(super) fn new(registry: Registry, blob: Descriptor) -> Result<Resuming> {
        let mut resuming = Resuming {
            registry,
            blob,
            body: None,
            at: 0,
            tries: 0,
            all_tries: 0,
        };
        resuming.connect()?;
        Ok(resuming)
    }

    /// Asks for what is left of the blob. A connection that fails is tried again when the
    /// blob is read.
    fn connect(&mut self) -> Result<()> {
        let blob = Blob::Digest(self.blob.clone());
        let shown = self.registry.shown(&blob);
        let range = format!("bytes={}-", self.at);
        let headers = [("Range", range.as_str())];
        let headers = match self.at {
            0 => &[][..],
            _ => &headers,
        };
        let path = format!("blobs/{}", self.blob.digest);
        let reply = match self.registry.get(&path, headers) {
            Ok(reply) => reply,
            Err(Error::Registry { status: None, .. }) if self.may_try_again() => return Ok(()),
            Err(error) => return Err(error),
        };
        let skipped = match reply.status {
            200 => 0,
            206 if is_from(reply.header("Content-Range"), self.at) => self.at,
            // It may be better in a moment.
            500.. if self.may_try_again() => return Ok(()),
            _ => return Err(self.registry.refused(&shown, reply)),
        };
        let mut body = reply.body;
        // It knows no ranges: what was read already comes once more.
        let again = self.at - skipped;
        match io::copy(&mut body.by_ref().take(again), &mut io::sink()) {
            Ok(count) if count == again => self.body = Some(body),
            Ok(_) | Err(_) if self.may_try_again() => {}
            Ok(_) => return Err(Error::invalid(shown, "the connection was cut too often")),
            Err(error) => return Err(Error::file(shown, error)),
        }
        Ok(())
    }

    fn may_try_again(&self) -> bool {
        self.tries < TRIES && self.all_tries < ALL_TRIES
    }

    fn try_again(&mut self) -> Result<()> {
        self.tries += 1;
        self.all_tries += 1;
        let pause = PAUSE * (1 << (self.tries - 1).min(TRIES));
        http::pause(pause, &self.registry.shared.client.options)?;
        self.connect()
    }
}

impl Read for Resuming {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.body {
                Some(body) => body.read(bytes),
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            };
            match read {
                // The end, or more than there should be, which is found by who checks it.
                Ok(count) if count > 0 || bytes.is_empty() || self.at >= self.blob.size => {
                    self.at += count as u64;
                    if count > 0 {
                        self.tries = 0;
                    }
                    return Ok(count);
                }
                _ if self.registry.shared.client.options.stopped() => {
                    return Err(Error::Interrupted.into_io());
                }
                Ok(_) if !self.may_try_again() => return Ok(0),
                Err(error) if !self.may_try_again() => return Err(error),
                Ok(_) | Err(_) => {
                    self.body = None;
                    self.try_again().map_err(Error::into_io)?;
                }
            }
        }
    }
}

/// Whether a `Content-Range` begins here.
fn is_from(range: Option<&str>, at: u64) -> bool {
    let first = range
        .and_then(|range| range.trim().strip_prefix("bytes"))
        .and_then(|range| range.trim().split('-').next())
        .and_then(|first| first.parse().ok());
    first == Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert!(is_from(Some("bytes 7-9/10"), 7));
        assert!(is_from(Some("bytes 7-9/*"), 7));
        assert!(!is_from(Some("bytes 0-9/10"), 7));
        assert!(!is_from(Some("bytes */10"), 7));
        assert!(!is_from(None, 7));
    }
}
