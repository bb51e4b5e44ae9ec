//! Programs as those that were written for LKL, with liblkl: shared, static, without any
//! other file, and under AddressSanitizer, which finds leaks.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use common::LIBRARY;
use drupe_testing::c::{Linked, ext4, run};

const NONE: [&str; 0] = [];

#[test]
fn calls() {
    LIBRARY.check("calls", Linked::Shared, &NONE);
}

#[test]
fn calls_static() {
    LIBRARY.check("calls", Linked::Static, &NONE);
}

#[test]
fn calls_alone() {
    LIBRARY.check("calls", Linked::Alone, &NONE);
}

#[test]
fn calls_leak_nothing() {
    LIBRARY.check("calls", Linked::Sanitized, &NONE);
}

fn disks(linked: Linked) {
    let dir = tempfile::tempdir().expect("a directory");
    let [plain, part, table] = ["plain", "part", "table"].map(|name| dir.path().join(name));
    ext4(&plain, 16);
    ext4(&part, 16);
    let file = File::create(&table).expect("an image");
    file.set_len(20 << 20).expect("room");
    let mut sfdisk = Command::new("sfdisk")
        .arg("--quiet")
        .arg(&table)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sfdisk");
    let mut input = sfdisk.stdin.take().expect("its input");
    input
        .write_all(b"label: gpt\nstart=2048, size=32768\n")
        .expect("a table");
    drop(input);
    assert!(sfdisk.wait().expect("sfdisk").success());
    let bytes = fs::read(&part).expect("a part");
    file.write_all_at(&bytes, 1 << 20).expect("the part");
    LIBRARY.check("disks", linked, &[&plain, &table]);
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(&plain));
}

#[test]
fn disks_of_all_kinds() {
    disks(Linked::Shared);
}

#[test]
fn disks_static() {
    disks(Linked::Static);
}

#[test]
fn disks_leak_nothing() {
    disks(Linked::Sanitized);
}

#[test]
fn net() {
    LIBRARY.check("net", Linked::Shared, &NONE);
}

#[test]
fn net_leaks_nothing() {
    LIBRARY.check("net", Linked::Sanitized, &NONE);
}

#[test]
fn an_address_by_dhcp() {
    LIBRARY.check("dhcp", Linked::Sanitized, &NONE);
}

fn pipes(linked: Linked) {
    let dir = tempfile::tempdir().expect("a directory");
    let pipes = ["one", "other"].map(|name| dir.path().join(name));
    run(Command::new("mkfifo").args(&pipes));
    LIBRARY.check("pipes", linked, &pipes);
}

#[test]
fn two_programs_and_pipes() {
    pipes(Linked::Shared);
}

#[test]
fn pipes_leak_nothing() {
    pipes(Linked::Sanitized);
}
