//! Finds out which words of a kernel's memory are addresses, by comparing kernels that
//! were booted alike at different addresses.
//!
//! A word is the same in all kernels, or differs by as much as their bases do (an
//! address), or by as much in the other direction (a negated address). Any other
//! difference is a bug of the port's `snapshot.c`, and there is no snapshot.

use super::Memory;
use crate::memory::snapshot::Words;
use crate::snapshot::PAGE;
use std::fmt::Write;
use std::fs;
use std::ops::Range;

/// How many words an error names.
const NAMED: usize = 40;

/// The kind of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Address,
    /// A negated address: it goes down as the base goes up, such as the room that is left
    /// up to the end of the address space.
    Negated,
    /// The remains of an address after a part of it was overwritten, which nothing reads.
    /// The mask has the bits that were overwritten.
    Remains(u64),
}

/// The kind of a word that has these values in kernels with these bases. `None`: it fits
/// no kind.
fn kind(values: &[u64], bases: &[u64], in_stack: bool) -> Option<Kind> {
    let alike = |sum: fn(u64, u64) -> u64| {
        let mut all = values
            .iter()
            .zip(bases)
            .map(|(value, base)| sum(*value, *base));
        let first = all.next();
        all.all(|other| Some(other) == first)
    };
    if alike(|value, _| value) {
        Some(Kind::Number)
    } else if alike(u64::wrapping_sub) {
        Some(Kind::Address)
    } else if alike(u64::wrapping_add) {
        Some(Kind::Negated)
    } else {
        remains(values, bases, in_stack).map(Kind::Remains)
    }
}

/// The mask of [`Kind::Remains`], if the bits that differ are part of an address: its
/// upper half, as in padding, or any part, in a stack.
fn remains(values: &[u64], bases: &[u64], in_stack: bool) -> Option<u64> {
    const LOW: u64 = 0xffff_ffff;
    const HIGH: u64 = 0xffff << 32;
    let part = |mask: u64| values.iter().map(move |value| value & mask);
    let alike = |mask: u64| {
        let first = values[0] & mask;
        part(mask).all(|value| value == first)
    };
    // The offset from the base may have carried.
    let of_base = |(value, base): (u64, &u64)| value.wrapping_sub(base & HIGH) >> 32 <= 1;
    let low = values
        .iter()
        .zip(bases)
        .map(|(value, base)| value.wrapping_sub(*base) & LOW);
    let mut low = low.collect::<Vec<_>>();
    low.dedup();
    let mut numbers = u64::MAX;
    if !alike(HIGH) {
        if !part(HIGH).zip(bases).all(of_base) {
            return None;
        }
        numbers &= !HIGH;
    }
    if !alike(LOW) {
        if !in_stack || low.len() > 1 {
            return None;
        }
        numbers &= !LOW;
    }
    alike(!(HIGH | LOW)).then_some(numbers)
}

/// A page as a snapshot has it: addresses count from the base.
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) content: Box<Words>,
    /// A bit for each word that is an address.
    pub(super) addresses: [u64; PAGE / 8 / 64],
}

impl Page {
    pub(super) fn has_addresses(&self) -> bool {
        self.addresses != [0; PAGE / 8 / 64]
    }
}

/// The pages of `memories`, relative to the base, and the offsets of negated words.
pub(super) fn compare(memories: &[Memory]) -> Result<(Vec<Page>, Vec<u64>), String> {
    let bases: Vec<u64> = memories.iter().map(|memory| memory.base).collect();
    let host = host_ranges()?;
    let (mut pages, mut negated, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (&number, words) in &memories[0].pages {
        let all: Vec<&Words> = memories
            .iter()
            .map(|memory| &memory.pages[&number])
            .collect();
        let in_stack = number >= memories[0].stacks;
        let mut page = Page {
            number,
            content: Box::new(*words),
            addresses: [0; PAGE / 8 / 64],
        };
        for (index, word) in page.content.iter_mut().enumerate() {
            let values: Vec<u64> = all.iter().map(|words| words[index]).collect();
            let offset = number * PAGE + index * 8;
            let of_kernel = |word: &u64| {
                let in_one = |memory: &Memory| (memory.base..memory.end()).contains(word);
                memories.iter().any(in_one)
            };
            match kind(&values, &bases, in_stack) {
                Some(Kind::Number) if of_kernel(word) => {}
                Some(Kind::Number) if host.iter().any(|range| range.contains(word)) => {
                    unknown.push((offset, values));
                }
                Some(Kind::Number) => {}
                Some(Kind::Address) => {
                    *word = values[0].wrapping_sub(bases[0]);
                    page.addresses[index / 64] |= 1 << (index % 64);
                }
                Some(Kind::Negated) => {
                    *word = values[0].wrapping_add(bases[0]);
                    negated.push(offset as u64);
                }
                Some(Kind::Remains(numbers)) => *word &= numbers,
                None => unknown.push((offset, values)),
            }
        }
        pages.push(page);
    }
    if unknown.is_empty() {
        Ok((pages, negated))
    } else {
        Err(complaint(&unknown, &bases))
    }
}

/// The ranges that this process has mapped for itself, not for kernels. A word that is an
/// address in them refuses the snapshot: static addresses of the host are the same in all
/// kernels, so that comparing does not find them. A number is hardly ever such an address
/// by chance.
fn host_ranges() -> Result<Vec<Range<u64>>, String> {
    let maps = fs::read_to_string("/proc/self/maps").map_err(|error| error.to_string())?;
    let ranges = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        if rest.starts_with("---") || rest.contains("drupe-ram") {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    });
    // Below, numbers may be anything: a program that is not position-independent
    // has addresses there.
    Ok(ranges
        .filter(|range| range.start > u64::from(u32::MAX))
        .collect())
}

