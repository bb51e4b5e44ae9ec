//! The vmalloc area: pages of the RAM at a second address.
//!
//! Anonymous memory cannot be mapped twice, so a page that the kernel wants in its
//! vmalloc area is first moved to a memory file, for good. The memory file is
//! mapped as a whole at a place that only this file knows, and every other mapping
//! of it is a mirror of that one (`mapping.rs`).

use super::layout::{Layout, PAGE};
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
    /// Which pages are still anonymous.
    private: Mutex<Vec<bool>>,
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
            private: Mutex::new(vec![private; size / PAGE]),
        })
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
    /// # Safety
    ///
    /// Nobody may write to these pages meanwhile, nor need what was at `at`.
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
    /// Nobody may write to these pages meanwhile.
    unsafe fn share(&self, space: &Reservation, pages: Range<usize>) -> Result<(), Errno> {
        let mut private = lock(&self.private);
        for page in pages.start / PAGE..pages.end / PAGE {
            if !private[page] {
                continue;
            }
            let offset = page * PAGE;
            // SAFETY: a page of RAM, readable, that nobody writes.
            let content = unsafe { slice::from_raw_parts(space.at(offset), PAGE) };
            if pwrite(&self.file, content, offset as u64)? != PAGE {
                return Err(Errno::NOMEM);
            }
            // SAFETY: the same content takes the place of what was there.
            unsafe { self.map_own(space, offset..offset + PAGE)? };
            private[page] = false;
        }
        Ok(())
    }
}
