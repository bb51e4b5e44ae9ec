//! A process that is near its limit of memory mappings (`vm.max_map_count`).

mod common;

use common::{call, machine, nr, read, write};
use drupe_machine::Machine;
use drupe_testing::skipped;
use std::process::Command;
use std::ptr;

const SOCKET: usize = 198;
const SOCKETPAIR: usize = 199;
const SETSOCKOPT: usize = 208;

const PAGE: usize = 4096;

/// Mappings that are left.
const LEFT: usize = 200;

/// More than that of the kernel's.
const FILTERS: usize = 400;

/// Set in the process that runs out of mappings.
const CHILD: &str = "DRUPE_TEST_MAPPINGS";

/// Takes all mappings that the process can have but [`LEFT`]: neighbouring pages of
/// different protection. (`false`: the limit is too high for that.)
fn take_mappings() -> bool {
    let pages = 400_000;
    // SAFETY: a new mapping that nobody else knows, and changes of it.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let start = libc::mmap(ptr::null_mut(), pages * PAGE, 0, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        let protect = |page: usize, protection| {
            libc::mprotect(start.byte_add(page * PAGE), PAGE, protection) == 0
        };
        let refused = (1..pages)
            .step_by(2)
            .find(|&page| !protect(page, libc::PROT_READ));
        let Some(last) = refused else {
            return false;
        };
        let released = (1..last).step_by(2).take(LEFT / 2);
        released.for_each(|page| assert!(protect(page, libc::PROT_NONE)));
    }
    true
}

/// Two sockets, of which the second has a filter: memory of the vmalloc area.
fn filtered(machine: &Machine) -> [usize; 2] {
    #[repr(C)]
    struct Program(u16, *const u64);
    // BPF_RET | BPF_K with 0xffff.
    let instruction = u64::from_le_bytes([6, 0, 0, 0, 0xff, 0xff, 0, 0]);
    let program = Program(1, &raw const instruction);
    let mut pair = [0i32; 2];
    let [unix, datagram] = [1, 2];
    let args = [unix, datagram, 0, pair.as_mut_ptr() as usize];
    call(machine, SOCKETPAIR, &args).unwrap();
    let pair = pair.map(|fd| fd as usize);
    // SOL_SOCKET, SO_ATTACH_FILTER.
    let args = [pair[1], 1, 26, &raw const program as usize, 16];
    call(machine, SETSOCKOPT, &args).unwrap();
    pair
}

/// A descriptor is the program's to close, and to use for something else.
fn assert_no_descriptor_of_memory() {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let Ok(target) = std::fs::read_link(entry.unwrap().path()) else {
            // That of the directory.
            continue;
        };
        assert!(!target.to_string_lossy().contains("drupe"), "{target:?}");
    }
}

fn use_many_mappings() {
    let machine = machine();
    assert_no_descriptor_of_memory();
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    if !take_mappings() {
        return;
    }
    let pairs: Vec<_> = (0..FILTERS).map(|_| filtered(&machine)).collect();
    for round in 0..2 {
        for pair in &pairs {
            // The filter is run: it is read where it is mapped.
            write(&machine, pair[0], &[round]).unwrap();
            let mut data = [0xff];
            assert_eq!(read(&machine, pair[1], &mut data).unwrap(), 1);
            assert_eq!(data, [round]);
        }
    }
    for fd in pairs.into_iter().flatten() {
        call(&machine, nr::CLOSE, &[fd]).unwrap();
    }
    machine.halt().unwrap();
}

#[test]
fn a_kernel_works_with_what_the_host_leaves_it() {
    if std::env::var_os(CHILD).is_some() {
        return use_many_mappings();
    }
    let machine = machine();
    if let Err(error) = call(&machine, SOCKET, &[1, 2, 0]) {
        // A flavour without page tables has neither filters nor a vmalloc area.
        return skipped(format_args!("no sockets: {error}"));
    }
    machine.halt().unwrap();
    // No other test is to run out of mappings.
    let name = "a_kernel_works_with_what_the_host_leaves_it";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
}
