//! Connects to a server: the fixed newstyle handshake with `NBD_OPT_GO`.

use std::io::{self, IoSlice, IoSliceMut};
use std::time::{Duration, Instant};

use super::address::{Address, Server};
use super::socket::Socket;
use crate::bytes::{be16, be32, be64};
use crate::{Error, Result};

/// What an export can do (`NBD_FLAG_*`).
pub(super) mod flags {
    pub(crate) const READ_ONLY: u16 = 1 << 1;
    pub(crate) const FLUSH: u16 = 1 << 2;
    pub(crate) const FUA: u16 = 1 << 3;
    pub(crate) const TRIM: u16 = 1 << 5;
    pub(crate) const WRITE_ZEROES: u16 = 1 << 6;
}

const MAGIC: u64 = u64::from_be_bytes(*b"NBDMAGIC");
const NEWSTYLE: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const REPLY: u64 = 0x0003_e889_0455_65a9;

const FIXED_NEWSTYLE: u16 = 1;
const NO_ZEROES: u16 = 2;

const OPT_GO: u32 = 7;
const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR: u32 = 1 << 31;

/// Limits of the bytes of one answer, and of the answers to one option.
const MAX_ANSWER: u32 = 64 << 10;
const MAX_ANSWERS: usize = 64;

/// Bytes of one request if the server states no limit; the protocol's default.
const DEFAULT_MAX: u32 = 32 << 20;

/// The properties of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) size: u64,
    flags: u16,
    /// The block size: offsets and lengths are multiples of it.
    pub(super) min_block: u32,
    /// Limit of one request in bytes.
    pub(super) max_block: u32,
}

impl Export {
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

fn nonsense(what: &str) -> Error {
    Error::Server(format!("it does not speak NBD as it should: {what}"))
}

/// A socket with the deadline of the handshake.
struct Talk {
    socket: Socket,
    deadline: Instant,
}

impl Talk {
    fn send(&self, parts: &[&[u8]]) -> io::Result<()> {
        self.in_time()?;
        let mut parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.socket.send(&mut parts)
    }

    fn receive(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            self.in_time()?;
            let rest = &mut [IoSliceMut::new(&mut bytes[filled..])];
            filled += self.socket.receive_some(rest)?;
        }
        Ok(bytes)
    }

    fn in_time(&self) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => self.socket.set_patience(left),
        }
    }
}

/// Connects to a server and asks for the export, all within `patience`.
pub(super) fn connect(address: &Address, patience: Duration) -> Result<(Socket, Export)> {
    let deadline = Instant::now() + patience;
    let (socket, name) = match &address.server {
        Server::Tcp(host, port) => (Socket::tcp(host, *port, patience), format!("{host}:{port}")),
        Server::Unix(path) => (Socket::unix(path, patience), path.display().to_string()),
    };
    let socket = match socket {
        Ok(socket) => socket,
        Err(error) => return Err(Error::Server(format!("cannot connect to {name}: {error}"))),
    };
    let talk = Talk { socket, deadline };
    let export = negotiate(&talk, &address.export).map_err(|error| match error {
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            let seconds = patience.as_secs_f32();
            Error::Server(format!("{name} does not answer within {seconds} s"))
        }
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Error::Server(format!(
            "{name} has closed the connection during the handshake"
        )),
        Error::Io(error) => Error::Server(format!("{name}: {error}")),
        error => error,
    })?;
    Ok((talk.socket, export))
}

/// The handshake on an existing connection. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(super) fn over(
    socket: std::os::fd::OwnedFd,
    export: &str,
    patience: Duration,
) -> Result<(Socket, Export)> {
    let talk = Talk {
        socket: Socket::connected(socket),
        deadline: Instant::now() + patience,
    };
    let export = negotiate(&talk, export)?;
    Ok((talk.socket, export))
}

