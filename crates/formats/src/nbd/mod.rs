//! Network disks: a client of NBD servers (`qemu-nbd`, `nbdkit`, `nbd-server`).
//!
//! [`address`] parses the server's address, [`handshake`] connects, [`connection`] makes
//! requests of several threads; all use [`socket`]. Protocol: `doc/proto.md` of the
//! NetworkBlockDevice project.
//!
//! If a server closes the connection, violates the protocol or is silent for too long,
//! all current and later requests are I/O errors: the connection is not made again.

mod address;
mod connection;
mod handshake;
mod socket;

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use drupe_host::disk::{Disk, Geometry};
use rustix::io::Errno;

use crate::image::check_range;
use crate::{Error, Format, Opened, Options, Result};
use address::Address;
use connection::{Command, Connection};
use handshake::{Export, flags};

/// How long a server may be silent.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For connecting and the handshake.
    handshake: Duration,
    /// While requests wait for their replies.
    request: Duration,
}

const PATIENCE: Patience = Patience {
    handshake: Duration::from_secs(10),
    request: Duration::from_secs(120),
};

/// Limit of bytes that one request trims or zeroes; the protocol's length has 32 bits.
const MAX_RANGE: u64 = 1 << 30;

/// Opens the disk at an address: `nbd://HOST[:PORT]/EXPORT` or
/// `nbd+unix:///EXPORT?socket=PATH`.
///
/// # Errors
///
/// Any [`Error`]: no server, no such export, a read-only export without
/// [`Options::read_only`], and so on.
pub fn open_uri(uri: &str, options: &Options) -> Result<Opened> {
    let given_up = options.given_up.clone();
    let disk = Nbd::open(uri, options.read_only, PATIENCE, given_up)?;
    Ok(Opened {
        disk: Arc::new(disk),
        format: Format::Nbd,
    })
}

/// Whether the text looks like the address of a network disk, valid or not.
pub fn is_uri(text: &str) -> bool {
    address::SCHEMES.iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| rest.starts_with("://"))
    })
}

/// A client of a server that sends fixed bytes. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn talk(server: &[u8]) {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    let Ok((ours, mut theirs)) = UnixStream::pair() else {
        return;
    };
    // As much as fits into the socket, since nobody else would take it out.
    let _ = theirs.set_nonblocking(true);
    let _ = theirs.write(server);
    let _ = theirs.shutdown(Shutdown::Write);
    let Ok((socket, export)) = handshake::over(ours.into(), "export", PATIENCE.handshake) else {
        return;
    };
    let disk = Nbd {
        connection: Connection::new(socket),
        export,
        read_only: false,
    };
    let geometry = disk.geometry();
    let mut bytes = vec![0; 4096];
    for at in [0, geometry.size / 2 / 4096 * 4096] {
        let _ = disk.read_at(&mut [IoSliceMut::new(&mut bytes)], at);
        let _ = disk.write_at(&[IoSlice::new(&bytes)], at, true);
        let _ = disk.discard(at, 4096);
        let _ = disk.write_zeroes(at, 4096);
    }
    let _ = disk.flush();
}

/// The disk of an export.
struct Nbd {
    connection: Connection,
    export: Export,
    read_only: bool,
}

impl Nbd {
    fn open(
        uri: &str,
        read_only: bool,
        patience: Patience,
        given_up: Option<Arc<AtomicBool>>,
    ) -> Result<Nbd> {
        let address = Address::parse(uri)?;
        let (mut socket, export) = handshake::connect(&address, patience.handshake)?;
        if export.has(flags::READ_ONLY) && !read_only {
            return Err(Error::Server("the server exports it read-only".into()));
        }
        match given_up {
            Some(given_up) => socket.set_patience_until(patience.request, given_up)?,
            None => socket.set_patience(patience.request)?,
        }
        Ok(Nbd {
            connection: Connection::new(socket),
            export,
            read_only,
        })
    }

    /// Calls `request` for each part of a range that one request can cover.
    fn parts(
        &self,
        mut offset: u64,
        mut len: u64,
        request: impl Fn(u64, u32) -> io::Result<()>,
    ) -> io::Result<()> {
        check_range(self.export.size, offset, len)?;
        while len > 0 {
            let part = len.min(MAX_RANGE);
            request(offset, part as u32)?;
            offset += part;
            len -= part;
        }
        Ok(())
    }
}

impl Disk for Nbd {
    fn geometry(&self) -> Geometry {
        let can_discard = self.export.has(flags::TRIM) || self.export.has(flags::WRITE_ZEROES);
        Geometry {
            size: self.export.size,
            block_size: self.export.min_block.max(512),
            read_only: self.read_only,
            discard: can_discard && !self.read_only,
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        check_range(self.export.size, offset, len as u64)?;
        let slices = buffers.iter_mut().map(|buffer| &mut buffer[..]);
        for mut part in cut(slices, self.export.max_block) {
            let len = part.iter().map(|slice| slice.len()).sum::<usize>() as u32;
            self.connection
                .request(Command::read(offset, len), &[], &mut part)?;
            offset += u64::from(len);
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64, durable: bool) -> io::Result<()> {
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        check_range(self.export.size, offset, len as u64)?;
        let fua = durable && self.export.has(flags::FUA);
        for part in cut(
            buffers.iter().map(|buffer| &buffer[..]),
            self.export.max_block,
        ) {
            let len = part.iter().map(|slice| slice.len()).sum::<usize>() as u32;
            self.connection
                .request(Command::write(offset, len, fua), &part, &mut [])?;
            offset += u64::from(len);
        }
        match durable && !fua {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        // A server that does not offer it has nothing to flush.
        match self.export.has(flags::FLUSH) {
            true => self.connection.request(Command::flush(), &[], &mut []),
            false => Ok(()),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        if !self.export.has(flags::TRIM) {
            return Ok(());
        }
        self.parts(offset, len, |offset, len| {
            self.connection
                .request(Command::trim(offset, len), &[], &mut [])
        })
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        if !self.export.has(flags::WRITE_ZEROES) {
            return Err(Errno::OPNOTSUPP.into());
        }
        self.parts(offset, len, |offset, len| {
            self.connection
                .request(Command::write_zeroes(offset, len), &[], &mut [])
        })
    }
}

/// Bytes that can be cut in two.
trait Cut: Sized {
    fn len(&self) -> usize;
    fn cut_at(self, at: usize) -> (Self, Self);
}

impl Cut for &[u8] {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn cut_at(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
}

impl Cut for &mut [u8] {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn cut_at(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

/// Cuts a list of slices into lists of at most `max` bytes.
fn cut<S: Cut>(slices: impl Iterator<Item = S>, max: u32) -> Vec<Vec<S>> {
    let mut parts: Vec<Vec<S>> = Vec::new();
    let mut room = 0;
    for mut slice in slices.filter(|slice| slice.len() > 0) {
        loop {
            if room == 0 {
                parts.push(Vec::new());
                room = max as usize;
            }
            let last = parts.last_mut().expect("pushed when there was no room");
            if slice.len() <= room {
                room -= slice.len();
                last.push(slice);
                break;
            }
            let (head, tail) = slice.cut_at(room);
            last.push(head);
            slice = tail;
            room = 0;
        }
    }
    parts
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
