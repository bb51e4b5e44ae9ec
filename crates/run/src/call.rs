//! [`Call`]: a system call of the program that waits for an answer.

use std::time::Instant;

use rustix::io::Errno;

use crate::listener::Notification;
use crate::socket::Address;
use crate::target::Memory;

/// A system call of the program that waits for an answer.
pub(crate) struct Call {
    notification: Notification,
    /// When it fails if it still waits.
    pub(crate) deadline: Option<Instant>,
    /// Whether it has waited before.
    pub(crate) again: bool,
}

impl Call {
    pub(crate) fn new(notification: Notification) -> Call {
        Call {
            notification,
            deadline: None,
            again: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.notification.id
    }

    pub(crate) fn thread(&self) -> u32 {
        self.notification.pid
    }

    pub(crate) fn nr(&self) -> libc::c_long {
        self.notification.nr.into()
    }

    pub(crate) fn arg(&self, number: usize) -> u64 {
        self.notification.args[number]
    }

    /// An argument that is an int.
    pub(crate) fn int(&self, number: usize) -> i32 {
        self.arg(number) as i32
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory(self.thread())
    }

    /// The error when it has waited too long.
    pub(crate) fn late(&self) -> Errno {
        match self.nr() {
            libc::SYS_connect => Errno::INPROGRESS,
            _ => Errno::AGAIN,
        }
    }

    /// The socket option with its timeout: `SO_RCVTIMEO` or `SO_SNDTIMEO`.
    pub(crate) fn timeout_option(&self) -> i32 {
        match self.nr() {
            libc::SYS_accept
            | libc::SYS_accept4
            | libc::SYS_recvfrom
            | libc::SYS_recvmsg
            | libc::SYS_recvmmsg => libc::SO_RCVTIMEO,
            _ => libc::SO_SNDTIMEO,
        }
    }

    /// Reads an address from the program's memory.
    pub(crate) fn address(&self, at: u64, len: u64) -> Result<Address, Errno> {
        let mut bytes = [0; 128];
        let place = usize::try_from(len as i32).ok();
        let place = place.and_then(|len| bytes.get_mut(..len));
        let place = place.ok_or(Errno::INVAL)?;
        self.memory().read(at, place)?;
        Address::from_bytes(place)
    }

    /// Writes an address to the program's memory, as much as fits, and its length.
    pub(crate) fn put_address(&self, address: &Address, at: u64, len_at: u64) -> Result<(), Errno> {
        if at == 0 {
            return Ok(());
        }
        let memory = self.memory();
        let room = memory.read_u32(len_at)? as i32;
        let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
        let bytes = address.as_bytes();
        memory.write(at, &bytes[..bytes.len().min(room)])?;
        memory.write(len_at, &(bytes.len() as u32).to_ne_bytes())
    }
}
