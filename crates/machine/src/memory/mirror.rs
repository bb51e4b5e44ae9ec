//! [`Mirror`]: the vmalloc area, where pages of RAM are mapped at a second address.
//!
//! Anonymous memory cannot be mapped twice, so a page that the kernel wants in its
//! vmalloc area is first moved to a memory file, for good. The memory file is mapped as a
//! whole at an address that only this file uses; each other mapping of it is made from
//! that one with `mremap(2)` (`mapping.rs`).
//!
//! **Nothing may write to a page while it moves.** The kernel does not: it waits for the
//! operation. A page that is lent to a disk (`lent.rs`) does not move until the disk is
//! done; the kernel gets `EAGAIN` and tries again.
//!
//! **The host limits the number of mappings.** RAM is moved in chunks, so that it does
//! not become many pieces. The mappings of the vmalloc area are a cache, as a TLB is of
//! page tables: a table has what the kernel has mapped there. When the mappings become
//! too many (`budget.rs`), or the host refuses one, all are dropped. An access to a
//! dropped one faults, and it is made again ([`Mirror::restore`]).

use super::budget::Count;
use super::layout::{Layout, PAGE};
use super::lent::{Borrower, Lent, Loan};
use super::mapping::{Access, Reservation};
use super::trim::{self, ZEROES};
use crate::snapshot::MappedRun;
use crate::sync::lock;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::ops::Range;
use std::slice;
use std::sync::Mutex;

/// Limits of a chunk, the bytes that are moved together. RAM is divided into about a
/// thousand chunks.
const CHUNK: Range<usize> = 64 << 10..2 << 20;

/// How many pages on each side of a fault are mapped again with it.
const AROUND: usize = 64;

/// The memory file, the vmalloc area, and which pages of RAM have moved.
///
/// # Invariants
///
/// `all` maps all of a memory file with [`Access::Shared`]; offset 0 is page frame 0.
#[derive(Debug)]
pub(super) struct Mirror {
    layout: Layout,
    /// A mapping of the whole file. The file has no descriptor, because the program could
    /// close that and reuse its number.
    all: Reservation,
    /// Bytes that are moved together, a power of two.
    chunk: usize,
    /// Whether pages of RAM are outside of the file at the start, and so may move.
    moves: bool,
    /// Locked while pages move.
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    /// Which pages are still anonymous; empty if no page ever was.
    private: Vec<bool>,
    lent: Lent,
    /// One entry for each page of the vmalloc area.
    area: Vec<Entry>,
    /// The number of mappings of the vmalloc area.
    pub(super) area_count: Count,
    /// The number of mappings of RAM.
    ram_count: Count,
}

/// A page of the vmalloc area: 0, or the number of the page of RAM that the kernel has
/// mapped there plus 1, and whether the host has mapped it.
///
/// One word, so that a new table is all zeroes, which take no memory until they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    const NONE: Entry = Entry(0);
    const MAPPED: u32 = 1 << 31;

    fn new(page: usize) -> Entry {
        Entry(page as u32 + 1)
    }

    fn page(self) -> Option<usize> {
        (self.0 & !Entry::MAPPED)
            .checked_sub(1)
            .map(|page| page as usize)
    }

    fn is_mapped(self) -> bool {
        self.0 & Entry::MAPPED != 0
    }

    fn mapped(self, mapped: bool) -> Entry {
        let page = self.0 & !Entry::MAPPED;
        Entry(page | if mapped { Entry::MAPPED } else { 0 })
    }

    /// Whether this entry and the next are in one mapping of the host.
    fn continues(self, next: Entry) -> bool {
        match (self.is_mapped(), next.is_mapped()) {
            (false, false) => true,
            (true, true) => next.0 == self.0 + 1,
            _ => false,
        }
    }
}

/// The number of borders between mappings at or inside of `range`.
fn borders<T: Copy>(slice: &[T], range: &Range<usize>, joined: impl Fn(T, T) -> bool) -> usize {
    let around = range.start.saturating_sub(1)..(range.end + 1).min(slice.len());
    let pairs = slice[around].windows(2);
    pairs.filter(|pair| !joined(pair[0], pair[1])).count()
}

impl State {
    /// Changes the entries of `range`, and updates the number of mappings.
    fn set_area(&mut self, range: Range<usize>, change: impl Fn(usize, Entry) -> Entry) {
        let before = borders(&self.area, &range, Entry::continues);
        for (index, entry) in self.area[range.clone()].iter_mut().enumerate() {
            *entry = change(index, *entry);
        }
        let after = borders(&self.area, &range, Entry::continues);
        self.area_count.change(before, after);
    }

