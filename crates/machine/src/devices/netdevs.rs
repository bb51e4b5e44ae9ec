//! The network devices of a kernel: frames between its driver
//! (`kernel/arch/drupe/drivers/link.c`) and [`Link`]s.
//!
//! A link's news (frames to receive, or room to send) is told in two steps: its bit in
//! `news` is set, then the link interrupt is raised, both SeqCst. The kernel takes the
//! interrupt, then the bits. So a bit is seen by the interrupt that follows it, or by an
//! earlier one.

use crate::devices::environment::contain;
use drupe_abi::{Errno, Frame, link_flags};
use drupe_host::link::{self, FrameHeader, Link, LinkWaker, Offloads};
use std::io::{IoSlice, IoSliceMut};
use std::slice;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError, RwLock};

/// The number of bits in `news`.
const MAX_LINKS: usize = 64;

/// How many frames a link is offered at a time; the driver sends no more at once.
const MAX_FRAMES: usize = 16;

const _: () = assert!(size_of::<FrameHeader>() == FrameHeader::LEN);

/// A network link of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkId {
    pub(crate) number: u32,
    pub(crate) index: u32,
}

impl LinkId {
    /// Index of the interface (`netdevice(7)`), from 1 on.
    pub fn index(self) -> u32 {
        self.index
    }
}

/// The links of one kernel, by number.
pub(crate) struct NetDevices {
    slots: RwLock<[Option<Arc<dyn Link>>; MAX_LINKS]>,
    news: AtomicU64,
}

impl Default for NetDevices {
    fn default() -> NetDevices {
        NetDevices {
            slots: RwLock::new([const { None }; MAX_LINKS]),
            news: AtomicU64::new(0),
        }
    }
}

impl std::fmt::Debug for NetDevices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetDevices").finish_non_exhaustive()
    }
}

/// The flags argument of `op::LINK_ADD`.
pub(crate) fn flags(offloads: Offloads) -> u64 {
    let Offloads { checksum, tso, uso } = offloads;
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    flag(checksum, link_flags::CSUM)
        | flag(checksum && tso, link_flags::TSO)
        | flag(checksum && uso, link_flags::USO)
}

impl NetDevices {
    /// Reserves a number for `link`, and attaches it with the waker that `waker` makes
    /// for that number.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when no number is free.
    pub(crate) fn insert(
        &self,
        link: Arc<dyn Link>,
        waker: impl FnOnce(u32) -> LinkWaker,
    ) -> Result<u32, Errno> {
        let number = {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            let number = slots.iter().position(Option::is_none).ok_or(Errno::NOSPC)?;
            slots[number] = Some(Arc::clone(&link));
            number
        };
        link.attach(waker(number as u32));
        Ok(number as u32)
    }

    /// Frees the number of a link that was removed from the kernel.
    pub(crate) fn remove(&self, number: u32) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let link = slots[number as usize].take();
        drop(slots);
        if let Some(link) = link {
            link.detach();
        }
    }

    /// Detaches all links, after the kernel has ended.
    pub(crate) fn clear(&self) {
        (0..MAX_LINKS as u32).for_each(|number| self.remove(number));
    }

    fn get(&self, number: u32) -> Option<Arc<dyn Link>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(number as usize)?.clone()
    }

    /// Sends frames; returns how many were taken. Those of a link that panics
    /// are lost.
    ///
    /// # Safety
    ///
    /// The vectors of `frames` are valid for reads.
    pub(crate) unsafe fn send(&self, number: u32, frames: &[Frame]) -> u32 {
        let Some(link) = self.get(number) else {
            return frames.len() as u32;
        };
        let frames = &frames[..frames.len().min(MAX_FRAMES)];
        let nothing = link::Frame {
            header: FrameHeader::default(),
            pieces: &[],
        };
        let mut shown = [nothing; MAX_FRAMES];
        for (shown, frame) in shown.iter_mut().zip(frames) {
            // SAFETY: as promised; `IoVec` is `struct iovec`, as `IoSlice` is
            // guaranteed to be on Unix, and any bytes are a header.
            unsafe {
                shown.header = frame.header.as_ptr().cast::<FrameHeader>().read_unaligned();
                shown.pieces = slice::from_raw_parts(
                    frame.iov.cast::<IoSlice<'_>>(),
                    frame.iov_count as usize,
                );
            }
        }
        let taken = contain(|| link.send(&shown[..frames.len()]));
        taken.unwrap_or(frames.len()).min(frames.len()) as u32
    }

    /// Receives a frame. Returns its length, 0 if there is none, or a negative errno.
    ///
    /// # Safety
    ///
    /// The vectors of `frame` are valid for writes, and nothing else uses them.
    pub(crate) unsafe fn receive(&self, number: u32, frame: &mut Frame) -> i64 {
        let Some(link) = self.get(number) else {
            return 0;
        };
        // SAFETY: as promised, and the layouts are the same.
        let buffers = unsafe {
            slice::from_raw_parts_mut(frame.iov.cast::<IoSliceMut<'_>>(), frame.iov_count as usize)
        };
        match contain(|| link.receive(buffers)) {
            Some(Ok(Some((len, header)))) => {
                // SAFETY: the field has room for a header, which is plain bytes.
                unsafe {
                    let place = frame.header.as_mut_ptr().cast::<FrameHeader>();
                    place.write_unaligned(header);
                }
                // 0 would say that there is none, and that the next one wakes the
                // kernel. One of 1 byte is as useless.
                len.max(1) as i64
            }
            Some(Ok(None)) => 0,
            Some(Err(error)) => {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                -i64::from(errno.raw_os_error())
            }
            None => -i64::from(Errno::IO.raw_os_error()),
        }
    }

    /// Notes that a link has news. The caller then raises the interrupt.
    pub(crate) fn has_news(&self, number: u32) {
        self.news.fetch_or(1 << number, SeqCst);
    }

    /// Takes the bitmap of links with news.
    pub(crate) fn news(&self) -> u64 {
        self.news.swap(0, SeqCst)
    }
}
