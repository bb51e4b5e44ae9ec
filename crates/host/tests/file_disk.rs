//! Tests of `FileDisk`: disks in files of the host.

use drupe_host::disk::{Disk, FileDisk};
use std::fs::{self, File};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

struct Image {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

/// An image of 1 MiB, all ones.
fn image() -> Image {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, vec![0xff; 1 << 20]).unwrap();
    Image { _dir: dir, path }
}

fn read(disk: &FileDisk, offset: u64, len: usize) -> Vec<u8> {
    let (mut one, mut two) = (vec![0; len / 2], vec![0; len - len / 2]);
    disk.read_at(
        &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)],
        offset,
    )
    .unwrap();
    [one, two].concat()
}

#[test]
fn reads_what_was_written() {
    let image = image();
    let disk = FileDisk::open(&image.path, false).unwrap();
    for durable in [false, true] {
        let (one, two) = ([1; 512], [2; 1024]);
        disk.write_at(&[IoSlice::new(&one), IoSlice::new(&two)], 4096, durable)
            .unwrap();
    }
    disk.flush().unwrap();
    let back = read(&disk, 4096 - 512, 512 * 5);
    assert_eq!(
        back,
        [
            vec![0xff; 512],
            vec![1; 512],
            vec![2; 1024],
            vec![0xff; 512]
        ]
        .concat()
    );
}

#[test]
fn discards_free_space_and_read_as_zeroes() {
    let image = image();
    let blocks = fs::metadata(&image.path).unwrap().blocks();
    let disk = FileDisk::open(&image.path, false).unwrap();
    assert!(disk.geometry().discard);
    disk.discard(64 << 10, 512 << 10).unwrap();
    disk.write_zeroes(640 << 10, 64 << 10).unwrap();
    assert_eq!(read(&disk, 64 << 10, 512 << 10), vec![0; 512 << 10]);
    assert_eq!(read(&disk, 640 << 10, 64 << 10), vec![0; 64 << 10]);
    let after = fs::metadata(&image.path).unwrap();
    assert_eq!(after.len(), 1 << 20);
    assert!(
        after.blocks() + (500 << 10) / 512 < blocks,
        "no hole was made"
    );
}

#[test]
fn an_image_has_one_writer_or_many_readers() {
    let image = image();
    let one = FileDisk::open(&image.path, true).unwrap();
    let two = FileDisk::open(&image.path, true).unwrap();
    let error = FileDisk::open(&image.path, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop((one, two));
    let _writer = FileDisk::open(&image.path, false).unwrap();
    let error = FileDisk::open(&image.path, true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_is_no_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = FileDisk::open(dir.path(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = FileDisk::open(&dir.path().join("nothing"), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn an_image_that_shrank_is_an_error() {
    let image = image();
    let disk = FileDisk::open(&image.path, true).unwrap();
    File::options()
        .write(true)
        .open(&image.path)
        .unwrap()
        .set_len(4096)
        .unwrap();
    let mut data = [0; 8192];
    let error = disk
        .read_at(&mut [IoSliceMut::new(&mut data)], 0)
        .unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
}