    /// Notes that the pages of `range` are in the file.
    fn set_moved(&mut self, range: Range<usize>) {
        let joined = |a, b| a == b;
        let before = borders(&self.private, &range, joined);
        self.private[range.clone()].fill(false);
        let after = borders(&self.private, &range, joined);
        self.ram_count.change(before, after);
    }

    /// Whether `page` may be moved or freed although the kernel did not ask for it.
    fn can_move(&self, page: usize) -> bool {
        self.private[page] && self.lent.borrower(page).is_none()
    }
}

impl Mirror {
    /// The mirror for `layout`. `private`: the pages of RAM are anonymous at first, not
    /// in the file.
    pub(super) fn new(layout: Layout, private: bool) -> Result<Mirror, Errno> {
        let size = layout.memory().end;
        // The host would send a signal.
        let most = getrlimit(Resource::Fsize).current;
        if most.is_some_and(|most| (size as u64) > most) {
            return Err(Errno::FBIG);
        }
        let file = memfd_create("drupe-ram", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, size as u64)?;
        let all = Reservation::new(size)?;
        // SAFETY: nothing is there yet.
        unsafe { all.map_file(0..size, Access::Shared, &file, 0)? };
        let chunk = (size / 1024).next_power_of_two();
        Ok(Mirror {
            layout,
            all,
            chunk: chunk.clamp(CHUNK.start, CHUNK.end),
            moves: private,
            state: Mutex::new(State {
                private: vec![true; if private { size / PAGE } else { 0 }],
                lent: Lent::default(),
                area: vec![Entry::NONE; layout.vmalloc().len() / PAGE],
                area_count: Count::default(),
                ram_count: Count::default(),
            }),
        })
    }

    /// Lends `ranges`, in bytes of RAM, to `borrower`, who may then write to them.
    /// `None`: no page ever moves, so no loan is needed.
    pub(super) fn lend(
        &self,
        borrower: Borrower,
        ranges: impl Iterator<Item = Range<usize>>,
    ) -> Option<Loan> {
        self.moves
            .then(|| lock(&self.state).lent.begin(borrower, ranges))
    }

    /// Ends a loan.
    pub(super) fn end_loan(&self, loan: Loan) {
        lock(&self.state).lent.end(loan);
    }

    /// Frees the pages of `range`, in RAM, that hold zeroes.
    ///
    /// # Safety
    ///
    /// The kernel does not run meanwhile. The range was opened, and nothing but this
    /// has mapped anything there since.
    pub(super) unsafe fn trim(&self, space: &Reservation, range: Range<usize>) {
        let state = lock(&self.state);
        // SAFETY: private pages; whoever writes to one beside the kernel has lent
        // it, and others can lend them when the lock is free.
        unsafe { trim::trim(space, range, |page| state.can_move(page)) };
    }

    /// Maps the pages of the file at their own addresses in RAM.
    ///
    /// # Safety
    ///
    /// The former content of that range is lost: nothing may use it.
    pub(super) unsafe fn map_own(
        &self,
        space: &Reservation,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        let offset = pages.start;
        // SAFETY: passed on.
        unsafe { space.mirror(pages, &self.all, offset) }
    }

    /// Maps the `pages` of RAM also at `at` in the vmalloc area.
    ///
    /// # Errors
    ///
    /// `EAGAIN` while a disk may write to a page that would have to move.
    ///
    /// # Safety
    ///
    /// Only borrowers may write to these pages meanwhile. Nothing may use the former
    /// content of `at`.
    pub(super) unsafe fn map(
        &self,
        space: &Reservation,
        at: Range<usize>,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        let (area, first) = (self.area_of(&at), pages.start / PAGE);
        // SAFETY: passed on.
        let shared = unsafe { self.share(&mut state, space, first..pages.end / PAGE) };
        if shared == Err(Errno::AGAIN) {
            return shared;
        }
        // SAFETY: passed on.
        unsafe { self.drop_mapped(&mut state, space, area.clone()) };
        state.set_area(area.clone(), |index, _| Entry::new(first + index));
        // For want of room it is left to `restore`.
        if shared.is_ok() {
            // SAFETY: passed on.
            let _ = unsafe { self.show(&mut state, space, area) };
        }
        Ok(())
    }

