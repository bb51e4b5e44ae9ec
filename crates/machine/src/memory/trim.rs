//! Frees pages of RAM that a kernel has touched and that hold zeroes.
//!
//! A fifth of the pages that a boot touches hold zeroes at its end: tables that were
//! cleared and never used. A private page of zeroes can be freed: it still reads as
//! zeroes, and takes memory again when it is written to.

use super::layout::PAGE;
use super::mapping::Reservation;
use std::ops::Range;
use std::slice;

/// A page of zeroes.
pub(super) static ZEROES: [u8; PAGE] = [0; PAGE];

/// Frees the pages of `range` that hold zeroes and for which `may` is true.
///
/// # Safety
///
/// The range is open. The pages for whose number `may` is true are private, and nothing
/// writes to them meanwhile.
pub(super) unsafe fn trim(space: &Reservation, range: Range<usize>, may: impl Fn(usize) -> bool) {
    let first = range.start / PAGE;
    let resident = space.resident(range);
    let is_empty = |&index: &usize| {
        let page = first + index;
        // SAFETY: a page of an open range, which nobody writes to.
        let content = || unsafe { slice::from_raw_parts(space.at(page * PAGE), PAGE) };
        resident[index] && may(page) && content() == ZEROES
    };
    let mut next = 0;
    while let Some(start) = (next..resident.len()).find(is_empty) {
        let end = (start..resident.len()).find(|index| !is_empty(index));
        next = end.unwrap_or(resident.len());
        // SAFETY: it reads as zeroes before and after.
        unsafe { space.discard((first + start) * PAGE..(first + next) * PAGE) };
    }
}
