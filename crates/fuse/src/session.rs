//! [`Session`]: the serving thread: negotiates with the host, then serves requests.
//!
//! The thread reads a request, serves it and answers. When there is none, it polls for a
//! while ([`Patience`]) before it sleeps, since the next small request often comes soon,
//! and waking a thread takes longer than most requests.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use drupe::Errno;

use crate::channel::Received;
use crate::patience::Patience;
use crate::requests::{LARGEST, Served};
use crate::wire::{Abilities, Answer, Offer, Request, flag, opcode};

/// Bytes of the longest request: the largest write and its header.
const ROOM: usize = LARGEST as usize + 4096;

/// Limit of background requests (such as readahead) at a time.
const BACKGROUND: u16 = 64;

/// The features that are requested from the host.
///
/// Not `FUSE_ATOMIC_O_TRUNC`: the host checks whether a file is being executed (ETXTBSY)
/// only after it was opened, and so truncated.
///
/// Not `FUSE_ASYNC_DIO`: after asynchronous direct I/O, the host does not drop pages that
/// others have read into its cache meanwhile.
const WANTED: u64 = flag::ASYNC_READ
    | flag::BIG_WRITES
    | flag::MAX_PAGES
    | flag::INIT_EXT
    | flag::DONT_MASK
    | flag::DO_READDIRPLUS
    | flag::READDIRPLUS_AUTO
    | flag::PARALLEL_DIROPS
    | flag::HANDLE_KILLPRIV_V2
    | flag::POSIX_ACL
    | flag::CACHE_SYMLINKS
    | flag::EXPORT_SUPPORT
    // What the host writes it has in its cache: a newer time of modification is no
    // reason to read it again.
    | flag::EXPLICIT_INVAL_DATA;

/// A mount that is about to be served.
pub(crate) struct Session {
    served: Served,
    buffer: Vec<u8>,
    answer: Answer,
}

impl Session {
    /// Negotiates the features with the host. With `writeback`, the host gathers writes.
    pub(crate) fn new(served: Served, writeback: bool) -> io::Result<Session> {
        let mut session = Session {
            served,
            buffer: vec![0; ROOM],
            answer: Answer::default(),
        };
        while !session.agree(writeback)? {}
        Ok(session)
    }

    /// Answers one request; `true`: the negotiation is complete.
    fn agree(&mut self, writeback: bool) -> io::Result<bool> {
        let channel = &self.served.channel;
        let len = match channel.receive(&mut self.buffer)? {
            Received::Message(len) => len,
            Received::Nothing => {
                channel.wait()?;
                return Ok(false);
            }
            Received::Unmounted => return Err(io::ErrorKind::NotConnected.into()),
        };
        let Some((request, arguments)) = Request::parse(&self.buffer[..len]) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        self.answer.clear();
        let offer = match request.opcode {
            opcode::INIT => Offer::parse(arguments),
            _ => Err(Errno::IO),
        };
        let gathering = match writeback {
            true => flag::WRITEBACK_CACHE,
            false => 0,
        };
        let agreed = offer.map(|offer| {
            let abilities = Abilities {
                flags: WANTED | gathering,
                largest: LARGEST,
                background: BACKGROUND,
            };
            offer.agree(abilities, &mut self.answer);
            !offer.is_of_later_major()
        });
        let result = agreed.map(drop);
        channel.send(self.answer.finish(request.unique, result));
        Ok(agreed?)
    }

    /// Serves until it is unmounted.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let served = self.serve_all();
        self.served.shared.progress.rests();
        served
    }

    fn serve_all(&mut self) -> io::Result<()> {
        let channel = Arc::clone(&self.served.channel);
        let mut patience = Patience::new();
        let shared = Arc::clone(&self.served.shared);
        let progress = &shared.progress;
        loop {
            progress.looks();
            match channel.receive(&mut self.buffer)? {
                Received::Message(len) => {
                    progress.found();
                    patience.found();
                    if !self.served.serve(&self.buffer[..len], &mut self.answer) {
                        return Ok(());
                    }
                }
                Received::Nothing => {
                    progress.rests();
                    match patience.lasts(Instant::now()) {
                        true => rustix::thread::sched_yield(),
                        false => channel.wait()?,
                    }
                }
                Received::Unmounted => return Ok(()),
            }
        }
    }
}
