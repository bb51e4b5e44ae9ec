//! Waiting for many sockets, and the descriptor that a program's own loop waits for.

use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::time::Duration;

use drupe::Kernel;
use drupe::net::{Event, Events, Interest, Poll, Socket, Token};

use crate::border::{Out, check_flags};
use crate::failure::{Failure, Result};

/// `DRUPE_READABLE`.
const READABLE: u32 = 1;
/// `DRUPE_WRITABLE`.
const WRITABLE: u32 = 2;
/// `DRUPE_EDGE`.
const EDGE: u32 = 4;
/// `DRUPE_FAILED`.
const FAILED: u32 = 8;
/// `DRUPE_ENDED`.
const ENDED: u32 = 16;

/// `struct drupe_event`.
#[repr(C)]
pub(crate) struct PollEvent {
    token: u64,
    events: u32,
    spare: u32,
}

const _: () = assert!(size_of::<PollEvent>() == 16);

impl PollEvent {
    fn of(event: &Event) -> PollEvent {
        let flags = [
            (event.is_readable(), READABLE),
            (event.is_writable(), WRITABLE),
            (event.is_error(), FAILED),
            (event.is_read_closed(), ENDED),
        ];
        let set = flags.iter().filter(|(is, _)| *is);
        PollEvent {
            token: event.token().0,
            events: set.fold(0, |all, (_, flag)| all | flag),
            spare: 0,
        }
    }
}

fn interest(events: u32) -> Result<Interest> {
    check_flags(events, READABLE | WRITABLE | EDGE)?;
    let interest = match (events & READABLE != 0, events & WRITABLE != 0) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (true, false) => Interest::READABLE,
        (false, true) => Interest::WRITABLE,
        (false, false) => return Err(Failure::argument("`events` are none")),
    };
    Ok(match events & EDGE {
        0 => interest,
        _ => interest.edge(),
    })
}

handles! {
    Poll => drupe_poll_free;
}

export! {
    fn drupe_poll_new(kernel: &Kernel) -> handle<Poll> {
        Ok(Poll::new(kernel)?)
    }

    fn drupe_poll_add(poll: &Poll, socket: &Socket, events: u32, token: u64) -> status {
        Ok(poll.add(socket, interest(events)?, Token(token))?)
    }

    fn drupe_poll_modify(poll: &Poll, socket: &Socket, events: u32, token: u64) -> status {
        Ok(poll.modify(socket, interest(events)?, Token(token))?)
    }

    fn drupe_poll_remove(poll: &Poll, socket: &Socket) -> status {
        Ok(poll.remove(socket)?)
    }

    fn drupe_poll_wait(
        poll: &Poll,
        events: *mut c_void,
        capacity: usize,
        timeout: i64,
        count: Out<usize>,
    ) -> status {
        let events: *mut PollEvent = events.cast();
        if events.is_null() || capacity == 0 {
            return Err(Failure::argument("there is no room for an event"));
        }
        let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
        let mut found = Events::with_capacity(capacity.min(1024));
        poll.wait(&mut found, timeout)?;
        for (index, event) in found.iter().take(capacity).enumerate() {
            // SAFETY: there is room for `capacity` of them, as the header says.
            unsafe { events.add(index).write(PollEvent::of(&event)) };
        }
        count.put(found.len().min(capacity));
        Ok(())
    }

    fn drupe_poll_descriptor(poll: &Poll, descriptor: Out<c_int>) -> status {
        descriptor.put(poll.as_fd()?.as_raw_fd());
        Ok(())
    }
}
