//! A kernel's memory: one range of the process's address space.
//!
//! ```text
//!  base                          memory_size             stacks             end
//!  │ text │ data │ bss │ RAM ──────────▶│ vmalloc area ──────▶│ stacks ──────▶│
//!   image file,                          pages of the RAM,     private memory
//!   private                              mapped again          (stacks.rs)
//! ```
//!
//! Nothing of a kernel lives outside: dropping the [`Memory`] leaves nothing.
//!
//! RAM starts as anonymous memory in huge pages: touching a page for the first
//! time is most of what a short-lived kernel costs, and this way 512 are touched
//! at once. Anonymous memory cannot be mapped a second time, so a page that the
//! kernel wants in its vmalloc area is first moved to a memory file, for good.
//! Each such page may cost two of the 65,530 mappings that a process can have:
//! RAM of more than 128 MiB is all in the file from the start.

use crate::instance::lock;
mod stacks;

use crate::process::fork;
use drupe_image::elf::{Elf, PAGE_SIZE};
use drupe_image::embed::{self, Backing};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use stacks::{STACKS_SIZE, Stacks};
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::slice;
use std::sync::Mutex;

/// A kernel's memory.
///
/// # Invariants
///
/// `base..base + total` is reserved by this value and by nothing else until it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    base: *mut u8,
    /// Image and RAM, in bytes.
    pub(crate) memory_size: usize,
    /// The vmalloc area behind it, in bytes.
    pub(crate) vmalloc_size: usize,
    /// Bytes at the start that are not `ram`'s: the file part of the image.
    file_part: usize,
    /// Where pages lie that can be mapped twice: offset 0 is page frame 0.
    ram: OwnedFd,
    /// Which pages of RAM are still anonymous.
    private: Mutex<Vec<bool>>,
    stacks: Stacks,
    /// All of the reservation, in bytes.
    total: usize,
    /// Of the process that mapped it.
    generation: u32,
}

/// RAM up to this size, in bytes, starts as anonymous memory.
const MAX_PRIVATE: usize = 128 << 20;

/// A page's size as an address difference.
const PAGE: usize = PAGE_SIZE as usize;

