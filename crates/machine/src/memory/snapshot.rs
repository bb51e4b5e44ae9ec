//! Makes a kernel's memory from a snapshot, and reads out what a snapshot is made of.

use super::layout::{Layout, PAGE};
use super::mapping::{Access, Reservation};
use super::mirror::Mirror;
use super::stacks::Stacks;
use super::{Memory, Ram, load};
use crate::snapshot::{Copied, MappedRun, Snapshot};
use drupe_image::elf::Elf;
use drupe_image::embed;
use std::arch::x86_64::{
    _mm512_loadu_si512, _mm512_mask_add_epi64, _mm512_set1_epi64, _mm512_storeu_si512,
};
use std::io;

/// Bytes of a huge page of the host.
const HUGE: usize = 2 << 20;

/// The words of a page.
pub(crate) type Words = [u64; PAGE / 8];

impl Memory {
    /// Memory with the content of `snapshot`, at a new address. The image must be the one
    /// that the snapshot was made with.
    ///
    /// Pages with addresses in them are copied. Pages without are mapped from the image's
    /// file, or from the snapshot if many follow each other, so that kernels share the
    /// unmodified ones.
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

    /// What the kernel has mapped in the vmalloc area.
    pub(crate) fn vmalloc_area(&self) -> Vec<MappedRun> {
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
    /// No thread is inside the kernel.
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

/// Asks for huge pages where most pages are copied, and where no page is used yet, which
/// the kernel uses last.
fn prefer_huge_pages(space: &Reservation, snapshot: &Snapshot) {
    let base = space.base().addr();
    let dense = snapshot.dense_page() * PAGE;
    let unused = snapshot.unused();
    let start = (base + unused.start * PAGE).next_multiple_of(HUGE) - base;
    let end = (base + unused.end * PAGE) / HUGE * HUGE - base;
    space.prefer_huge_pages(dense..dense + HUGE);
    space.prefer_huge_pages(start..end.max(start));
}

/// Copies the other pages, and adds the base to their addresses.
fn write_pages(space: &Reservation, layout: &Layout, snapshot: &Snapshot) {
    let stacks = layout.stacks().start / PAGE;
    let base = space.base().addr() as u64;
    let copy = copier();
    let copies: Vec<Copied> = snapshot.copies().collect();
    for run in copies.chunk_by(|one, next| one.page + 1 == next.page) {
        let first = run[0].page;
        if first < stacks {
            // Many pages at a time are had faster than each when it is touched.
            space.populate(first * PAGE..(first + run.len()) * PAGE);
        }
        for page in run {
            // SAFETY: a page that is open, and that nobody uses yet; the copier is
            // for this processor.
            unsafe {
                let to = &mut *space.at(page.page * PAGE).cast::<Words>();
                copy(to, snapshot.page(page.place), &page.addresses, base);
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

/// Copies a page, and adds a number to each word whose bit is set.
type Copier = unsafe fn(&mut Words, &[u8; PAGE], &[u64; PAGE / 8 / 64], u64);

/// The fastest copier for this processor.
fn copier() -> Copier {
    match is_x86_feature_detected!("avx512f") {
        true => copy_with_avx512,
        false => copy_page,
    }
}

/// Eight words at a time.
#[target_feature(enable = "avx512f")]
fn copy_with_avx512(to: &mut Words, from: &[u8; PAGE], add: &[u64; PAGE / 8 / 64], base: u64) {
    let base = _mm512_set1_epi64(base.cast_signed());
    let mut at = 0;
    for bits in add {
        for mask in bits.to_le_bytes() {
            // SAFETY: 64 bytes of both pages, which need not be aligned.
            unsafe {
                let words = _mm512_loadu_si512(from.as_ptr().add(at * 8).cast());
                let words = _mm512_mask_add_epi64(words, mask, words, base);
                _mm512_storeu_si512(to.as_mut_ptr().add(at).cast(), words);
            }
            at += 8;
        }
    }
}

fn copy_page(to: &mut Words, from: &[u8; PAGE], add: &[u64; PAGE / 8 / 64], base: u64) {
    // SAFETY: both are a page of bytes, each of which may have any value.
    unsafe { to.as_mut_ptr().cast::<[u8; PAGE]>().write(*from) };
    for (index, &bits) in add.iter().enumerate() {
        let mut bits = bits;
        while bits != 0 {
            let word = &mut to[index * 64 + bits.trailing_zeros() as usize];
            *word = word.wrapping_add(base);
            bits &= bits - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_added_to_what_is_an_address() {
        let page: [u8; PAGE] = std::array::from_fn(|index| (index % 251) as u8);
        let mut addresses = [0; PAGE / 8 / 64];
        addresses[0] = 0b101;
        addresses[7] = 1 << 63;
        let base = 0x7fff_0000_1000;
        let (words, _) = page.as_chunks::<8>();
        let expected: Words = std::array::from_fn(|index| {
            let added = if [0, 2, 511].contains(&index) {
                base
            } else {
                0
            };
            u64::from_le_bytes(words[index]) + added
        });
        let copiers: [Copier; 2] = [copy_page, copier()];
        for copy in copiers {
            let mut copied = [0; PAGE / 8];
            // SAFETY: one that this processor has.
            unsafe { copy(&mut copied, &page, &addresses, base) };
            assert_eq!(copied, expected);
        }
    }
}
