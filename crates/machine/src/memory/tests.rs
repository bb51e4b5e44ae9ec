//! Tests of [`Memory`] without a running kernel.

use super::*;
use crate::process::fork;
use crate::sync::lock;
use drupe_image::embed;
use layout::PAGE;
use mapping::Access;
use rustix::fs::{MemfdFlags, memfd_create};
use std::iter;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

const SIZE: usize = 64 << 20;
const VMALLOC: usize = 128 << 20;

fn memory() -> Memory {
    let elf = Elf::parse(embed::bytes()).unwrap();
    let relocations = elf.relocations(embed::bytes()).unwrap();
    Memory::load(&elf, &relocations, Ram::SmallPages, SIZE, VMALLOC, None).unwrap()
}

impl Memory {
    /// Maps `count` pages of RAM from `page` on at page `at` of the vmalloc area.
    fn map_pages(&self, at: usize, page: usize, count: usize) -> Result<(), Errno> {
        let va = self.at(SIZE + at * PAGE).addr();
        self.map(va as u64, (page * PAGE) as u64, (count * PAGE) as u64)
    }
}

/// The process's mappings: their ranges, and what `/proc/self/maps` says of them.
fn mappings() -> Vec<(Range<usize>, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let parse = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, rest) = rest.split_once(' ')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(start)?..number(end)?, rest.to_owned()))
    };
    maps.lines().map(|line| parse(line).unwrap()).collect()
}

/// In a child of `fork(2)`: there must be none of the mappings that `unwanted` finds.
fn in_child<I: Iterator<Item = (Range<usize>, String)>>(unwanted: impl Fn() -> I) {
    // SAFETY: the child uses what a child of a process with threads may use:
    // glibc's allocator can be used after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let inherited: Vec<_> = unwanted().collect();
        for (range, what) in &inherited {
            eprintln!("inherited: {range:x?} {what}");
        }
        // SAFETY: ends the child without running the parent's destructors.
        unsafe { libc::_exit(i32::from(!inherited.is_empty())) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(status, 0, "the child inherited mappings");
}

#[test]
fn a_fork_at_any_moment_inherits_nothing() {
    fork::install();
    let space = Reservation::new(16 * PAGE).unwrap();
    let file = memfd_create("drupe-test", MemfdFlags::CLOEXEC).unwrap();
    let (ends, maps) = (AtomicBool::new(false), Barrier::new(2));
    let (space, file, ends, maps) = (&space, &file, &ends, &maps);
    thread::scope(|s| {
        s.spawn(move || {
            let mut first = true;
            while !ends.load(Relaxed) {
                // SAFETY: nobody needs what is there.
                unsafe {
                    space
                        .map_file(0..16 * PAGE, Access::Shared, file, 0)
                        .unwrap()
                };
                if std::mem::take(&mut first) {
                    maps.wait();
                }
            }
        });
        maps.wait();
        // Before there is an assertion that may fail: the thread must end.
        let _ends = at_end(|| ends.store(true, Relaxed));
        for _ in 0..200 {
            in_child(|| {
                let all = mappings().into_iter();
                all.filter(|(_, what)| what.contains("drupe-test"))
            });
        }
    });
}

/// Does `job` when it is dropped.
fn at_end(job: impl FnMut()) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(job)
}

#[test]
fn a_forked_child_has_none_of_it() {
    let memory = memory();
    let _stack = memory.stack_alloc().unwrap();
    // Pages that are moved one by one, and mapped one by one.
    for number in 0..200 {
        memory.map_pages(2 * number, 8000 - 3 * number, 1).unwrap();
    }
    let va = memory.at(SIZE + 20 * PAGE).addr() as u64;
    memory.unmap(va, 20 * PAGE as u64).unwrap();
    let start = memory.space.base().addr();
    let own = start..start + memory.layout.total();
    in_child(|| {
        mappings().into_iter().filter(|(range, what)| {
            (range.start < own.end && own.start < range.end) || what.contains("drupe-ram")
        })
    });
}