fn complaint(unknown: &[(usize, Vec<u64>)], bases: &[u64]) -> String {
    let mut text = format!(
        "{} words depend on where the kernel is, in a way that is not known:",
        unknown.len()
    );
    for (offset, values) in unknown.iter().take(NAMED) {
        let _ = write!(text, "\n  {offset:#x}:");
        for (value, base) in values.iter().zip(bases) {
            let relative = value.wrapping_sub(*base);
            let _ = write!(text, " {value:#x} (base + {relative:#x})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASES: [u64; 3] = [0x7f12_3400_0000, 0x7f12_0fed_c000, 0x7e00_4321_7000];

    fn of(value: impl Fn(u64) -> u64, in_stack: bool) -> Option<Kind> {
        kind(&BASES.map(value), &BASES, in_stack)
    }

    #[test]
    fn numbers_and_addresses() {
        assert_eq!(of(|_| 7, false), Some(Kind::Number));
        assert_eq!(of(|base| base + 0xc0ffee, false), Some(Kind::Address));
        assert_eq!(
            of(|base| 0u64.wrapping_sub(base), false),
            Some(Kind::Negated)
        );
    }

    #[test]
    fn what_is_made_from_addresses_is_neither() {
        assert_eq!(
            of(|base| base.wrapping_mul(0x61c8_8646_80b5_83eb), true),
            None
        );
        assert_eq!(of(|base| base >> 12, true), None);
        assert_eq!(of(|base| base + (base >> 20), false), None);
        let moved = |base| if base == BASES[1] { base } else { 0 };
        assert_eq!(of(moved, true), None);
    }

    #[test]
    fn a_part_of_an_address_is_left() {
        let high = |base: u64| base >> 32 << 32 | 5;
        assert_eq!(of(high, false), Some(Kind::Remains(!(0xffff << 32))));
        let low = |base: u64| (base + 0x1000) & 0xffff_ffff | 1 << 32;
        assert_eq!(of(low, true), Some(Kind::Remains(!0xffff_ffff)));
        // It may be a number that was made from an address.
        assert_eq!(of(low, false), None);
    }

    /// The number of the page that the test's memories have.
    const PAGE_NUMBER: usize = 5;

    /// Compares memories whose first word is `value` of their base.
    fn compared(value: impl Fn(u64) -> u64) -> Result<(Vec<Page>, Vec<u64>), String> {
        let memories = BASES.map(|base| {
            let mut words: Words = [0; PAGE / 8];
            words[0] = value(base);
            Memory {
                base,
                len: 1 << 20,
                stacks: 2 * PAGE_NUMBER,
                pages: [(PAGE_NUMBER, words)].into(),
            }
        });
        compare(&memories)
    }

    #[test]
    fn what_is_explained_is_kept() {
        let (pages, negated) = compared(|base| base + 0xc0ffee).unwrap();
        assert_eq!((pages.len(), negated.len()), (1, 0));
        assert_eq!(
            (pages[0].number, pages[0].content[0]),
            (PAGE_NUMBER, 0xc0ffee)
        );
        assert_eq!(pages[0].addresses[0], 1);
        let (pages, negated) = compared(|base| 7_u64.wrapping_sub(base)).unwrap();
        assert_eq!(pages[0].content[0], 7);
        assert_eq!(negated, [(PAGE_NUMBER * PAGE) as u64]);
        let (pages, _) = compared(|_| 7).unwrap();
        assert!(pages[0].content[0] == 7 && !pages[0].has_addresses());
    }

    #[test]
    fn what_is_not_explained_is_refused_with_its_place() {
        let place = format!("  {:#x}: ", PAGE_NUMBER * PAGE);
        let refused = |value: &dyn Fn(u64) -> u64| {
            let refusal = compared(value).err().expect("a refusal");
            assert!(refusal.starts_with("1 words depend on"), "{refusal}");
            assert!(refusal.contains(&place), "{refusal}");
        };
        // A hash of an address, an index made from one, and what only one of them has.
        refused(&|base| base.wrapping_mul(0x61c8_8646_80b5_83eb));
        refused(&|base| base >> 12);
        refused(&|base| u64::from(base == BASES[2]));
        // An address of this process: it is the same in all, and of no kernel.
        let own = place.as_ptr().addr() as u64;
        refused(&|_| own);
        let local = (&raw const place).addr() as u64;
        refused(&|_| local);
    }
}
