//! [`Message`]: the arguments of sendto(2), sendmsg(2), recvfrom(2) and recvmsg(2):
//! pieces of memory, address, control messages.

use libc::iovec;
use rustix::io::Errno;

use crate::call::Call;
use crate::target::{Memory, vector};

/// `UIO_MAXIOV`.
const PIECES: usize = 1024;
/// `struct msghdr`, and where its fields are.
const HEADER: usize = 56;
const NAME_LEN: u64 = 8;
const CONTROL_LEN: u64 = 40;
const FLAGS: u64 = 48;
/// `struct mmsghdr`: a header and how much was sent or received.
pub(super) const MANY: u64 = 64;
pub(super) const MANY_LEN: u64 = 56;
/// `net.core.optmem_max` is less.
const CONTROL: usize = 1 << 16;

/// The places of a message in the program's memory.
pub(super) struct Message {
    pub(super) memory: Memory,
    pub(super) pieces: Vec<iovec>,
    pub(super) name: u64,
    pub(super) name_len: usize,
    pub(super) control: u64,
    pub(super) control_len: usize,
    /// The place of the header, or of the address's length, which receiving writes.
    place: Place,
}

enum Place {
    Header(u64),
    NameLen(u64),
}

impl Message {
    /// The message of recvfrom(2) or sendto(2).
    pub(super) fn of_arguments(call: &Call, receive: bool) -> Result<Message, Errno> {
        let memory = call.memory();
        let (name, len) = (call.arg(4), call.arg(5));
        let name_len = match (name, receive) {
            (0, _) => 0,
            (_, true) => memory.read_u32(len)?,
            (_, false) => len as u32,
        };
        Ok(Message {
            memory,
            pieces: vec![vector(call.arg(1), call.arg(2))],
            name,
            name_len: name_length(name_len)?,
            control: 0,
            control_len: 0,
            place: Place::NameLen(len),
        })
    }

    /// The message of a `struct msghdr`.
    pub(super) fn of_header(call: &Call, at: u64) -> Result<Message, Errno> {
        let memory = call.memory();
        let mut header = [0; HEADER];
        memory.read(at, &mut header)?;
        let word = |at: usize| {
            let bytes = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| header[at + i]);
            u64::from_ne_bytes(bytes)
        };
        let name = word(0);
        let count = word(24) as usize;
        if count > PIECES {
            return Err(Errno::MSGSIZE);
        }
        let mut pieces = vec![0; count * 16];
        memory.read(word(16), &mut pieces)?;
        let pieces = pieces.chunks_exact(16).map(|piece| {
            let half = |at: usize| {
                let bytes = [0, 1, 2, 3, 4, 5, 6, 7].map(|i| piece[at + i]);
                u64::from_ne_bytes(bytes)
            };
            vector(half(0), half(8))
        });
        Ok(Message {
            memory,
            pieces: pieces.collect(),
            name,
            name_len: match name {
                0 => 0,
                _ => name_length(word(8) as u32)?,
            },
            control: word(32),
            control_len: match word(32) {
                0 => 0,
                _ => (word(40) as usize).min(CONTROL),
            },
            place: Place::Header(at),
        })
    }

    /// Its length in bytes, or the room for it.
    pub(super) fn len(&self) -> usize {
        let lens = self.pieces.iter().map(|piece| piece.iov_len);
        lens.fold(0, usize::saturating_add)
    }

    /// Writes a received message to the program's memory.
    pub(super) fn put(
        &self,
        bytes: &[u8],
        name: &[u8],
        control: &[u8],
        mut flags: i32,
    ) -> Result<(), Errno> {
        let memory = self.memory;
        memory.scatter(&self.pieces, bytes)?;
        if self.name != 0 {
            memory.write(self.name, &name[..name.len().min(self.name_len)])?;
            let at = match self.place {
                Place::Header(at) => at + NAME_LEN,
                Place::NameLen(at) => at,
            };
            memory.write(at, &(name.len() as u32).to_ne_bytes())?;
        }
        let Place::Header(at) = self.place else {
            return Ok(());
        };
        let control = match control.len() <= self.control_len {
            true => control,
            false => {
                flags |= libc::MSG_CTRUNC;
                &[]
            }
        };
        memory.write(self.control, control)?;
        memory.write(at + CONTROL_LEN, &control.len().to_ne_bytes())?;
        memory.write(at + FLAGS, &flags.to_ne_bytes())
    }
}

fn name_length(len: u32) -> Result<usize, Errno> {
    let len = usize::try_from(len as i32).map_err(|_| Errno::INVAL)?;
    Ok(len.min(128))
}