fn negotiate(talk: &Talk, name: &str) -> Result<Export> {
    let hello = talk.receive(18)?;
    if be64(&hello, 0) != MAGIC {
        return Err(nonsense("there is no NBD greeting"));
    }
    let theirs = be16(&hello, 16);
    if be64(&hello, 8) != NEWSTYLE || theirs & FIXED_NEWSTYLE == 0 {
        return Err(nonsense("its handshake is one of before 2012"));
    }
    let ours = u32::from(theirs & (FIXED_NEWSTYLE | NO_ZEROES));
    let request = [
        &(name.len() as u32).to_be_bytes()[..],
        name.as_bytes(),
        &1_u16.to_be_bytes(),
        &INFO_BLOCK_SIZE.to_be_bytes(),
    ]
    .concat();
    talk.send(&[
        &ours.to_be_bytes(),
        &NEWSTYLE.to_be_bytes(),
        &OPT_GO.to_be_bytes(),
        &(request.len() as u32).to_be_bytes(),
        &request,
    ])?;

    let mut export = None;
    let mut blocks = (1, DEFAULT_MAX);
    for _ in 0..MAX_ANSWERS {
        let head = talk.receive(20)?;
        let (kind, len) = (be32(&head, 12), be32(&head, 16));
        if be64(&head, 0) != REPLY || be32(&head, 8) != OPT_GO || len > MAX_ANSWER {
            return Err(nonsense("an answer that is none"));
        }
        let answer = talk.receive(len as usize)?;
        match kind {
            REP_ACK => return finish(export, blocks),
            REP_INFO if answer.len() >= 12 && be16(&answer, 0) == INFO_EXPORT => {
                export = Some((be64(&answer, 2), be16(&answer, 10)));
            }
            REP_INFO if answer.len() >= 14 && be16(&answer, 0) == INFO_BLOCK_SIZE => {
                blocks = (be32(&answer, 2), be32(&answer, 10));
            }
            // What else it tells was not asked for.
            REP_INFO => {}
            kind if kind & REP_ERR != 0 => return Err(refusal(kind & !REP_ERR, name, &answer)),
            _ => return Err(nonsense("an answer of an unknown kind")),
        }
    }
    Err(nonsense("its answers do not end"))
}

/// Checks the properties that the server has sent.
fn finish(export: Option<(u64, u16)>, (min, max): (u32, u32)) -> Result<Export> {
    let Some((size, flags)) = export else {
        return Err(nonsense("it does not tell the size"));
    };
    if size > crate::options::MAX_SIZE {
        return Err(nonsense("the size that it states is impossible"));
    }
    if !min.is_power_of_two() || max < min {
        return Err(nonsense("the sizes of its blocks are impossible"));
    }
    if min > 4096 {
        let why = format!("the server wants blocks of {min} bytes, more than a kernel's 4096");
        return Err(Error::Server(why));
    }
    // At least a block of 4096, which the kernel may read at once.
    let max_block = max.min(DEFAULT_MAX) / min.max(512) * min.max(512);
    match max_block {
        0 => Err(Error::Server(format!(
            "the server takes no more than {max} bytes at once"
        ))),
        max_block => Ok(Export {
            size,
            flags,
            min_block: min,
            max_block,
        }),
    }
}

/// The error for an error answer, with the server's message.
fn refusal(kind: u32, name: &str, words: &[u8]) -> Error {
    let why = match kind {
        1 => "the server is too old: it does not know NBD_OPT_GO".to_owned(),
        2 => "the server's policy forbids it".to_owned(),
        5 => "the server wants TLS, which is not supported".to_owned(),
        6 => format!("the server has no export {name:?}"),
        7 => "the server is shutting down".to_owned(),
        kind => format!("the server refuses with error {kind}"),
    };
    // Theirs, so what is in them is not trusted.
    let words: String = String::from_utf8_lossy(words).chars().take(200).collect();
    match words.trim() {
        "" => Error::Server(why),
        words => Error::Server(format!("{why} ({})", words.escape_debug())),
    }
}
