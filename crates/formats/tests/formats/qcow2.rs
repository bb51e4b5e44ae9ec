//! qcow2: images of qemu-img are read, and qemu-img finds written ones valid.

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Barrier;

use drupe_formats::{Format, Options, open};

use crate::lab::{Lab, Outcome, assert_same, content, read_all, read_only, scribble};

const KINDS: &[&str] = &[
    "compat=1.1",
    "compat=0.10",
    "compat=1.1,cluster_size=4096",
    "compat=1.1,refcount_bits=1",
    "compat=1.1,lazy_refcounts=on",
];

#[test]
fn reads_what_qemu_img_has_written() -> Outcome {
    let lab = Lab::new()?;
    for kind in KINDS {
        for compressed in ["", "-c "] {
            lab.qemu_img(&format!("convert {compressed}-O qcow2 -o {kind} raw disk"))?;
            let opened = open(&lab.path("disk"), &read_only())?;
            assert_eq!(opened.format, Format::Qcow2);
            assert!(opened.disk.geometry().read_only);
            assert_same(&read_all(&*opened.disk)?, &content());
            let write = opened.disk.write_at(&[IoSlice::new(&[1; 512])], 0, false);
            assert!(write.is_err());
        }
    }
    Ok(())
}

#[test]
fn what_is_written_is_sound() -> Outcome {
    let lab = Lab::new()?;
    for (seed, kind) in KINDS.iter().enumerate() {
        lab.qemu_img(&format!("convert -c -O qcow2 -o {kind} raw disk"))?;
        let mut bytes = content();
        for round in 0..3 {
            let disk = lab.open("disk", &Options::default())?;
            scribble(&*disk, &mut bytes, (seed * 10 + round) as u64, 60)
                .map_err(|error| format!("{kind}: {error}"))?;
            assert_same(&read_all(&*disk)?, &bytes);
            disk.flush()?;
            drop(disk);
            lab.qemu_img("check -q disk")?;
            assert_same(&lab.converted("disk")?, &bytes);
        }
    }
    Ok(())
}

/// After a flush the file is complete, though the disk is still open; after a
/// durable write too.
#[test]
fn what_is_flushed_is_in_the_file() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("create -q -f qcow2 disk 6M")?;
    let disk = lab.open("disk", &Options::default())?;
    let mut bytes = vec![0; 6 << 20];
    for (n, durable) in [(1, false), (2, true)] {
        let at = n * (1 << 20);
        bytes[at..at + 4096].fill(n as u8);
        disk.write_at(&[IoSlice::new(&bytes[at..at + 4096])], at as u64, durable)?;
        if !durable {
            disk.flush()?;
        }
        // As after a power failure: what the program has in memory is gone.
        fs::copy(lab.path("disk"), lab.path("copy"))?;
        lab.qemu_img("check -q copy")?;
        assert_same(&lab.converted("copy")?, &bytes);
    }
    Ok(())
}

#[test]
fn discarded_clusters_are_freed() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 raw disk")?;
    let disk = lab.open("disk", &Options::default())?;
    disk.discard(0, 4 << 20)?;
    disk.flush()?;
    let allocated = |name| -> Outcome<u64> {
        let check = lab.qemu_img(&format!("check --output=json {name}"))?;
        let number = check.split("\"allocated-clusters\": ").nth(1);
        let number = number.and_then(|rest| rest.split([',', '\n']).next());
        Ok(number.unwrap_or_default().trim().parse()?)
    };
    drop(disk);
    // 64 of the 96 clusters are gone, but for those that were holes.
    assert!(allocated("disk")? < 40, "{}", allocated("disk")?);
    Ok(())
}

#[test]
fn snapshots_stay_as_they_are() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 raw disk")?;
    lab.qemu_img("snapshot -c before disk")?;
    let mut bytes = content();
    let disk = lab.open("disk", &Options::default())?;
    scribble(&*disk, &mut bytes, 7, 60)?;
    disk.flush()?;
    drop(disk);
    lab.qemu_img("check -q disk")?;
    assert_same(&lab.converted("disk")?, &bytes);
    lab.qemu_img("snapshot -a before disk")?;
    assert_same(&lab.converted("disk")?, &content());
    Ok(())
}

#[test]
fn four_threads_at_once() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 -c raw disk")?;
    let disk = lab.open("disk", &Options::default())?;
    let mut bytes = content();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for (n, part) in bytes.chunks_mut((6 << 20) / 4).enumerate() {
            let (disk, barrier) = (&disk, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let base = (n * part.len()) as u64;
                for (step, piece) in part.chunks_mut(12_288).enumerate() {
                    let at = base + (step * 12_288) as u64;
                    match step % 4 {
                        0 => {
                            piece.fill(0);
                            disk.write_zeroes(at, piece.len() as u64).unwrap();
                        }
                        1 => disk
                            .read_at(&mut [IoSliceMut::new(&mut piece.to_vec())], at)
                            .unwrap(),
                        _ => {
                            piece.fill((n * 50 + step) as u8);
                            disk.write_at(&[IoSlice::new(piece)], at, step % 16 == 3)
                                .unwrap();
                        }
                    }
                }
            });
        }
    });
    assert_same(&read_all(&*disk)?, &bytes);
    disk.flush()?;
    drop(disk);
    lab.qemu_img("check -q disk")?;
    assert_same(&lab.converted("disk")?, &bytes);
    Ok(())
}

