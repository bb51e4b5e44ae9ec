//! [`Reservation`]: the only code that makes, changes and removes a kernel's memory
//! mappings.
//!
//! A [`Reservation`] is a range of address space; everything that is mapped in it
//! is mapped here, and has `MADV_DONTFORK`: a child of `fork(2)` gets none of it
//! (`process/fork.rs`). The flag belongs to a mapping, and `mmap(2)` does not set
//! it, so there are three ways to a mapping that has it from the beginning:
//!
//! - `mprotect(2)` of a part of the reservation keeps the flag.
//! - `mremap(2)` from a shared mapping, with an old size of 0, makes a second
//!   mapping of the same pages, which inherits the flag: a [`Reservation::mirror`].
//! - A mapping of a file is noted in [`UNFLAGGED`] until its flag is set. A child that
//!   was forked in between removes the mapping.

use super::layout::PAGE;
use crate::generation::generation;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap, mmap_anonymous,
    mprotect, mremap_fixed, munmap,
};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

/// `MADV_GUARD_INSTALL` of `madvise(2)`, which no C library knows yet.
const GUARD_INSTALL: i32 = 102;

/// A range of address space, inaccessible where nothing is mapped in it. Ranges
/// given to its methods are in bytes from its base, in whole pages.
///
/// # Invariants
///
/// `base..base + len` is mapped by this value, and changed through its methods
/// only, until it is dropped. Each mapping in it has `MADV_DONTFORK`.
#[derive(Debug)]
pub(super) struct Reservation {
    base: *mut u8,
    len: usize,
    /// The generation of the process that made it.
    generation: u32,
}

// SAFETY: the pointer is an address of a reservation that this value owns; all
// methods that change what is there say who may call them.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

/// The access that a mapping of a file allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The pages are read and executed.
    Execute,
    /// Pages that are written to are copied first.
    CopyOnWrite,
    /// Pages that are written to change in the file.
    Shared,
}

impl Reservation {
    /// Reserves `len` bytes.
    pub(super) fn new(len: usize) -> Result<Reservation, Errno> {
        Reservation::placed(len, 0, |start| start)
    }

