//! Disks of real servers: qemu-nbd and nbdkit, over Unix sockets and TCP.

use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::thread;

use drupe_formats::{Format, Options, open_uri};
use drupe_host::disk::Disk;

use crate::lab::{Lab, Outcome, SIZE, assert_same, content, read_all, read_only, scribble};

fn open(uri: &str, options: &Options) -> Outcome<Arc<dyn Disk>> {
    let opened = open_uri(uri, options).map_err(|error| format!("{uri}: {error}"))?;
    assert_eq!(opened.format, Format::Nbd);
    Ok(opened.disk)
}

fn refused(uri: &str, options: &Options) -> String {
    match open_uri(uri, options) {
        Ok(_) => panic!("{uri} was opened"),
        Err(error) => error.to_string(),
    }
}

/// Reads, writes, flushes, trims and zeroes; four threads at once at the end.
fn exercise(uri: &str) -> Outcome<Vec<u8>> {
    let mut bytes = content();
    let disk = open(uri, &Options::default())?;
    assert_eq!(disk.geometry().size, SIZE as u64);
    assert!(disk.geometry().discard && !disk.geometry().read_only);
    assert_same(&read_all(&*disk)?, &bytes);
    scribble(&*disk, &mut bytes, 5, 60)?;
    disk.flush()?;
    assert_same(&read_all(&*disk)?, &bytes);
    thread::scope(|scope| {
        for (n, part) in bytes.chunks_mut(SIZE / 4).enumerate() {
            let disk = &disk;
            scope.spawn(move || {
                for (step, piece) in part.chunks_mut(16384).enumerate() {
                    let at = (n * (SIZE / 4) + step * 16384) as u64;
                    let mut found = vec![0; piece.len()];
                    disk.read_at(&mut [IoSliceMut::new(&mut found)], at)
                        .unwrap();
                    assert_same(&found, piece);
                    piece.fill((n * 64 + step) as u8);
                    disk.write_at(&[IoSlice::new(piece)], at, step % 8 == 0)
                        .unwrap();
                }
            });
        }
    });
    disk.flush()?;
    assert_same(&read_all(&*disk)?, &bytes);
    Ok(bytes)
}

#[test]
fn qemu_nbd_over_a_unix_socket() -> Outcome {
    let lab = Lab::new()?;
    let command = "qemu-nbd --persistent --format=raw --discard=unmap --export-name=a/b raw";
    let server = lab.serve_unix(command)?;
    let bytes = exercise(&server.uri.replace("///", "///a/b"))?;
    let said = refused(&server.uri.replace("///", "///nothing"), &read_only());
    assert!(said.contains("no export \"nothing\""), "{said}");
    drop(server);
    assert_same(&fs::read(lab.path("raw"))?, &bytes);
    Ok(())
}

#[test]
fn qemu_nbd_with_a_qcow2_over_tcp() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 raw disk")?;
    let server = lab.serve_tcp("qemu-nbd --persistent --format=qcow2 --discard=unmap disk")?;
    let bytes = exercise(&server.uri)?;
    drop(server);
    assert_same(&lab.converted("disk")?, &bytes);
    Ok(())
}

#[test]
fn nbdkit_over_a_unix_socket() -> Outcome {
    let lab = Lab::new()?;
    let server = lab.serve_unix("nbdkit --foreground file raw")?;
    let bytes = exercise(&server.uri)?;
    assert_same(&fs::read(lab.path("raw"))?, &bytes);
    Ok(())
}

/// Requests are cut to what the server takes, and blocks are its blocks.
#[test]
fn nbdkit_with_sizes_of_its_own_over_tcp() -> Outcome {
    let lab = Lab::new()?;
    let nbdkit = "nbdkit --foreground --filter=blocksize-policy";
    let sizes = "blocksize-error-policy=error blocksize-preferred=4096";
    let server = lab.serve_tcp(&format!(
        "{nbdkit} file raw {sizes} blocksize-minimum=512 blocksize-maximum=8192"
    ))?;
    let bytes = exercise(&server.uri)?;
    assert_same(&fs::read(lab.path("raw"))?, &bytes);

    let server = lab.serve_tcp(&format!(
        "{nbdkit} memory 1M {sizes} blocksize-minimum=4096"
    ))?;
    let disk = open(&server.uri, &Options::default())?;
    assert_eq!(disk.geometry().block_size, 4096);
    disk.write_at(&[IoSlice::new(&[7; 4096])], 8192, false)?;
    Ok(())
}

#[test]
fn what_is_read_only_is_not_written() -> Outcome {
    let lab = Lab::new()?;
    let server = lab.serve_unix("nbdkit --foreground --readonly file raw")?;
    let said = refused(&server.uri, &Options::default());
    assert!(said.contains("exports it read-only"), "{said}");
    let disk = open(&server.uri, &read_only())?;
    assert!(disk.geometry().read_only);
    assert_same(&read_all(&*disk)?, &content());
    Ok(())
}

/// Errors of the server are those of the requests, and do not end it.
#[test]
fn errors_are_told() -> Outcome {
    let lab = Lab::new()?;
    let nbdkit = "nbdkit --foreground --filter=error file raw";
    let server = lab.serve_unix(&format!(
        "{nbdkit} error-pwrite=ENOSPC error-pwrite-rate=100%"
    ))?;
    let disk = open(&server.uri, &Options::default())?;
    let write = disk.write_at(&[IoSlice::new(&[7; 512])], 0, false);
    assert_eq!(write.unwrap_err().raw_os_error(), Some(28));
    assert_same(&read_all(&*disk)?, &content());
    Ok(())
}

/// Those who wait when the server is killed, and all who come later.
#[test]
fn a_killed_server_is_an_error_of_all() -> Outcome {
    let lab = Lab::new()?;
    let mut server =
        lab.serve_unix("nbdkit --foreground --filter=delay file raw rdelay=100 wdelay=100")?;
    let disk = open(&server.uri, &Options::default())?;
    let io = Some(5);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let disk = &disk;
                scope.spawn(move || match n {
                    0 => disk.write_at(&[IoSlice::new(&[7; 512])], 0, true),
                    n => disk.read_at(&mut [IoSliceMut::new(&mut [0; 4096])], n * 4096),
                })
            })
            .collect();
        server.kill();
        for thread in threads {
            let result = thread.join().unwrap();
            assert_eq!(result.unwrap_err().raw_os_error(), io);
        }
    });
    assert_eq!(disk.flush().unwrap_err().raw_os_error(), io);
    drop(disk);
    let said = refused(&server.uri, &Options::default());
    assert!(said.contains("cannot connect to /"), "{said}");
    Ok(())
}
