//! [`Layout`]: the ranges of a kernel's memory, in bytes from its base.

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
    /// Bytes of the image, including its zeroed part.
    image: usize,
    /// Bytes of image and RAM, which the kernel calls its physical memory.
    memory: usize,
    vmalloc: usize,
}

impl Layout {
    /// The layout of a kernel with the image `elf`, `memory` bytes for image and RAM, and
    /// a vmalloc area of `vmalloc` bytes. The image must fit.
    pub(super) fn new(elf: &Elf, memory: usize, vmalloc: usize) -> Layout {
        let file_end = elf.data.address + elf.data.file_size;
        Layout {
            file_part: (file_end as usize).next_multiple_of(PAGE),
            image: (elf.memory_size() as usize).next_multiple_of(PAGE),
            memory,
            vmalloc,
        }
    }

    /// The result of [`Layout::base`] is at most so many bytes behind its argument.
    pub(super) const MAX_SHIFT: usize = 8 << 20;

    /// The first base from `start` on with which the part of the vmalloc area that a boot
    /// uses is in one page table of each level. Otherwise a kernel needs one more page
    /// for page tables, and all later pages have other addresses than in kernels that do
    /// not, so that they could not be compared.
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

    /// Image and RAM, which the kernel can access from the beginning.
    pub(super) fn memory(&self) -> Range<usize> {
        0..self.memory
    }

    /// The part that is mapped from the image's file.
    pub(super) fn file_part(&self) -> Range<usize> {
        0..self.file_part
    }

    /// The part that no file backs: the rest of the image, and the RAM.
    pub(super) fn anonymous(&self) -> Range<usize> {
        self.file_part..self.memory
    }

    /// The RAM, which the kernel's page allocator manages.
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

    /// Bytes of the whole range.
    pub(super) fn total(&self) -> usize {
        self.stacks().end
    }

    /// The range of `len` bytes at `start`, if it is in `within` and consists of whole
    /// pages.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not.
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