#[test]
fn a_page_that_a_disk_fills_does_not_move() {
    let memory = memory();
    let page = |number: usize| memory.at(number * PAGE);
    let bytes = |number: usize| page(number).addr()..page(number + 1).addr();
    // SAFETY: RAM that nobody else knows; shared once it has moved.
    let read = |address: *mut u8| unsafe { address.read_volatile() };
    // SAFETY: as above.
    let write = |address: *mut u8, value| unsafe { address.write_volatile(value) };
    let (disk, program) = (Borrower::Disk, Borrower::Program);
    let reading = memory.lend(disk, [bytes(8000), bytes(8002)].into_iter());
    let _buffer = memory.lend(program, iter::once(bytes(8004)));
    write(page(8001), 1);
    write(page(8004), 4);
    assert_eq!(memory.map_pages(0, 8000, 3), Err(Errno::AGAIN));
    assert_eq!(memory.map_pages(0, 8001, 1), Ok(()));
    assert_eq!(memory.map_pages(8, 8004, 1), Ok(()));
    // What the disk brings meanwhile is there afterwards.
    write(page(8000), 7);
    write(page(8002), 9);
    memory.end_loan(reading.unwrap());
    assert_eq!(memory.map_pages(0, 8000, 3), Ok(()));
    let second = memory.at(SIZE);
    let seen = [0, 1, 2, 8].map(|at| read(second.wrapping_add(at * PAGE)));
    assert_eq!(seen, [7, 1, 9, 4]);
    write(page(8002), 10);
    assert_eq!(read(second.wrapping_add(2 * PAGE)), 10);
}

/// Mappings of the process within `range`.
fn count(range: Range<usize>) -> usize {
    let inside = |(of, _): &(Range<usize>, String)| of.start < range.end && range.start < of.end;
    mappings().iter().filter(|mapping| inside(mapping)).count()
}

#[test]
fn what_is_hidden_comes_back() {
    let memory = memory();
    let vmalloc = memory.layout.vmalloc();
    let vmalloc = memory.at(vmalloc.start).addr()..memory.at(vmalloc.end).addr();
    // SAFETY: RAM that nobody else knows; the vmalloc area once it is mapped.
    let read = |offset: usize| unsafe { memory.at(offset).read_volatile() };
    // SAFETY: as above.
    let write = |offset: usize, value| unsafe { memory.at(offset).write_volatile(value) };
    for page in 8000..8200 {
        write(page * PAGE, page as u8);
    }
    // Every other page, backwards; and a piece.
    for number in 0..50 {
        memory.map_pages(2 * number, 8100 - 2 * number, 1).unwrap();
    }
    memory.map_pages(200, 8100, 100).unwrap();
    let counted = lock(&memory.mirror.state).area_count.get();
    // Each border is between two.
    assert_eq!(count(vmalloc.clone()), counted + 1);
    // RAM has not fallen into pieces.
    assert!(count(memory.at(0).addr()..memory.at(SIZE).addr()) < 10);

    memory
        .mirror
        .hide(&mut lock(&memory.mirror.state), &memory.space);
    assert_eq!(count(vmalloc.clone()), 1);
    let address = |page: usize| memory.at(SIZE + page * PAGE).addr() as u64;
    assert!(memory.restore(address(6) + 8));
    assert!(memory.restore(address(250)));
    assert!(!memory.restore(address(7)));
    assert!(!memory.restore(address(0) - 1));
    assert_eq!(read(SIZE + 6 * PAGE), (8100 - 6) as u8);
    for page in 200..300 {
        assert_eq!(read(SIZE + page * PAGE), (8100 + page - 200) as u8);
    }
    let shown = lock(&memory.mirror.state).area_count.get();
    assert_eq!((shown, count(vmalloc.clone())), (4, 5));

    memory.unmap(address(0), 300 * PAGE as u64).unwrap();
    assert_eq!(lock(&memory.mirror.state).area_count.get(), 0);
    assert_eq!(count(vmalloc), 1);
    assert!(!memory.restore(address(6)));
}

#[test]
fn zeroes_are_given_back_unless_they_are_lent() {
    let memory = memory();
    let space = &memory.space;
    let all = 8000 * PAGE..8010 * PAGE;
    let resident = || {
        let pages = space.resident(all.clone()).into_iter();
        let taken = pages.enumerate().filter(|(_, resident)| *resident);
        taken.map(|(page, _)| page).collect::<Vec<_>>()
    };
    for page in 0..8 {
        let value = u8::from(page % 4 == 3);
        // SAFETY: RAM that nobody else knows.
        unsafe { memory.at((8001 + page) * PAGE - 1).write_volatile(value) };
    }
    assert_eq!(resident(), [0, 1, 2, 3, 4, 5, 6, 7]);
    let lent = memory.at(8001 * PAGE).addr()..memory.at(8001 * PAGE).addr() + 1;
    let loan = memory.lend(Borrower::Program, iter::once(lent));
    // SAFETY: there is no kernel.
    unsafe { memory.trim() };
    assert_eq!(resident(), [1, 3, 7]);
    memory.end_loan(loan.unwrap());
    memory.map_pages(0, 8007, 1).unwrap();
    // SAFETY: as above.
    unsafe { memory.trim() };
    // SAFETY: as above, and mapped.
    let read = |offset: usize| unsafe { memory.at(offset + PAGE - 1).read_volatile() };
    assert_eq!((read(8003 * PAGE), read(SIZE)), (1, 1));
    assert_eq!(read(8000 * PAGE), 0);
}
