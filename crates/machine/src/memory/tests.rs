//! A kernel's memory, without a kernel in it.

use super::*;
use drupe_image::embed;
use layout::PAGE;
use std::ops::Range;

const SIZE: usize = 64 << 20;
const VMALLOC: usize = 128 << 20;

fn memory() -> Memory {
    let elf = Elf::parse(embed::bytes()).unwrap();
    Memory::load(&elf, SIZE, VMALLOC).unwrap()
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
    // SAFETY: the child uses what a child of a process with threads may use:
    // glibc's allocator can be used after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        let inherited = mappings().into_iter().filter(|(range, what)| {
            (range.start < own.end && own.start < range.end) || what.contains("drupe-ram")
        });
        let inherited: Vec<_> = inherited.collect();
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
fn a_page_that_a_disk_fills_does_not_move() {
    let memory = memory();
    let page = |number: usize| memory.at(number * PAGE);
    let bytes = |number: usize| page(number).addr()..page(number + 1).addr();
    // SAFETY: RAM that nobody else knows; shared once it has moved.
    let read = |address: *mut u8| unsafe { address.read_volatile() };
    let write = |address: *mut u8, value| unsafe { address.write_volatile(value) };
    let (disk, program) = (Borrower::Disk, Borrower::Program);
    let reading = memory.lend(disk, [bytes(8000), bytes(8002)].into_iter());
    let _buffer = memory.lend(program, [bytes(8004)].into_iter());
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