// SAFETY: the pointer is an address of a reservation that this value owns; all
// methods that write through it or remap it say who may call them.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves memory and loads the embedded image into it: mapped, relocated,
    /// not started.
    pub(crate) fn load(elf: &Elf, memory_size: usize, vmalloc_size: usize) -> io::Result<Memory> {
        let total = memory_size + vmalloc_size + STACKS_SIZE;
        let ram = memfd_create("drupe-ram", MemfdFlags::CLOEXEC)?;
        ftruncate(&ram, memory_size as u64)?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                total,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let file_end = elf.data.address + elf.data.file_size;
        let memory = Memory {
            base: base.cast(),
            memory_size,
            vmalloc_size,
            file_part: file_end.next_multiple_of(PAGE_SIZE) as usize,
            ram,
            stacks: Stacks::new(base.cast::<u8>().wrapping_add(memory_size + vmalloc_size)),
            total,
            private: Mutex::new(vec![memory_size <= MAX_PRIVATE; memory_size / PAGE]),
            generation: fork::generation(),
        };
        memory.map_image(elf, &embed::backing()?)?;
        memory.relocate(elf);
        // SAFETY: it takes nothing from this process; in a child, calls are
        // refused (`fork.rs`).
        unsafe { madvise(base, total, Advice::LinuxDontFork)? };
        Ok(memory)
    }

    fn map_image(&self, elf: &Elf, backing: &Backing) -> io::Result<()> {
        let file = self.file_part;
        let read_write = ProtFlags::READ | ProtFlags::WRITE;
        let map = |segment: &drupe_image::elf::Segment, protection| -> io::Result<()> {
            let skew = segment.address % PAGE_SIZE;
            // SAFETY: inside our reservation (`Elf` checks that the segments
            // are in order, the caller that they fit), over nothing else.
            unsafe {
                mmap(
                    self.at((segment.address - skew) as usize).cast(),
                    (segment.file_size + skew) as usize,
                    protection,
                    MapFlags::PRIVATE | MapFlags::FIXED,
                    &backing.file,
                    backing.offset + segment.offset - skew,
                )?;
            }
            Ok(())
        };
        map(&elf.text, ProtFlags::READ | ProtFlags::EXEC)?;
        map(&elf.data, read_write)?;
        // SAFETY: the rest of the data's last page, which was just mapped.
        unsafe {
            let end = (elf.data.address + elf.data.file_size) as usize;
            self.at(end).write_bytes(0, file - end);
        }
        let ram = self.at(file).cast();
        let len = self.memory_size - file;
        // SAFETY: inside our reservation, behind the image's file part.
        unsafe {
            if self.memory_size <= MAX_PRIVATE {
                let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
                mmap_anonymous(ram, len, read_write, flags)?;
                // A host without huge pages is slower, no more.
                let _ = madvise(ram, len, Advice::LinuxHugepage);
            } else {
                self.map_shared(file, file, len)?;
            }
        }
        Ok(())
    }

    /// Maps `len` bytes of the memory file at `offset` behind the base.
    ///
    /// # Safety
    ///
    /// What was there is gone: nobody may need it.
    unsafe fn map_shared(&self, offset: usize, pa: usize, len: usize) -> Result<(), Errno> {
        // SAFETY: inside our reservation; the rest is the caller's promise.
        unsafe {
            mmap(
                self.at(offset).cast(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::FIXED,
                &self.ram,
                pa as u64,
            )?;
        }
        Ok(())
    }

    /// Moves pages of RAM to the memory file, where they are not there yet.
    fn share(&self, pa: usize, len: usize) -> Result<(), Errno> {
        let mut private = lock(&self.private);
        for page in pa / PAGE..(pa + len) / PAGE {
            if !private[page] {
                continue;
            }
            let offset = page * PAGE;
            // SAFETY: a page of RAM, readable, that nobody writes: the kernel
            // waits for us, and the caller keeps everybody else away.
            let content = unsafe { slice::from_raw_parts(self.at(offset), PAGE) };
            if pwrite(&self.ram, content, offset as u64)? != PAGE {
                return Err(Errno::NOMEM);
            }
            // SAFETY: the same content takes the place of what was there.
            unsafe { self.map_shared(offset, offset, PAGE)? };
            private[page] = false;
        }
        Ok(())
    }

    fn relocate(&self, elf: &Elf) {
        let base = self.base as u64;
        for relocation in &elf.relocations {
            // SAFETY: `Elf` guarantees a place inside the data segment, which
            // is mapped writable and not yet in use.
            unsafe {
                self.at(relocation.place as usize)
                    .cast::<u64>()
                    .write_unaligned(base.wrapping_add(relocation.addend));
            }
        }
    }

    /// The address `offset` bytes behind the base; `offset` is at most the size.
    pub(crate) fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.total);
        self.base.wrapping_add(offset)
    }

    /// Whether `address` is where the stacks of tasks are.
    pub(crate) fn is_stack(&self, address: u64) -> bool {
        let stacks = self.base as u64 + (self.memory_size + self.vmalloc_size) as u64;
        (stacks..self.base as u64 + self.total as u64).contains(&address)
    }

    /// Whether `sp` is in a stack with at least `room` bytes below it.
    pub(crate) fn is_stack_with_room(&self, sp: u64, room: usize) -> bool {
        self.is_stack(sp) && self.stacks.room(sp as usize) >= room
    }

    /// The end of a stack of [`drupe_abi::STACK_SIZE`] bytes for a task.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn stack_alloc(&self) -> Result<*mut u8, Errno> {
        self.stacks.alloc()
    }

    /// A stack of [`Memory::stack_alloc`] is not used any more.
    pub(crate) fn stack_free(&self, end: *mut u8) {
        self.stacks.free(end);
    }

    fn vmalloc_offset(&self, va: u64, len: u64) -> Result<usize, Errno> {
        let start = va.wrapping_sub(self.base as u64);
        let end = start.checked_add(len).ok_or(Errno::INVAL)?;
        let total = (self.memory_size + self.vmalloc_size) as u64;
        if start < self.memory_size as u64 || end > total || len == 0 {
            return Err(Errno::INVAL);
        }
        Ok(start as usize)
    }

    /// Maps `len` bytes of RAM at `pa` also at `va` in the vmalloc area. Nobody
    /// may write to these pages meanwhile.
    ///
    /// # Errors
    ///
    /// `EINVAL` for ranges outside, or for pages of the image, which are not
    /// shared memory; those of `mmap(2)`.
    pub(crate) fn map(&self, va: u64, pa: u64, len: u64) -> Result<(), Errno> {
        let offset = self.vmalloc_offset(va, len)?;
        let end = pa.checked_add(len).ok_or(Errno::INVAL)?;
        let aligned = (va | pa | len).is_multiple_of(PAGE_SIZE);
        if !aligned || pa < self.file_part as u64 || end > self.memory_size as u64 {
            return Err(Errno::INVAL);
        }
        self.share(pa as usize, len as usize)?;
        // SAFETY: inside the vmalloc area, which only the kernel uses, and it
        // asked for this.
        unsafe { self.map_shared(offset, pa as usize, len as usize) }
    }

    /// Makes `len` bytes at `va` in the vmalloc area inaccessible.
    ///
    /// # Errors
    ///
    /// See [`Memory::map`].
    pub(crate) fn unmap(&self, va: u64, len: u64) -> Result<(), Errno> {
        let offset = self.vmalloc_offset(va, len)?;
        // SAFETY: inside the vmalloc area; the kernel has let go of the range.
        unsafe {
            mmap_anonymous(
                self.at(offset).cast(),
                len as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
            )?;
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // A child of fork(2) did not get the mapping: the range may be
            // somebody else's there.
            return;
        }
        // SAFETY: the whole reservation is ours, and nobody is inside: the
        // machine was halted before its memory is dropped.
        let result = unsafe { munmap(self.base.cast::<c_void>(), self.total) };
        debug_assert!(result.is_ok(), "unmapping what was mapped");
    }
}