    /// Reserves `len` bytes at the address that `place` chooses: the argument, or up
    /// to `slack` bytes behind it. All of them are in whole pages.
    pub(super) fn placed(
        len: usize,
        slack: usize,
        place: impl FnOnce(usize) -> usize,
    ) -> Result<Reservation, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let all = len + slack;
        // SAFETY: a new mapping at an address of the kernel's choice. A child
        // that is forked before it has its flag has a range of nothing.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), all, ProtFlags::empty(), flags)? };
        let before = place(start.addr()) - start.addr();
        assert!(before <= slack);
        let base = start.wrapping_byte_add(before);
        // SAFETY: what was just mapped, before and behind the range.
        unsafe {
            if before > 0 {
                munmap(start, before)?;
            }
            if before < slack {
                munmap(base.wrapping_byte_add(len), slack - before)?;
            }
        }
        let reservation = Reservation {
            base: base.cast(),
            len,
            generation: generation(),
        };
        // SAFETY: it takes nothing from this process.
        unsafe { madvise(base, len, Advice::LinuxDontFork)? };
        Ok(reservation)
    }

    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }

    /// The address `offset` bytes behind the base; `offset` is at most the size.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.len);
        self.base.wrapping_add(offset)
    }

    /// Address and length of `range`, for a system call.
    fn place(&self, range: &Range<usize>) -> (*mut c_void, usize) {
        assert!(range.start <= range.end && range.end <= self.len);
        (self.at(range.start).cast(), range.len())
    }

    /// Maps `range` from `file` at `offset`.
    ///
    /// # Safety
    ///
    /// The former content of `range` is lost: nothing may use it. Nothing may change a
    /// file that is mapped for execution.
    pub(super) unsafe fn map_file(
        &self,
        range: Range<usize>,
        access: Access,
        file: impl AsFd,
        offset: u64,
    ) -> Result<(), Errno> {
        let (start, len) = self.place(&range);
        let read_write = ProtFlags::READ | ProtFlags::WRITE;
        let (protection, sharing) = match access {
            Access::Execute => (ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE),
            Access::CopyOnWrite => (read_write, MapFlags::PRIVATE),
            Access::Shared => (read_write, MapFlags::SHARED),
        };
        let _noted = Unflagged::note(start.addr(), len);
        // SAFETY: inside our reservation; the rest is the caller's promise.
        unsafe {
            mmap(
                start,
                len,
                protection,
                sharing | MapFlags::FIXED,
                file,
                offset,
            )?;
            madvise(start, len, Advice::LinuxDontFork)
        }
    }

    /// Maps the pages at `offset` of `source`, a mapping with [`Access::Shared`],
    /// also at `range`.
    ///
    /// # Safety
    ///
    /// The former content of `range` is lost: nothing may use it.
    pub(super) unsafe fn mirror(
        &self,
        range: Range<usize>,
        source: &Reservation,
        offset: usize,
    ) -> Result<(), Errno> {
        let (start, len) = self.place(&range);
        let (from, _) = source.place(&(offset..offset + len));
        // SAFETY: a size of 0 leaves the source as it is, and copies its flags;
        // the target is inside our reservation; the rest is the caller's promise.
        unsafe { mremap_fixed(from, 0, len, MremapFlags::MAYMOVE, start)? };
        Ok(())
    }

    /// Makes `range`, where nothing is mapped, readable and writable: zeroes, which take
    /// memory when they are touched.
    ///
    /// # Safety
    ///
    /// Nothing has been mapped there since the reservation was made.
    pub(super) unsafe fn open(&self, range: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.place(&range);
        // SAFETY: inside our reservation, and not in use.
        unsafe { mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE) }
    }

    /// Makes `range` inaccessible and frees its memory.
    ///
    /// # Safety
    ///
    /// Nothing may use its content.
    pub(super) unsafe fn close(&self, range: Range<usize>) -> Result<(), Errno> {
        let (start, len) = self.place(&range);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: inside our reservation. With its flag it becomes one mapping
        // with its neighbours; a child that is forked before has a range of
        // nothing.
        unsafe {
            mmap_anonymous(start, len, ProtFlags::empty(), flags)?;
            madvise(start, len, Advice::LinuxDontFork)
        }
    }

    /// Makes one page of an open range inaccessible. Returns whether that took two more
    /// mappings, as on hosts without guard pages (before Linux 6.13).
    ///
    /// # Safety
    ///
    /// Nothing may use its content.
    pub(super) unsafe fn guard(&self, range: Range<usize>) -> Result<bool, Errno> {
        let (start, len) = self.place(&range);
        // SAFETY: inside our reservation, and not in use.
        unsafe {
            if libc::madvise(start, len, GUARD_INSTALL) == 0 {
                return Ok(false);
            }
            mprotect(start, len, MprotectFlags::empty())?;
        }
        Ok(true)
    }

    /// Frees the memory of an open range, which then reads as zeroes.
    ///
    /// # Safety
    ///
    /// Nothing may use its content.
    pub(super) unsafe fn discard(&self, range: Range<usize>) {
        let (start, len) = self.place(&range);
        // If that fails, the pages stay.
        // SAFETY: inside our reservation; the rest is the caller's promise.
        let _ = unsafe { madvise(start, len, Advice::LinuxDontNeed) };
    }

    /// Which pages of an open range of private memory are in memory, one `bool` per page.
    /// All false if the host does not tell.
    pub(super) fn resident(&self, range: Range<usize>) -> Vec<bool> {
        let (start, len) = self.place(&range);
        let mut pages = vec![0u8; len.div_ceil(PAGE)];
        // SAFETY: there is a byte for each page.
        if unsafe { libc::mincore(start, len, pages.as_mut_ptr()) } != 0 {
            pages.fill(0);
        }
        pages.into_iter().map(|page| page & 1 != 0).collect()
    }

    /// Allocates or copies the pages of an open range, as if each was written to. On
    /// hosts that cannot do that at once, it happens when they are written to.
    pub(super) fn populate(&self, range: Range<usize>) {
        let (start, len) = self.place(&range);
        // SAFETY: inside our reservation; no content changes.
        let _ = unsafe { madvise(start, len, Advice::LinuxPopulateWrite) };
    }

    /// Asks for huge pages in an open range. No effect on hosts without them.
    pub(super) fn prefer_huge_pages(&self, range: Range<usize>) {
        let (start, len) = self.place(&range);
        // SAFETY: inside our reservation; no content changes.
        let _ = unsafe { madvise(start, len, Advice::LinuxHugepage) };
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.generation != generation() {
            // A child of fork(2) did not get the mapping: the range may be
            // somebody else's there.
            return;
        }
        // SAFETY: the whole reservation is ours, and nobody is inside: the
        // machine was halted before its memory is dropped.
        let result = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(result.is_ok(), "unmapping what was mapped");
    }
}

/// Mappings that exist, or are about to be made, and may not have their flag yet: address
/// and length; address 0 is a free entry. At most 16 threads can map at the same moment;
/// others wait.
static UNFLAGGED: [(AtomicUsize, AtomicUsize); 16] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 16];

/// An entry of [`UNFLAGGED`], until it is dropped.
struct Unflagged(usize);

impl Unflagged {
    fn note(start: usize, len: usize) -> Unflagged {
        loop {
            for (index, (address, length)) in UNFLAGGED.iter().enumerate() {
                // The address makes the entry ours; a child that sees the address
                // without the length sees no mapping either: both are written
                // before it is made.
                if address.compare_exchange(0, start, SeqCst, SeqCst).is_ok() {
                    length.store(len, SeqCst);
                    return Unflagged(index);
                }
            }
            thread::yield_now();
        }
    }
}

impl Drop for Unflagged {
    fn drop(&mut self) {
        let (address, length) = &UNFLAGGED[self.0];
        length.store(0, SeqCst);
        address.store(0, SeqCst);
    }
}

/// Called in a child of `fork(2)`: removes the mappings of [`UNFLAGGED`]. No other
/// mapping can be at their addresses, since the child has no reservation.
pub(super) fn forked() {
    for (address, length) in &UNFLAGGED {
        let (start, len) = (address.load(SeqCst), length.load(SeqCst));
        if len != 0 {
            // SAFETY: a part of a reservation that this process does not have.
            let _ = unsafe { munmap(ptr::with_exposed_provenance_mut(start), len) };
        }
        length.store(0, SeqCst);
        address.store(0, SeqCst);
    }
}