    /// Unmaps the addresses `at` of the vmalloc area.
    ///
    /// # Safety
    ///
    /// Nothing may use the content of that range.
    pub(super) unsafe fn unmap(&self, space: &Reservation, at: Range<usize>) {
        let mut state = lock(&self.state);
        let area = self.area_of(&at);
        // SAFETY: passed on.
        unsafe { self.drop_mapped(&mut state, space, area.clone()) };
        state.set_area(area, |_, _| Entry::NONE);
    }

    /// What the kernel has mapped in the vmalloc area: runs of pages of RAM.
    pub(super) fn area(&self) -> Vec<MappedRun> {
        let state = lock(&self.state);
        let mut all: Vec<MappedRun> = Vec::new();
        for (at, entry) in state.area.iter().enumerate() {
            let Some(page) = entry.page() else {
                continue;
            };
            match all.last_mut() {
                Some(last) if last.at + last.count == at && last.page + last.count == page => {
                    last.count += 1;
                }
                _ => all.push(MappedRun { at, page, count: 1 }),
            }
        }
        all
    }

    /// Sets the vmalloc area of a kernel that has not run yet. Faults map it.
    pub(super) fn set_area(&self, all: impl Iterator<Item = MappedRun>) {
        let mut state = lock(&self.state);
        for MappedRun { at, page, count } in all {
            state.set_area(at..at + count, |index, _| Entry::new(page + index));
        }
    }

    /// Makes those of the pages `area` that are mapped inaccessible.
    ///
    /// # Safety
    ///
    /// Nothing may use the content of that range.
    unsafe fn drop_mapped(&self, state: &mut State, space: &Reservation, area: Range<usize>) {
        let mapped = |entry: &Entry| entry.is_mapped();
        let entries = &state.area[area.clone()];
        let (first, last) = (
            entries.iter().position(mapped),
            entries.iter().rposition(mapped),
        );
        let Some((first, last)) = first.zip(last) else {
            return;
        };
        let area = area.start + first..area.start + last + 1;
        // SAFETY: passed on.
        if unsafe { space.close(self.at(&area)) }.is_ok() {
            state.set_area(area, |_, entry| entry.mapped(false));
        } else {
            // No room for the piece that would be cut off.
            self.hide(state, space);
        }
    }

    /// Maps again what the kernel has mapped at `at`, an address of the vmalloc area,
    /// after an access to it faulted. `false`: the kernel has nothing mapped there, or
    /// the host refuses.
    ///
    /// A signal handler of the thread that runs the kernel calls it. So it allocates
    /// nothing, and that thread does not hold the lock.
    pub(super) fn restore(&self, space: &Reservation, at: usize) -> bool {
        let mut state = lock(&self.state);
        let page = (at - self.layout.vmalloc().start) / PAGE;
        let Some(ram) = state.area[page].page() else {
            return false;
        };
        // Its neighbours that one mapping can show with it.
        let belongs = |index: usize, offset: isize| {
            let entry = state.area.get(index.wrapping_add_signed(offset));
            entry.is_some_and(|entry| {
                !entry.is_mapped() && entry.page() == Some(ram.wrapping_add_signed(offset))
            })
        };
        let near = 1..=AROUND as isize;
        let before = near.clone().take_while(|&n| belongs(page, -n)).count();
        let after = near.take_while(|&n| belongs(page, n)).count();
        for (before, after) in [(before, after), (0, 0)] {
            // SAFETY: the kernel wants these pages there, and waits for us.
            let shown = unsafe {
                self.share(&mut state, space, ram - before..ram + after + 1)
                    .and_then(|()| self.show(&mut state, space, page - before..page + after + 1))
            };
            match shown {
                // A disk will be done with the page, and the access tried again.
                Ok(()) | Err(Errno::AGAIN) => return true,
                Err(_) => {}
            }
        }
        false
    }

    /// The page numbers in the vmalloc area of the offsets `at`.
    fn area_of(&self, at: &Range<usize>) -> Range<usize> {
        let start = self.layout.vmalloc().start;
        (at.start - start) / PAGE..(at.end - start) / PAGE
    }

    /// The offsets of the pages `area`: the inverse of [`Mirror::area_of`].
    fn at(&self, area: &Range<usize>) -> Range<usize> {
        let start = self.layout.vmalloc().start;
        start + area.start * PAGE..start + area.end * PAGE
    }

