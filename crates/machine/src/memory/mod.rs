//! [`Memory`]: a kernel's memory, one range of the process's address space.
//!
//! ```text
//!  base                               memory              stacks             end
//!  │ text │ data │ bss │ RAM ──────────▶│ vmalloc area ──────▶│ stacks ──────▶│
//!   image file,                          pages of the RAM,     private memory
//!   private                              mapped again
//! ```
//!
//! Nothing of a kernel is outside of it, so dropping the [`Memory`] frees all.
//!
//! - `layout.rs`: the ranges, and arithmetic.
//! - `mapping.rs`: the only code that makes mappings.
//! - `load.rs`: maps the image.
//! - `ram.rs`: the kinds of RAM.
//! - `mirror.rs`: the vmalloc area; `budget.rs`: how many mappings it may use.
//! - `lent.rs`: pages to which a disk or the program writes.
//! - `trim.rs`: frees pages of zeroes.
//! - `stacks.rs`: the stacks of tasks.
//! - `snapshot.rs`: memory from a snapshot.

mod budget;
mod layout;
pub(crate) mod lent;
mod load;
mod mapping;
mod mirror;
mod ram;
pub(crate) mod snapshot;
mod stacks;
mod trim;

pub use ram::Ram;

use drupe_image::elf::{Elf, Relocation};
use drupe_image::embed;
use layout::{Layout, PAGE};
use lent::{Borrower, Loan};
use mapping::Reservation;
use mirror::Mirror;
use rustix::io::Errno;
use stacks::Stacks;
use std::io;
use std::ops::Range;

/// Called in a child of `fork(2)`, which has none of the kernels' memory: resets what is
/// global.
pub(crate) fn forked() {
    mapping::forked();
    budget::forked();
}

/// A kernel's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Anonymous RAM in small pages, whose pages read as zeroes once freed.
    trimmable: Range<usize>,
    layout: Layout,
    space: Reservation,
    mirror: Mirror,
    stacks: Stacks,
}

impl Memory {
    /// Reserves memory and loads the embedded image into it: mapped, relocated, not
    /// started. With `skew`, the base is at least so many pages behind the address that
    /// the host chooses, and such that the kernel needs the same number of page tables
    /// with each skew.
    pub(crate) fn load(
        elf: &Elf,
        relocations: &[Relocation],
        ram: Ram,
        memory_size: usize,
        vmalloc_size: usize,
        skew: Option<usize>,
    ) -> io::Result<Memory> {
        let layout = Layout::new(elf, memory_size, vmalloc_size);
        let space = match skew {
            None => Reservation::new(layout.total())?,
            Some(pages) => {
                let least = pages * PAGE;
                // As much behind: the host places it from the end downwards.
                let slack = 2 * least + Layout::MAX_SHIFT;
                Reservation::placed(layout.total(), slack, |start| layout.base(start + least))?
            }
        };
        let mirror = Mirror::new(layout, ram != Ram::SharedFile)?;
        load::map(&space, elf, layout.file_part().end, &embed::backing()?)?;
        load::relocate(&space, relocations);
        let anonymous = layout.anonymous();
        // SAFETY: nothing is mapped there yet.
        unsafe {
            match ram {
                Ram::HugePages => {
                    space.open(anonymous.clone())?;
                    space.prefer_huge_pages(anonymous);
                }
                Ram::SmallPages => space.open(anonymous)?,
                Ram::SharedFile => mirror.map_own(&space, anonymous)?,
            }
        }
        let trimmable = match ram {
            Ram::SmallPages => layout.ram(),
            // A huge page would be cut to pieces.
            Ram::HugePages | Ram::SharedFile => 0..0,
        };
        Ok(Memory {
            trimmable,
            stacks: Stacks::new(layout.stacks().start),
            layout,
            space,
            mirror,
        })
    }

    /// Bytes of image and RAM.
    pub(crate) fn size(&self) -> usize {
        self.layout.memory().end
    }

    /// Bytes of the vmalloc area, which follows image and RAM.
    pub(crate) fn vmalloc_size(&self) -> usize {
        self.layout.vmalloc().len()
    }

