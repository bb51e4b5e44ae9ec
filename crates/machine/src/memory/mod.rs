//! A kernel's memory: one range of the process's address space.
//!
//! ```text
//!  base                               memory              stacks             end
//!  │ text │ data │ bss │ RAM ──────────▶│ vmalloc area ──────▶│ stacks ──────▶│
//!   image file,                          pages of the RAM,     private memory
//!   private                              mapped again
//! ```
//!
//! Nothing of a kernel lives outside: dropping the [`Memory`] leaves nothing.
//!
//! - `layout.rs`: the ranges, and arithmetic.
//! - `mapping.rs`: the only code that makes mappings.
//! - `load.rs`: the image.
//! - `mirror.rs`: the vmalloc area.
//! - `stacks.rs`: what tasks run on.

mod layout;
mod load;
pub(crate) mod mapping;
mod mirror;
mod stacks;

use drupe_image::elf::Elf;
use drupe_image::embed;
use layout::Layout;
use mapping::Reservation;
use mirror::Mirror;
use rustix::io::Errno;
use stacks::Stacks;
use std::io;

/// A kernel's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    layout: Layout,
    space: Reservation,
    mirror: Mirror,
    stacks: Stacks,
}

/// RAM up to this size, in bytes, starts as anonymous memory.
const MAX_PRIVATE: usize = 128 << 20;

impl Memory {
    /// Reserves memory and loads the embedded image into it: mapped, relocated,
    /// not started.
    pub(crate) fn load(elf: &Elf, memory_size: usize, vmalloc_size: usize) -> io::Result<Memory> {
        let layout = Layout::new(elf, memory_size, vmalloc_size);
        let private = memory_size <= MAX_PRIVATE;
        let space = Reservation::new(layout.total())?;
        let mirror = Mirror::new(&layout, private)?;
        load::load(&space, &layout, elf, &embed::backing()?)?;
        let ram = layout.anonymous();
        // SAFETY: nothing is mapped there yet.
        unsafe {
            if private {
                space.open(ram.clone())?;
                space.prefer_huge_pages(ram);
            } else {
                mirror.map_own(&space, ram)?;
            }
        }
        Ok(Memory {
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

    /// Bytes of the vmalloc area, right behind.
    pub(crate) fn vmalloc_size(&self) -> usize {
        self.layout.vmalloc().len()
    }

    /// The address `offset` bytes behind the base; `offset` is at most the size.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        self.space.at(offset)
    }

    /// The offset of an address behind the base, which the caller checks.
    fn offset(&self, address: u64) -> u64 {
        address.wrapping_sub(self.space.base().addr() as u64)
    }

    /// Whether `address` is where the stacks of tasks are.
    pub(crate) fn is_stack(&self, address: u64) -> bool {
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

    /// A stack of [`Memory::stack_alloc`] is not used any more.
    pub(crate) fn stack_free(&self, end: *mut u8) {
        self.stacks.free(&self.space, end);
    }

    /// Maps `len` bytes of RAM at `pa` also at `va` in the vmalloc area. Nobody
    /// may write to these pages meanwhile.
    ///
    /// # Errors
    ///
    /// `EINVAL` for ranges outside, or for pages of the image, which are not
    /// shared memory; those of `mmap(2)`.
    pub(crate) fn map(&self, va: u64, pa: u64, len: u64) -> Result<(), Errno> {
        let at = Layout::pages(self.offset(va), len, self.layout.vmalloc())?;
        let pages = Layout::pages(pa, len, self.layout.anonymous())?;
        // SAFETY: only the kernel uses its vmalloc area, and it asked for this;
        // it waits for us, and the caller keeps everybody else away.
        unsafe { self.mirror.map(&self.space, at, pages) }
    }

    /// Makes `len` bytes at `va` in the vmalloc area inaccessible.
    ///
    /// # Errors
    ///
    /// See [`Memory::map`].
    pub(crate) fn unmap(&self, va: u64, len: u64) -> Result<(), Errno> {
        let range = Layout::pages(self.offset(va), len, self.layout.vmalloc())?;
        // SAFETY: the kernel has let go of the range.
        unsafe { self.space.close(range) }
    }
}

#[cfg(test)]
mod tests;
