//! [`OwnLink`]: a network device whose operations are the program's, as a link of a kernel.

use std::ffi::c_int;
use std::io::{self, IoSliceMut};
use std::sync::{Mutex, PoisonError};

use drupe::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
use drupe_host::threads::{JoinHandle, spawn};

use crate::border::{Errno, Result, complain};

/// `LKL_DEV_NET_POLL_HUP`.
const HUP: c_int = 4;

/// Length of `struct virtio_net_hdr_v1`, which has two more bytes than a [`FrameHeader`].
const HEADER: usize = FrameHeader::LEN + 2;

/// `struct lkl_netdev`.
#[repr(C)]
pub(crate) struct Netdev {
    pub(crate) ops: *const NetOps,
    pub(crate) id: c_int,
    /// The first bit: `has_vnet_hdr`.
    pub(crate) flags: u8,
    pub(crate) mac: [u8; 6],
}

const _: () = assert!(size_of::<Netdev>() == 24);

impl Netdev {
    /// Frames have a header before them.
    pub(crate) const HAS_HEADER: u8 = 1;

    pub(crate) const fn new(ops: *const NetOps, flags: u8) -> Netdev {
        Netdev {
            ops,
            id: -1,
            flags,
            mac: [0; 6],
        }
    }
}

type Carry = unsafe extern "C" fn(*mut Netdev, *mut libc::iovec, c_int) -> c_int;

/// `struct lkl_dev_net_ops`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct NetOps {
    pub(crate) tx: Option<Carry>,
    pub(crate) rx: Option<Carry>,
    pub(crate) poll: Option<unsafe extern "C" fn(*mut Netdev) -> c_int>,
    pub(crate) poll_hup: Option<unsafe extern "C" fn(*mut Netdev)>,
    pub(crate) free: Option<unsafe extern "C" fn(*mut Netdev)>,
}

/// A device of the program's.
///
/// # Invariants
/// The device and its operations are there until [`OwnLink::join`] has returned.
pub(crate) struct OwnLink {
    device: Device,
    ops: NetOps,
    /// What waits for news of the device.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The program's device.
#[derive(Clone, Copy)]
struct Device(*mut Netdev);

// SAFETY: the program lets any thread call the operations.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    fn get(self) -> *mut Netdev {
        self.0
    }
}

impl OwnLink {
    /// `device` is one of the program's.
    pub(crate) fn new(device: *mut Netdev) -> Result<OwnLink> {
        // SAFETY: a device, with operations or without.
        let ops = unsafe { (*device).ops.as_ref() }.copied();
        let complete = |ops: &NetOps| {
            ops.tx.is_some() && ops.rx.is_some() && ops.poll.is_some() && ops.poll_hup.is_some()
        };
        let ops = ops.filter(complete).ok_or(Errno::of(libc::EINVAL))?;
        Ok(OwnLink {
            device: Device(device),
            ops,
            thread: Mutex::default(),
        })
    }

    fn has_header(&self) -> bool {
        // SAFETY: the type's invariant.
        unsafe { (*self.device.get()).flags & Netdev::HAS_HEADER != 0 }
    }

    /// Waits until its thread has ended, which `detach` has told it to.
    pub(crate) fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread.filter(|thread| !thread.is_current())
            && thread.join().is_err()
        {
            complain("the thread of a network device has panicked");
        }
    }
}

impl Link for OwnLink {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: None,
            mtu: 1500,
            offloads: Offloads::default(),
        }
    }

    fn attach(&self, waker: LinkWaker) {
        let (Some(poll), device) = (self.ops.poll, self.device) else {
            return;
        };
        let started = spawn("lkl-netdev", move || {
            loop {
                // SAFETY: a function of the program's, with its own device.
                let events = unsafe { poll(device.get()) };
                if events < 0 || events & HUP != 0 || (events != 0 && !waker.wake()) {
                    return;
                }
            }
        });
        match started {
            Ok(thread) => {
                *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            }
            Err(error) => complain(&format!("no thread for a network device: {error}")),
        }
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        let Some(tx) = self.ops.tx else {
            return frames.len();
        };
        let header = [0_u8; HEADER];
        for (sent, frame) in frames.iter().enumerate() {
            let mut pieces = Vec::with_capacity(frame.pieces.len() + 1);
            if self.has_header() {
                pieces.push(libc::iovec {
                    iov_base: header.as_ptr().cast_mut().cast(),
                    iov_len: HEADER,
                });
            }
            pieces.extend(frame.pieces.iter().map(|piece| libc::iovec {
                iov_base: piece.as_ptr().cast_mut().cast(),
                iov_len: piece.len(),
            }));
            // SAFETY: a function of the program's, with its own device and the pieces of a
            // frame, which it reads.
            let taken = unsafe {
                tx(
                    self.device.get(),
                    pieces.as_mut_ptr(),
                    pieces.len() as c_int,
                )
            };
            if taken < 0 {
                return sent;
            }
        }
        frames.len()
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        let Some(rx) = self.ops.rx else {
            return Ok(None);
        };
        let mut header = [0_u8; HEADER];
        let before = if self.has_header() { HEADER } else { 0 };
        let mut pieces = Vec::with_capacity(buffers.len() + 1);
        if before != 0 {
            pieces.push(libc::iovec {
                iov_base: header.as_mut_ptr().cast(),
                iov_len: HEADER,
            });
        }
        pieces.extend(buffers.iter_mut().map(|buffer| libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        }));
        // SAFETY: a function of the program's, with its own device and the pieces of a
        // buffer, which it fills.
        let len = unsafe {
            rx(
                self.device.get(),
                pieces.as_mut_ptr(),
                pieces.len() as c_int,
            )
        };
        let len = usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_sub(before));
        // Other devices finish their frames: this one offers no offloads.
        Ok(len
            .filter(|&len| len > 0)
            .map(|len| (len, FrameHeader::default())))
    }

    fn detach(&self) {
        if let Some(poll_hup) = self.ops.poll_hup {
            // SAFETY: a function of the program's, with its own device.
            unsafe { poll_hup(self.device.get()) };
        }
    }
}
