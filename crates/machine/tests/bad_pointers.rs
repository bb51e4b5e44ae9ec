//! Pointers of threads that block the signals of faults, in a process of their own: what
//! goes wrong here ends it.

mod common;

use common::{call, errno, machine, nr, pipe};
use drupe_machine::Machine;
use std::env;
use std::mem::MaybeUninit;
use std::process::Command;
use std::ptr;
use std::thread;

const ROLE: &str = "DRUPE_TEST_ROLE";
const PAGE: usize = 4096;
const MKDIRAT: usize = 34;
const UNLINKAT: usize = 35;
const UMOUNT2: usize = 39;
const CWD: usize = libc::AT_FDCWD as usize;

/// Runs `body` in a process of its own, as the only test.
fn in_a_process(name: &str, body: fn()) {
    if env::var_os(ROLE).is_some() {
        return body();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ROLE, "child")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
}

fn mask() -> Vec<i32> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: room for a set, which the call fills in.
    let set = unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), set.as_mut_ptr());
        set.assume_init()
    };
    let blocks = |signal: &i32| {
        // SAFETY: a valid set.
        unsafe { libc::sigismember(&set, *signal) == 1 }
    };
    (1..32).filter(blocks).collect()
}

fn block_all_signals() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is filled in first.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
    }
}

/// Two pages, of which the second cannot be accessed.
struct Edge(*mut u8);

impl Edge {
    fn new() -> Edge {
        // SAFETY: fresh pages.
        unsafe {
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let pages = libc::mmap(ptr::null_mut(), 2 * PAGE, rights, flags, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            libc::mprotect(pages.byte_add(PAGE), PAGE, libc::PROT_NONE);
            Edge(pages.cast())
        }
    }

    /// A string whose zero byte is `gap` bytes before the end. What is behind it is no
    /// part of it.
    fn put(&self, text: &[u8], gap: usize) -> usize {
        // SAFETY: inside of the first page.
        unsafe {
            ptr::write_bytes(self.0, b'#', PAGE);
            let start = self.0.add(PAGE - gap - 1 - text.len());
            ptr::copy_nonoverlapping(text.as_ptr(), start, text.len());
            start.add(text.len()).write(0);
            start as usize
        }
    }
}

/// A directory gets its name through the edge, and is found by it elsewhere.
fn names(machine: &Machine, edge: &Edge) {
    for len in 1..=40 {
        for gap in 0..9 {
            let name: Vec<u8> = (b'A'..).take(len).collect();
            let here = edge.put(&name, gap);
            call(machine, MKDIRAT, &[CWD, here, 0o755]).unwrap();
            let name = [&name[..], &[0; 16]].concat();
            let elsewhere = name.as_ptr() as usize;
            let args = [CWD, elsewhere, libc::AT_REMOVEDIR as usize];
            call(machine, UNLINKAT, &args).unwrap_or_else(|error| panic!("{len} {gap}: {error}"));
        }
    }
}

/// Without any signal: the thread blocks them all after it has made calls.
#[test]
fn valid_strings_need_no_signal() {
    in_a_process("valid_strings_need_no_signal", || {
        let machine = machine();
        block_all_signals();
        let edge = Edge::new();
        names(&machine, &edge);
        // The options of mount(2), of which Linux copies a page.
        let options = edge.put(b"mode=755", 0);
        let args = [c"tmpfs".as_ptr(), c"/dev".as_ptr(), c"tmpfs".as_ptr()].map(|arg| arg as usize);
        let [source, target, kind] = args;
        call(&machine, nr::MOUNT, &[source, target, kind, 0, options]).unwrap();
        call(&machine, UMOUNT2, &[target, 0]).unwrap();
        let options = edge.put(b"mode=nothing", 0);
        let result = call(&machine, nr::MOUNT, &[source, target, kind, 0, options]);
        assert_eq!(errno(result), libc::EINVAL);
        machine.halt().unwrap();
    });
}

/// A thread that has blocked the signals when it makes its first call.
#[test]
fn a_thread_that_blocks_all_signals_gets_efault() {
    in_a_process("a_thread_that_blocks_all_signals_gets_efault", || {
        let machine = machine();
        let other = common::machine();
        call(&machine, nr::GETTID, &[]).unwrap();
        thread::scope(|s| {
            s.spawn(|| {
                block_all_signals();
                let before = mask();
                assert!(before.contains(&libc::SIGSEGV));
                for machine in [&machine, &other, &machine] {
                    for address in [8, usize::MAX - 4095] {
                        assert_eq!(errno(call(machine, nr::UNAME, &[address])), libc::EFAULT);
                        let args = [0, address, 0];
                        assert_eq!(errno(call(machine, nr::OPENAT, &args)), libc::EFAULT);
                    }
                    let (_reader, writer) = pipe(machine);
                    let args = [writer, Edge::new().0 as usize + PAGE, 10];
                    assert_eq!(errno(call(machine, nr::WRITE, &args)), libc::EFAULT);
                    assert_eq!(mask(), before);
                }
                let interrupter = machine.interrupter().unwrap();
                drop(interrupter);
                assert_eq!(errno(call(&machine, nr::UNAME, &[8])), libc::EFAULT);
                assert_eq!(mask(), before);
            });
        });
        other.halt().unwrap();
        machine.halt().unwrap();
    });
}