    /// The address `offset` bytes behind the base; `offset` is at most the size.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        self.space.at(offset)
    }

    /// The offset of `address` from the base. The caller checks that it is not below the
    /// base.
    fn offset(&self, address: u64) -> u64 {
        address.wrapping_sub(self.space.base().addr() as u64)
    }

    /// Whether `address` is in the kernel's memory.
    pub(crate) fn owns(&self, address: u64) -> bool {
        self.offset(address) < self.layout.total() as u64
    }

    /// Whether `address` is in the range of the stacks.
    fn is_stack(&self, address: u64) -> bool {
        let stacks = self.layout.stacks();
        (stacks.start as u64..stacks.end as u64).contains(&self.offset(address))
    }

    /// Whether `sp` is in a stack with at least `room` bytes below it.
    pub(crate) fn is_stack_with_room(&self, sp: u64, room: usize) -> bool {
        self.is_stack(sp) && self.stacks.room(self.offset(sp) as usize) >= room
    }

    /// The end of a stack of [`drupe_abi::STACK_SIZE`] bytes for a task.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn stack_alloc(&self) -> Result<*mut u8, Errno> {
        self.stacks.alloc(&self.space)
    }

    /// Frees a stack of [`Memory::stack_alloc`].
    pub(crate) fn stack_free(&self, end: *mut u8) {
        self.stacks.free(&self.space, end);
    }

    /// Frees pages that the kernel has touched and that hold zeroes.
    ///
    /// # Safety
    ///
    /// The kernel does not run meanwhile.
    pub(crate) unsafe fn trim(&self) {
        if !self.trimmable.is_empty() {
            // SAFETY: passed on.
            unsafe { self.mirror.trim(&self.space, self.trimmable.clone()) };
        }
    }

    /// Lends the memory at `ranges`, addresses in the kernel's RAM, to `borrower`, who
    /// may then write to it without holding the CPU. `None`: no loan is needed.
    pub(crate) fn lend(
        &self,
        borrower: Borrower,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Option<Loan> {
        let base = self.space.base().addr();
        let ranges = ranges.map(|range| range.start - base..range.end - base);
        self.mirror.lend(borrower, ranges)
    }

    /// Ends a loan of [`Memory::lend`].
    pub(crate) fn end_loan(&self, loan: Loan) {
        self.mirror.end_loan(loan);
    }

    /// Maps `len` bytes of RAM at `pa` also at `va` in the vmalloc area. Called by
    /// the holder of the CPU.
    ///
    /// # Errors
    ///
    /// `EINVAL` for ranges outside, or for pages of the image, which cannot be mapped
    /// twice; `EAGAIN` while a disk may write to a page that would have to move.
    pub(crate) fn map(&self, va: u64, pa: u64, len: u64) -> Result<(), Errno> {
        let at = Layout::pages(self.offset(va), len, self.layout.vmalloc())?;
        let pages = Layout::pages(pa, len, self.layout.anonymous())?;
        // SAFETY: only the kernel uses its vmalloc area, and it asked for this;
        // it waits for us. Nobody else writes to its RAM, unless it is lent.
        unsafe { self.mirror.map(&self.space, at, pages) }
    }

    /// Makes `len` bytes at `va` in the vmalloc area inaccessible.
    ///
    /// # Errors
    ///
    /// `EINVAL` for ranges outside.
    pub(crate) fn unmap(&self, va: u64, len: u64) -> Result<(), Errno> {
        let range = Layout::pages(self.offset(va), len, self.layout.vmalloc())?;
        // SAFETY: the kernel has let go of the range.
        unsafe { self.mirror.unmap(&self.space, range) };
        Ok(())
    }

    /// Maps `address` again if its mapping in the vmalloc area was dropped. Returns
    /// whether the access that faulted can be tried again.
    ///
    /// For signal handlers of the thread that holds the CPU and was in the kernel's code.
    pub(crate) fn restore(&self, address: u64) -> bool {
        let offset = self.offset(address) as usize;
        self.layout.vmalloc().contains(&offset) && self.mirror.restore(&self.space, offset)
    }
}

#[cfg(test)]
mod tests;
