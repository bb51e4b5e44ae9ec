//! Tests of the embedded image and the files that back it.

use super::*;
use std::os::fd::AsRawFd;
use std::process::Command;

fn content(backing: &Backing) -> Vec<u8> {
    let mut content = vec![0; bytes().len()];
    backing
        .file
        .read_exact_at(&mut content, backing.offset)
        .unwrap();
    content
}

#[test]
fn the_image_is_an_aligned_elf_file() {
    assert!(bytes().starts_with(b"\x7fELF"));
    assert!(bytes().as_ptr().addr().is_multiple_of(PAGE));
}

#[test]
fn the_version_is_that_of_the_banner() {
    let mut numbers = LINUX_VERSION.split('.');
    assert_eq!((numbers.next(), numbers.next()), (Some("6"), Some("12")));
    let banner = format!("Linux version {LINUX_VERSION} (");
    let mut windows = bytes().windows(banner.len());
    assert!(windows.any(|window| window == banner.as_bytes()));
}

/// Run by `a_removed_program_still_backs_its_image` a second time, from a copy
/// of this program that removes itself.
#[test]
fn the_program_backs_its_image() {
    if std::env::var_os("DRUPE_TEST_REMOVE").is_some() {
        std::fs::remove_file(std::env::current_exe().unwrap()).unwrap();
    }
    let found = find_own_file(&EMBEDDED).expect("not found in the program's own file");
    let backing = EMBEDDED.open(&found.0, found.1).expect("just found");
    assert!(backing.offset.is_multiple_of(PAGE as u64));
    assert!(content(&backing) == bytes());
}

#[test]
fn a_removed_program_still_backs_its_image() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("a program");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let output = Command::new(&copy)
        .args(["--exact", "embed::tests::the_program_backs_its_image"])
        .env("DRUPE_TEST_REMOVE", "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
    assert!(!copy.exists());
}

/// A [`Found`] that takes the program's own file for unusable.
fn nowhere() -> &'static Found {
    let found = Box::leak(Box::new(Found::new()));
    found.own.set(Box::new(None)).expect("new");
    found
}

#[test]
fn a_copy_in_memory_is_the_same_and_cannot_be_changed() {
    let copy = EMBEDDED.backing(nowhere()).unwrap();
    assert!(content(&copy) == bytes());
    assert!(copy.file.write_at(b"x", 0).is_err());
}

/// As in a program that closes all descriptors that it does not know.
#[test]
fn a_descriptor_that_was_closed_is_not_trusted() {
    let found = nowhere();
    drop(EMBEDDED.backing(found).unwrap());
    let kept = found.copy.get().expect("kept");
    let other = File::open("/dev/zero").unwrap();
    // SAFETY: the number stays that of an open file.
    assert!(unsafe { libc::dup2(other.as_raw_fd(), kept.as_raw_fd()) } >= 0);
    assert!(content(&EMBEDDED.backing(found).unwrap()) == bytes());
}

#[test]
fn a_file_with_another_image_is_not_taken() {
    let backing = backing().unwrap();
    let mut other = content(&backing);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    let try_other = |content: &[u8], id: &[u8], offset| {
        std::fs::write(&path, [content, id].concat()).unwrap();
        holds(&File::open(&path).unwrap(), offset, &EMBEDDED).is_ok_and(|holds| holds)
    };
    assert!(try_other(&other, id(), 0));
    assert!(!try_other(&other, id(), 1));
    assert!(!try_other(&other, &[0; 32], 0));
    assert!(!try_other(&other, &[], 0));
    other[PAGE - 1] ^= 1;
    assert!(!try_other(&other, id(), 0));
}

#[test]
fn a_mapping_is_found_by_address() {
    let maps = "1000-3000 r--p 00000000 08:01 77     /usr/bin/a program\n\
                3000-5000 r--p 00002000 08:01 77     /usr/bin/a program (deleted)\n\
                5000-9000 rw-p 00000000 00:00 0 \n\
                9000-a000 r--p 00000000 00:00 0      [vdso]\n";
    let at = |start, end| find_mapping(maps, start, end);
    assert_eq!(at(0x1000, 0x2000), Some(("/usr/bin/a program".into(), 0)));
    assert_eq!(
        at(0x4000, 0x5000),
        Some(("/usr/bin/a program (deleted)".into(), 0x3000))
    );
    assert_eq!(at(0x2000, 0x4000), None);
    assert_eq!(at(0x5000, 0x6000), None);
    assert_eq!(at(0x9000, 0xa000), None);
    assert_eq!(at(0xb000, 0xc000), None);
}
