//! Where things are in a kernel's memory: ranges, in bytes from its base, and
//! arithmetic.

use super::stacks::STACKS_SIZE;
use drupe_image::elf::{Elf, PAGE_SIZE};
use rustix::io::Errno;
use std::ops::Range;

/// A page's size as an address difference.
pub(super) const PAGE: usize = PAGE_SIZE as usize;

/// The ranges of one kernel.
///
/// # Invariants
///
/// All of them are in whole pages; `file_part <= image <= memory`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Bytes at the start that are mapped from the image's file.
    file_part: usize,
    /// Bytes of the image, what it wants zeroed included.
    image: usize,
    /// Image and RAM: what the kernel calls its physical memory.
    memory: usize,
    vmalloc: usize,
}

impl Layout {
    /// Of a kernel with the image `elf`, which fits into `memory` bytes.
    pub(super) fn new(elf: &Elf, memory: usize, vmalloc: usize) -> Layout {
        let file_end = elf.data.address + elf.data.file_size;
        Layout {
            file_part: (file_end as usize).next_multiple_of(PAGE),
            image: (elf.memory_size() as usize).next_multiple_of(PAGE),
            memory,
            vmalloc,
        }
    }

    /// How far [`Layout::base`] may be behind what it is given.
    pub(super) const MAX_SHIFT: usize = 8 << 20;

    /// The first base from `start` on with which the beginning of the vmalloc area,
    /// as much of it as a kernel that boots uses, is in one page table of each
    /// level: where it crosses from one to the next, a kernel has one page less for
    /// everything else, and no address behind that is the same.
    pub(super) fn base(&self, start: usize) -> usize {
        const USED: usize = 1 << 20;
        let fits = |base: &usize| {
            let area = base + self.vmalloc().start;
            // A table of the lowest level is for 2 MiB; the next one for 1 GiB, and
            // a crossing of a higher level is one of that.
            [2 << 20, 1 << 30]
                .iter()
                .all(|table| area / table == (area + USED) / table)
        };
        (start..).step_by(PAGE).find(fits).unwrap_or(start)
    }

    /// All that the kernel can touch before it maps or asks for anything.
    pub(super) fn memory(&self) -> Range<usize> {
        0..self.memory
    }

    /// What is mapped from the image's file.
    pub(super) fn file_part(&self) -> Range<usize> {
        0..self.file_part
    }

    /// What is memory, of no file: the rest of the image, and the RAM.
    pub(super) fn anonymous(&self) -> Range<usize> {
        self.file_part..self.memory
    }

    /// What the kernel's page allocator has.
    pub(super) fn ram(&self) -> Range<usize> {
        self.image..self.memory
    }

    pub(super) fn vmalloc(&self) -> Range<usize> {
        self.memory..self.memory + self.vmalloc
    }

    pub(super) fn stacks(&self) -> Range<usize> {
        let start = self.memory + self.vmalloc;
        start..start + STACKS_SIZE
    }

    /// Bytes of all of it.
    pub(super) fn total(&self) -> usize {
        self.stacks().end
    }

    /// The `len` bytes at `start` if they are whole pages in `within`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not.
    pub(super) fn pages(start: u64, len: u64, within: Range<usize>) -> Result<Range<usize>, Errno> {
        let end = start.checked_add(len).ok_or(Errno::INVAL)?;
        let inside = start >= within.start as u64 && end <= within.end as u64;
        let aligned = (start | len).is_multiple_of(PAGE_SIZE);
        if len == 0 || !inside || !aligned {
            return Err(Errno::INVAL);
        }
        Ok(start as usize..end as usize)
    }
}