#[test]
fn backing_files_are_opened_if_allowed() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("create -q -f qcow2 -b raw -F raw middle")?;
    lab.qemu_img("create -q -f qcow2 -b middle -F qcow2 top 7M")?;
    let said = lab.refused("top", &Options::default())?;
    assert!(said.contains("its backing file \"middle\""), "{said}");

    let allowed = Options {
        backing: true,
        ..Options::default()
    };
    let mut bytes = content();
    bytes.resize(7 << 20, 0);
    let disk = lab.open("top", &allowed)?;
    assert_same(&read_all(&*disk)?, &bytes);
    scribble(&*disk, &mut bytes, 3, 60)?;
    disk.flush()?;
    // They are locked, to be read only.
    assert!(
        lab.refused("raw", &Options::default())?
            .contains("in use by this process")
    );
    lab.open("raw", &read_only())?;
    drop(disk);
    lab.qemu_img("check -q top")?;
    assert_same(&lab.converted("top")?, &bytes);
    assert_same(&fs::read(lab.path("raw"))?, &content());

    fs::remove_file(lab.path("raw"))?;
    let said = lab.refused("top", &allowed)?;
    assert!(
        said.contains("\"middle\": its backing file \"raw\": No such file"),
        "{said}"
    );
    // A loop ends.
    lab.qemu_img("rebase -u -f qcow2 -b middle -F qcow2 middle")?;
    let said = lab.refused(
        "middle",
        &Options {
            read_only: true,
            ..allowed
        },
    )?;
    assert!(said.contains("more than 64 backing files"), "{said}");
    Ok(())
}

#[test]
fn external_data_files_are_opened_if_allowed() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 -o data_file=data raw disk")?;
    let said = lab.refused("disk", &Options::default())?;
    assert!(said.contains("its external data file \"data\""), "{said}");
    let allowed = Options {
        backing: true,
        ..Options::default()
    };
    let mut bytes = content();
    let disk = lab.open("disk", &allowed)?;
    assert_same(&read_all(&*disk)?, &bytes);
    scribble(&*disk, &mut bytes, 4, 30)?;
    disk.flush()?;
    drop(disk);
    lab.qemu_img("check -q disk")?;
    assert_same(&lab.converted("disk")?, &bytes);
    Ok(())
}

#[test]
fn what_is_not_supported_is_named() -> Outcome {
    let lab = Lab::new()?;
    let image = |arguments: &str| lab.qemu_img(&format!("create -q {arguments}"));
    image(
        "-f qcow2 --object secret,id=s,data=geheim -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 luks 1M",
    )?;
    image("-f qcow2 -o compression_type=zstd zstd 1M")?;
    image("-f qcow2 -o extended_l2=on subclusters 1M")?;
    for (name, what) in [
        ("luks", "encryption (LUKS) is not supported"),
        ("zstd", "compression with zstd is not supported"),
        ("subclusters", "extended_l2 (subclusters) is not supported"),
    ] {
        let said = lab.refused(name, &read_only())?;
        assert!(said.contains(what), "{said}");
    }
    lab.qemu_img("create -q -f qcow2 disk 1M")?;
    let disk = File::options().write(true).open(lab.path("disk"))?;
    for (bits, what) in [
        (1, "qemu-img check -r all"),
        (2, "marked as corrupt"),
        (1 << 40, "incompatible feature 0x10000000000"),
    ] {
        disk.write_all_at(&u64::to_be_bytes(bits), 72)?;
        let said = lab.refused("disk", &read_only())?;
        assert!(said.contains(what), "{said}");
    }
    Ok(())
}

#[test]
fn locks_and_says_who_has_locked() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("create -q -f qcow2 disk 1M")?;
    let disk = lab.open("disk", &Options::default())?;
    let said = lab.refused("disk", &read_only())?;
    assert!(said.contains("in use by this process"), "{said}");
    drop(disk);
    // Another process: flock(1) keeps the lock while it waits for its input.
    let mut other = std::process::Command::new("flock")
        .arg(lab.path("disk"))
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = other.stdout.take().ok_or("no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    let said = lab.refused("disk", &read_only())?;
    drop(other.stdin.take());
    other.wait()?;
    assert!(
        said.contains(&format!("process {} (flock)", other.id())),
        "{said}"
    );
    lab.open("disk", &Options::default())?;
    Ok(())
}

/// A cluster in a range without refcounts: discarding it made the search for a
/// free one recurse without end.
#[test]
fn clusters_that_are_not_counted_are_told() -> Outcome {
    let lab = Lab::new()?;
    lab.qemu_img("convert -O qcow2 -o cluster_size=4096 raw disk")?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(lab.path("disk"))?;
    let number = |at| -> Outcome<u64> {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_be_bytes(bytes))
    };
    let l2_table = number(number(40)?)? & 0x00ff_ffff_ffff_fe00;
    // A block of refcounts is for 8 MiB.
    let entry: u64 = 1 << 63 | 16 << 20;
    file.write_all_at(&entry.to_be_bytes(), l2_table)?;
    let said = lab.refused("disk", &Options::default())?;
    assert!(said.contains("has no refcounts"), "{said}");
    lab.open("disk", &read_only())?;
    Ok(())
}

/// A download that broke off.
#[test]
fn what_is_cut_short_is_called_that() -> Outcome {
    let lab = Lab::new()?;
    for options in ["-c", "-S 0", "-o cluster_size=512", "-o refcount_bits=1"] {
        lab.qemu_img(&format!("convert -O qcow2 {options} raw disk"))?;
        lab.open("disk", &read_only())?;
        let file = File::options().write(true).open(lab.path("disk"))?;
        let size = file.metadata()?.len();
        file.set_len(size - size / 4)?;
        let said = lab.refused("disk", &read_only())?;
        assert!(said.contains("cut short"), "{options}: {said}");
    }
    // What is new has hardly anything in it.
    lab.qemu_img("create -q -f qcow2 disk 1G")?;
    lab.open("disk", &read_only())?;
    Ok(())
}
