//! The vmalloc area: pages of the RAM at a second address.
//!
//! Anonymous memory cannot be mapped twice, so a page that the kernel wants in its
//! vmalloc area is first moved to a memory file, for good. The memory file is
//! mapped as a whole at a place that only this file knows, and every other mapping
//! of it is a mirror of that one (`mapping.rs`).
//!
//! While a page moves nobody may write to it. The kernel does not, it waits for
//! the operation; a page that is lent (`lent.rs`) to a disk stays where it is
//! until the disk is done with it, and the kernel is told to try again.

use super::layout::{Layout, PAGE};
use super::lent::{Borrower, Lent, Loan};
use super::mapping::{Access, Reservation};
use crate::instance::lock;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use std::ops::Range;
use std::slice;
use std::sync::Mutex;

/// What RAM has become of it.
///
/// # Invariants
///
/// `all` maps all of `file` with [`Access::Shared`]; offset 0 is page frame 0.
#[derive(Debug)]
pub(super) struct Mirror {
    file: OwnedFd,
    all: Reservation,
    /// Locked while pages move.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Which pages are still anonymous; none: no page is, or will be.
    private: Vec<bool>,
    lent: Lent,
}

impl Mirror {
    /// For `layout.memory()`; `private`: its pages are not in the file.
    pub(super) fn new(layout: &Layout, private: bool) -> Result<Mirror, Errno> {
        let size = layout.memory().end;
        let file = memfd_create("drupe-ram", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, size as u64)?;
        let all = Reservation::new(size)?;
        // SAFETY: nothing is there yet.
        unsafe { all.map_file(0..size, Access::Shared, &file, 0)? };
        Ok(Mirror {
            file,
            all,
            state: Mutex::new(State {
                private: vec![true; if private { size / PAGE } else { 0 }],
                lent: Lent::default(),
            }),
        })
    }

    /// From now on `borrower` may write to `ranges`, bytes of RAM. `None`: no page
    /// will ever move.
    pub(super) fn lend(
        &self,
        borrower: Borrower,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Option<Loan> {
        let mut state = lock(&self.state);
        (!state.private.is_empty()).then(|| state.lent.begin(borrower, ranges))
    }

    /// That is over.
    pub(super) fn end_loan(&self, loan: Loan) {
        lock(&self.state).lent.end(loan);
    }

    /// Maps the pages of the file that belong at `pages` there.
    ///
    /// # Safety
    ///
    /// What was there is gone: nobody may need it.
    pub(super) unsafe fn map_own(
        &self,
        space: &Reservation,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        let offset = pages.start;
        // SAFETY: passed on.
        unsafe { space.mirror(pages, &self.all, offset) }
    }

    /// Maps the `pages` of RAM also at `at`, in the vmalloc area.
    ///
    /// # Errors
    ///
    /// `EAGAIN` while a disk may write to a page that would have to move.
    ///
    /// # Safety
    ///
    /// Nobody but who they are lent to may write to these pages meanwhile, nor
    /// need what was at `at`.
    pub(super) unsafe fn map(
        &self,
        space: &Reservation,
        at: Range<usize>,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        // SAFETY: passed on.
        unsafe {
            self.share(space, pages.clone())?;
            space.mirror(at, &self.all, pages.start)
        }
    }

    /// Moves pages of RAM to the memory file, where they are not there yet.
    ///
    /// # Safety
    ///
    /// As for [`Mirror::map`].
    unsafe fn share(&self, space: &Reservation, pages: Range<usize>) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if state.private.is_empty() {
            return Ok(());
        }
        for page in pages.start / PAGE..pages.end / PAGE {
            if !state.private[page] {
                continue;
            }
            // What the program writes to a buffer while it asks the kernel to
            // work with it has no defined content in any case.
            if state.lent.borrower(page) == Some(Borrower::Disk) {
                return Err(Errno::AGAIN);
            }
            let offset = page * PAGE;
            // SAFETY: a page of RAM, readable, that nobody writes.
            let content = unsafe { slice::from_raw_parts(space.at(offset), PAGE) };
            if pwrite(&self.file, content, offset as u64)? != PAGE {
                return Err(Errno::NOMEM);
            }
            // SAFETY: the same content takes the place of what was there.
            unsafe { self.map_own(space, offset..offset + PAGE)? };
            state.private[page] = false;
        }
        Ok(())
    }
}