    /// Maps pages of RAM, which are in the file, at the pages `area` with one mapping.
    ///
    /// # Safety
    ///
    /// As for [`Mirror::map`].
    unsafe fn show(
        &self,
        state: &mut State,
        space: &Reservation,
        area: Range<usize>,
    ) -> Result<(), Errno> {
        let at = self.at(&area);
        let first = state.area[area.start].page().ok_or(Errno::INVAL)?;
        // A border at each end.
        if state.area_count.exceeds(2) {
            self.hide(state, space);
        }
        // SAFETY: inside the vmalloc area; passed on.
        let map = || unsafe { space.mirror(at.clone(), &self.all, first * PAGE) };
        self.with_room(state, space, map)?;
        state.set_area(area, |_, entry| entry.mapped(true));
        Ok(())
    }

    /// Makes a mapping. If the host refuses it, drops the vmalloc area's mappings and
    /// tries again.
    fn with_room(
        &self,
        state: &mut State,
        space: &Reservation,
        map: impl Fn() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        map().or_else(|error| {
            // With fewer dropped, the same instruction might drop them again.
            if state.area_count.get() < 4 {
                return Err(error);
            }
            self.hide(state, space);
            map()
        })
    }

    /// Drops all mappings of the vmalloc area; faults make them again.
    pub(super) fn hide(&self, state: &mut State, space: &Reservation) {
        // SAFETY: what the kernel wants there is restored when it is touched.
        if unsafe { space.close(self.layout.vmalloc()) }.is_ok() {
            let all = 0..state.area.len();
            state.set_area(all, |_, entry| entry.mapped(false));
        }
    }

    /// Moves those of the `pages` of RAM that are not there yet to the memory file, with
    /// the rest of their chunks as far as it can be moved.
    ///
    /// # Safety
    ///
    /// As for [`Mirror::map`].
    unsafe fn share(
        &self,
        state: &mut State,
        space: &Reservation,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        if !self.moves || !state.private[pages.clone()].contains(&true) {
            return Ok(());
        }
        // What the program writes to a buffer while it asks the kernel to work
        // with it has no defined content in any case.
        let is_filled = |page| state.lent.borrower(page) == Some(Borrower::Disk);
        if pages
            .clone()
            .any(|page| state.private[page] && is_filled(page))
        {
            return Err(Errno::AGAIN);
        }
        let chunk = self.chunk / PAGE;
        let ram = self.layout.ram();
        let start = (pages.start / chunk * chunk).max(ram.start / PAGE);
        let end = pages.end.next_multiple_of(chunk).min(ram.end / PAGE);
        let mut next = start.min(pages.start);
        while next < end {
            let moves = |page: usize| {
                (pages.contains(&page) && state.private[page]) || state.can_move(page)
            };
            let first = next;
            next += 1;
            if moves(first) {
                next = (next..end).find(|&page| !moves(page)).unwrap_or(end);
                // SAFETY: RAM that nobody writes to.
                unsafe { self.move_run(state, space, first..next)? };
                state.set_moved(first..next);
            }
        }
        Ok(())
    }

    /// Moves `pages`, all of which are private.
    ///
    /// # Safety
    ///
    /// Nothing may write to them meanwhile.
    unsafe fn move_run(
        &self,
        state: &mut State,
        space: &Reservation,
        pages: Range<usize>,
    ) -> Result<(), Errno> {
        let mut next = pages.start;
        while next < pages.end {
            // SAFETY: pages of RAM, readable, that nobody writes.
            let content =
                |page: usize| unsafe { slice::from_raw_parts(space.at(page * PAGE), PAGE) };
            // What was never touched stays a hole.
            let is_zero = |page: &usize| content(*page) == ZEROES;
            let first = next;
            next += 1;
            if is_zero(&first) {
                continue;
            }
            next = (next..pages.end).find(is_zero).unwrap_or(pages.end);
            let len = (next - first) * PAGE;
            let (from, to) = (space.at(first * PAGE), self.all.at(first * PAGE));
            // SAFETY: as above; the pages of the file are not in use before they are
            // mapped in place of these.
            unsafe { to.copy_from_nonoverlapping(from, len) };
        }
        let bytes = pages.start * PAGE..pages.end * PAGE;
        // SAFETY: the same content takes the place of what was there.
        let map = || unsafe { self.map_own(space, bytes.clone()) };
        self.with_room(state, space, map)
    }
}
