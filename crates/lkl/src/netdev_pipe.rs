//! Two named pipes as a network device: what one program sends another one receives.
//!
//! Its operations are those that a program's own device has. Each frame is one packet of
//! the pipe's (`O_DIRECT`, pipe(2)), with an empty `struct virtio_net_hdr_v1` before it, as
//! LKL has it.

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use crate::border::{Errno, complain, utf8};
use crate::netdev_link::{NetOps, Netdev};

/// `LKL_DEV_NET_POLL_RX`, `_TX`, `_HUP`.
const RX: c_int = 1;
const TX: c_int = 2;
const HUP: c_int = 4;

/// The device.
#[repr(C)]
struct Pipes {
    netdev: Netdev,
    receive: File,
    send: File,
    /// Waits for the three others.
    epoll: OwnedFd,
    /// An event: the device is to go.
    hangup: OwnedFd,
}

static OPS: NetOps = NetOps {
    tx: Some(tx),
    rx: Some(rx),
    poll: Some(poll),
    poll_hup: Some(poll_hup),
    free: Some(free),
};

impl Pipes {
    fn open(receive: &str, send: &str) -> io::Result<Pipes> {
        let (receive, send) = (pipe(receive)?, pipe(send)?);
        // SAFETY: they make new descriptors.
        let [epoll, hangup] = unsafe {
            [
                libc::epoll_create1(libc::EPOLL_CLOEXEC),
                libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK),
            ]
        };
        if epoll < 0 || hangup < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: nobody else has them.
        let [epoll, hangup] = [epoll, hangup].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let edge = libc::EPOLLET as u32;
        for (fd, wanted, meaning) in [
            (receive.as_raw_fd(), libc::EPOLLIN as u32 | edge, RX),
            (send.as_raw_fd(), libc::EPOLLOUT as u32 | edge, TX),
            (hangup.as_raw_fd(), libc::EPOLLIN as u32, HUP),
        ] {
            let mut event = libc::epoll_event {
                events: wanted,
                u64: meaning as u64,
            };
            // SAFETY: it reads the event.
            if unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }
                < 0
            {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Pipes {
            netdev: Netdev::new(&raw const OPS, Netdev::HAS_HEADER),
            receive,
            send,
            epoll,
            hangup,
        })
    }
}

/// Opens a named pipe, so that neither end of it is ever missing.
fn pipe(path: &str) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(named)?;
    if !file.metadata()?.file_type().is_fifo() {
        let message = format!("{path} is not a named pipe; make one with mkfifo");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // SAFETY: flags of a descriptor of its own.
    if unsafe {
        libc::fcntl(
            file.as_raw_fd(),
            libc::F_SETFL,
            libc::O_NONBLOCK | libc::O_DIRECT,
        )
    } < 0
    {
        return Err(named(io::Error::last_os_error()));
    }
    Ok(file)
}

/// # Safety
/// `device` is the first member of [`Pipes`].
unsafe fn pipes<'a>(device: *mut Netdev) -> &'a Pipes {
    // SAFETY: the caller's.
    unsafe { &*device.cast::<Pipes>() }
}

unsafe extern "C" fn tx(device: *mut Netdev, pieces: *mut libc::iovec, count: c_int) -> c_int {
    // SAFETY: a device of this kind, and the pieces of a frame.
    let sent = unsafe { libc::writev(pipes(device).send.as_raw_fd(), pieces, count) };
    match sent {
        sent if sent >= 0 => sent as c_int,
        _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => -1,
        // A frame that cannot be sent for good is lost, as on any network.
        _ => 0,
    }
}

unsafe extern "C" fn rx(device: *mut Netdev, pieces: *mut libc::iovec, count: c_int) -> c_int {
    // SAFETY: a device of this kind, and the pieces of a buffer.
    unsafe { libc::readv(pipes(device).receive.as_raw_fd(), pieces, count) as c_int }
}

unsafe extern "C" fn poll(device: *mut Netdev) -> c_int {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
    // SAFETY: a device of this kind, and room for so many events.
    let count = unsafe {
        let epoll = pipes(device).epoll.as_raw_fd();
        libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as c_int, -1)
    };
    match usize::try_from(count) {
        Ok(count) => events[..count]
            .iter()
            .fold(0, |all, event| all | event.u64 as c_int),
        Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => 0,
        Err(_) => -1,
    }
}

unsafe extern "C" fn poll_hup(device: *mut Netdev) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: a device of this kind; an event takes eight bytes.
    unsafe {
        libc::write(
            pipes(device).hangup.as_raw_fd(),
            one.as_ptr().cast(),
            one.len(),
        )
    };
}

unsafe extern "C" fn free(device: *mut Netdev) {
    // SAFETY: a device of this kind that nobody uses any more.
    drop(unsafe { Box::from_raw(device.cast::<Pipes>()) });
}

export! {
    fn lkl_netdev_pipe_create(ifname: *const c_char, _offload: c_int) -> *mut Netdev {
        // SAFETY: a text of the caller's.
        let names = unsafe { utf8(ifname) }?;
        let opened = match names.split_once('|') {
            Some((receive, send)) if !send.contains('|') => Pipes::open(receive, send),
            _ => {
                let message = format!("{names:?}: two named pipes are \"RECEIVE|SEND\"");
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        };
        match opened {
            Ok(pipes) => Ok(Box::into_raw(Box::new(pipes)).cast()),
            Err(error) => {
                complain(&error.to_string());
                Err(Errno::host(&error))
            }
        }
    }
}
