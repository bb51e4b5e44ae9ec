//! Real C programs with libdrupe: shared, static, without any other file, and under
//! AddressSanitizer, which finds leaks.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Linked, check, ext4, run, tree};
use tempfile::TempDir;

const NONE: [&str; 0] = [];

fn image(linked: Linked) {
    let dir = tempfile::tempdir().expect("a directory");
    let [image, source, out, archive] =
        ["disk.img", "tree", "out", "tree.tar.zst"].map(|name| dir.path().join(name));
    ext4(&image, 64);
    tree(&source);
    check("image", linked, &[&image, &source, &out, &archive]);
    run(Command::new("diff")
        .args(["-r", "--no-dereference"])
        .arg(&source)
        .arg(&out));
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(&image));
    let unpacked = dir.path().join("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    run(Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&unpacked));
    run(Command::new("diff")
        .args(["-r", "--no-dereference"])
        .arg(&source)
        .arg(&unpacked));
}

fn disks(linked: Linked) {
    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("disk.img");
    ext4(&image, 16);
    check("disks", linked, &[&image]);
}

#[test]
fn kernel() {
    check("kernel", Linked::Shared, &NONE);
}

#[test]
fn kernel_static() {
    check("kernel", Linked::Static, &NONE);
}

#[test]
fn kernel_leaks_nothing() {
    check("kernel", Linked::Sanitized, &NONE);
}

#[test]
fn image_in_and_out() {
    image(Linked::Shared);
}

#[test]
fn image_in_and_out_static() {
    image(Linked::Static);
}

#[test]
fn image_in_and_out_alone() {
    image(Linked::Alone);
}

#[test]
fn image_leaks_nothing() {
    image(Linked::Sanitized);
}

#[test]
fn disks_of_all_kinds() {
    disks(Linked::Shared);
}

#[test]
fn disks_leak_nothing() {
    disks(Linked::Sanitized);
}

#[test]
fn two_threads() {
    check("threads", Linked::Shared, &NONE);
}

#[test]
fn threads_leak_nothing() {
    check("threads", Linked::Sanitized, &NONE);
}

#[test]
fn no_more_threads() {
    check("limits", Linked::Shared, &NONE);
}

/// A program that has another zstd of its own, and the archive.
#[test]
fn the_archive_leaves_names_of_other_libraries_alone() {
    check("names", Linked::Static, &NONE);
    check("names", Linked::Alone, &NONE);
}

#[test]
fn sockets_of_two_kernels() {
    check("sockets", Linked::Shared, &NONE);
}

#[test]
fn sockets_leak_nothing() {
    check("sockets", Linked::Sanitized, &NONE);
}

/// A GPT: "first" with an ext4 that is labelled "lower", "secret" with a LUKS volume.
#[test]
fn volumes() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("disk.img");
    File::create(&image)
        .expect("an image")
        .set_len(96 << 20)
        .expect("room");
    let table = "label: gpt\nstart=2048, size=65536, name=first\nsize=98304, name=secret\n";
    let mut sfdisk = Command::new("sfdisk")
        .arg("--quiet")
        .arg(&image)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sfdisk");
    let mut input = sfdisk.stdin.take().expect("its input");
    input.write_all(table.as_bytes()).expect("a table");
    drop(input);
    assert!(sfdisk.wait().expect("sfdisk").success());
    put(&image, 1 << 20, &part(&dir, "lower"));
    put(&image, 33 << 20, &luks(&dir));
    check("volumes", Linked::Shared, &[&image, &part(&dir, "inside")]);
}

/// A small ext4.
fn part(dir: &TempDir, label: &str) -> PathBuf {
    let path = dir.path().join(label);
    let file = File::create(&path).expect("an image");
    file.set_len(16 << 20).expect("room");
    run(Command::new("mkfs.ext4")
        .args(["-q", "-F", "-L", label])
        .arg(&path));
    path
}

/// Copies one image into another, at an offset in bytes.
fn put(image: &Path, offset: u64, part: &Path) {
    let bytes = fs::read(part).expect("a part");
    let image = File::options().write(true).open(image).expect("the image");
    image.write_all_at(&bytes, offset).expect("the part");
}

/// An empty LUKS volume: its passphrase is "pass".
fn luks(dir: &TempDir) -> PathBuf {
    let [key, path] = ["key", "luks"].map(|name| dir.path().join(name));
    fs::write(&key, "pass").expect("a key");
    let file = File::create(&path).expect("an image");
    file.set_len(40 << 20).expect("room");
    run(Command::new("cryptsetup")
        .args([
            "luksFormat",
            "--batch-mode",
            "--type",
            "luks2",
            "--sector-size",
            "512",
        ])
        .args(["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"])
        .arg(&path)
        .arg(&key));
    path
}
