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
