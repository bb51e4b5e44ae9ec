//! [`Request`]: the header of a request; [`Arguments`]: reads the rest of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use drupe::Errno;

/// Bytes of `struct fuse_in_header`.
const HEADER: usize = 40;

/// `struct fuse_in_header`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) opcode: u32,
    /// The request's number, which the answer must have.
    pub(crate) unique: u64,
    /// The file's number.
    pub(crate) node: u64,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: u32,
}

/// Reads the bytes behind the header, one argument after the other. EIO if there are too
/// few.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a>(&'a [u8]);

impl Request {
    /// Parses a message. `None`: it is malformed.
    pub(crate) fn parse(message: &[u8]) -> Option<(Request, Arguments<'_>)> {
        let (header, rest) = message.split_at_checked(HEADER)?;
        let mut header = Arguments(header);
        let length = header.u32().ok()?;
        if length as usize != message.len() {
            return None;
        }
        let request = Request {
            opcode: header.u32().ok()?,
            unique: header.u64().ok()?,
            node: header.u64().ok()?,
            uid: header.u32().ok()?,
            gid: header.u32().ok()?,
            pid: header.u32().ok()?,
        };
        Some((request, Arguments(rest)))
    }
}

impl<'a> Arguments<'a> {
    /// The next `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Errno::IO)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Errno::IO)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Errno> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Errno> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Skips `len` bytes.
    pub(crate) fn skip(&mut self, len: usize) -> Result<(), Errno> {
        self.bytes(len).map(drop)
    }

    /// Text that ends with a NUL: a name or a path.
    pub(crate) fn text(&mut self) -> Result<&'a OsStr, Errno> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or(Errno::IO)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(OsStr::from_bytes(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [47u32, 1, 7, 0, 3, 0, 1000, 100, 4711, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(b"name\0xy");
        bytes
    }

    #[test]
    fn a_request_with_a_name() {
        let message = message();
        let (request, mut arguments) = Request::parse(&message).expect("whole");
        let expected = Request {
            opcode: 1,
            unique: 7,
            node: 3,
            uid: 1000,
            gid: 100,
            pid: 4711,
        };
        assert_eq!(request, expected);
        assert_eq!(arguments.text(), Ok(OsStr::new("name")));
        assert_eq!(arguments.bytes(2), Ok(&b"xy"[..]));
        assert_eq!(arguments.u32(), Err(Errno::IO));
    }

    #[test]
    fn what_is_cut_short() {
        let message = message();
        for len in 0..message.len() {
            assert_eq!(Request::parse(&message[..len]).map(|it| it.0), None);
        }
        let (_, mut arguments) = Request::parse(&message).expect("whole");
        assert!(arguments.bytes(8).is_err() && arguments.u64().is_err());
        assert_eq!(Arguments(b"no end").text(), Err(Errno::IO));
    }
}
