//! A kernel's memory from a snapshot, and what a snapshot is made of.

use super::layout::{Layout, PAGE};
use super::mapping::{Access, Reservation};
use super::mirror::{Mirror, Shown};
use super::stacks::Stacks;
use super::{Memory, Ram, load};
use crate::snapshot::Snapshot;
use drupe_image::elf::Elf;
use drupe_image::embed;
use std::io;

/// Bytes that the host gives at once where it has huge pages.
const HUGE: usize = 2 << 20;

/// The words of a page.
pub(crate) type Words = [u64; PAGE / 8];

impl Memory {
    /// Memory as `snapshot` has it, at an address of its own. The image must be
    /// the one that the snapshot was made with.
    ///
    /// Pages with addresses in them are copied. Of the others, those that the
    /// image's file has, and those that follow each other, are mapped from where
    /// they lie, so that kernels share those that nobody writes to.
    pub(crate) fn from_snapshot(
        elf: &Elf,
        ram: Ram,
        memory: usize,
        snapshot: &Snapshot,
    ) -> io::Result<Memory> {
        let layout = Layout::new(elf, memory, snapshot.vmalloc_size());
        let dense = snapshot.dense_page() * PAGE;
        let space = Reservation::placed(layout.total(), HUGE, |start| {
            (start + dense).next_multiple_of(HUGE) - dense
        })?;
        let mirror = Mirror::new(layout, true)?;
        mirror.set_area(snapshot.area());
        let from_image = layout.file_part().end.min(dense);
        load::map(&space, elf, from_image, &embed::backing()?)?;
        // SAFETY: nothing is mapped there yet.
        unsafe { space.open(from_image..layout.memory().end)? };
        let stacks = Stacks::new(layout.stacks().start);
        stacks.restore(&space, snapshot.stacks())?;
        map_pages(&space, snapshot)?;
        if ram == Ram::HugePages {
            prefer_huge_pages(&space, snapshot);
        }
        write_pages(&space, &layout, snapshot);
        Ok(Memory {
            // Nothing has been touched that holds nothing.
            trimmable: 0..0,
            stacks,
            layout,
            space,
            mirror,
        })
    }

    /// Bytes from the base to the end of the stacks.
    pub(crate) fn total(&self) -> usize {
        self.layout.total()
    }

    /// What belongs in the vmalloc area.
    pub(crate) fn vmalloc_area(&self) -> Vec<Shown> {
        self.mirror.area()
    }

    /// Numbers of the stacks in use.
    pub(crate) fn stacks_in_use(&self) -> Vec<usize> {
        self.stacks.in_use()
    }

    /// The pages that the kernel may have written to, with their numbers.
    ///
    /// # Safety
    ///
    /// Nobody is inside the kernel.
    pub(crate) unsafe fn pages(&self, elf: &Elf) -> impl Iterator<Item = (usize, Words)> {
        let data = elf.data.address as usize / PAGE;
        let memory = data..self.layout.memory().end / PAGE;
        let stacks = self.stacks.in_use().into_iter();
        let stacks = stacks.flat_map(|number| {
            let range = self.stacks.range(number);
            range.start / PAGE..range.end / PAGE
        });
        memory.chain(stacks).map(|page| {
            // SAFETY: image, RAM and the stacks in use are readable, and nobody
            // writes to them.
            let words = unsafe { self.space.at(page * PAGE).cast::<Words>().read() };
            (page, words)
        })
    }
}

/// Maps the pages of `snapshot` that follow each other and hold no addresses.
fn map_pages(space: &Reservation, snapshot: &Snapshot) -> io::Result<()> {
    let backing = snapshot.open()?;
    for run in snapshot.runs() {
        let range = run.page * PAGE..(run.page + run.count) * PAGE;
        let offset = backing.offset + (run.place * PAGE) as u64;
        // SAFETY: what is there has not been used.
        unsafe { space.map_file(range, Access::CopyOnWrite, &backing.file, offset)? };
    }
    Ok(())
}

/// Asks for huge pages where most pages are written to now, and where none is
/// used yet: the kernel gets there when it has used up everything else.
fn prefer_huge_pages(space: &Reservation, snapshot: &Snapshot) {
    let base = space.base().addr();
    let dense = snapshot.dense_page() * PAGE;
    let unused = snapshot.unused();
    let start = (base + unused.start * PAGE).next_multiple_of(HUGE) - base;
    let end = (base + unused.end * PAGE) / HUGE * HUGE - base;
    space.prefer_huge_pages(dense..dense + HUGE);
    space.prefer_huge_pages(start..end.max(start));
}

/// Copies the other pages, adding the base to what is an address.
fn write_pages(space: &Reservation, layout: &Layout, snapshot: &Snapshot) {
    let stacks = layout.stacks().start / PAGE;
    let mut pages = snapshot
        .copies()
        .map(|copy| copy.page)
        .take_while(|&page| page < stacks);
    let mut next = pages.next();
    while let Some(first) = next {
        let mut end = first + 1;
        next = pages.next();
        while next == Some(end) {
            end += 1;
            next = pages.next();
        }
        // Many pages at a time are had faster than each when it is touched.
        space.populate(first * PAGE..end * PAGE);
    }
    let base = space.base().addr() as u64;
    for copy in snapshot.copies() {
        let to = space.at(copy.page * PAGE);
        // SAFETY: a page that is open, and that nobody uses yet.
        unsafe { to.cast::<[u8; PAGE]>().write(*snapshot.page(copy.place)) };
        for (index, mut bits) in copy.addresses.into_iter().enumerate() {
            // SAFETY: in that page.
            let words = unsafe { to.cast::<u64>().add(index * 64) };
            while bits != 0 {
                // SAFETY: one of the 64 words.
                unsafe {
                    let word = words.add(bits.trailing_zeros() as usize);
                    word.write(word.read().wrapping_add(base));
                }
                bits &= bits - 1;
            }
        }
    }
    for offset in snapshot.negated() {
        // SAFETY: a word of such a page.
        unsafe {
            let word = space.at(offset).cast::<u64>();
            word.write(word.read().wrapping_sub(base));
        }
    }
}
