//! Ends of a mount: the image is clean, and synced data is in it.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Outcome, Place, noise, tool};
use crate::mounted::{BTRFS, EXT4, Mounted, XFS, left_out};

#[test]
fn signals_unmount() -> Outcome {
    if left_out() {
        return Ok(());
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for options in [&[][..], &["--writeback"]] {
            let place = Place::new()?;
            let image = EXT4.image(&place)?;
            let mounted = Mounted::new(&place, &image, options)?;
            let bytes = noise(1 << 20);
            fs::write(mounted.path("file"), &bytes)?;
            mounted.signal(signal)?;
            mounted.ended()?;
            EXT4.check(&image)?;
            let listed = place.ok(&["ls", "-l", "ext4.img:/"])?;
            assert!(listed.contains("1048576"), "{listed}");
        }
    }
    Ok(())
}

#[test]
fn signals_unmount_what_is_in_use() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &["--writeback"])?;
    let mut file = File::create(mounted.path("file"))?;
    file.write_all(b"written")?;
    let removed = File::create(mounted.path("removed"))?;
    fs::remove_file(mounted.path("removed"))?;
    mounted.signal(Signal::TERM)?;
    mounted.ended()?;
    // Clean: no journal to replay, no orphans.
    EXT4.check(&image)?;
    assert_eq!(place.ok(&["cat", "ext4.img:/file"])?, "written");
    assert!(file.sync_all().is_err());
    drop(removed);
    Ok(())
}

/// What programs have written to memory they have mapped is the host's to write out,
/// which goes on after it says so.
#[test]
fn what_is_mapped_and_dirty_is_written() -> Outcome {
    if left_out() {
        return Ok(());
    }
    for _ in 0..5 {
        let place = Place::new()?;
        let image = EXT4.image(&place)?;
        let mounted = Mounted::new(&place, &image, &[])?;
        let file = File::options();
        let file = file
            .clone()
            .read(true)
            .write(true)
            .create_new(true)
            .open(mounted.path("file"))?;
        file.set_len(1 << 20)?;
        // The mapping outlives the mount, and cannot be synced then.
        let synced = crate::data::mapped(&file, 1 << 20, |bytes| {
            bytes.fill(b'z');
            let ended = mounted.signal(Signal::TERM);
            ended.and_then(|()| mounted.ended()).expect("a clean end");
        });
        assert!(synced.is_err());
        EXT4.check(&image)?;
        assert_eq!(place.ok(&["cat", "ext4.img:/file"])?, "z".repeat(1 << 20));
    }
    Ok(())
}

/// A signal before there is anything to unmount ends it, whatever it waits for.
#[test]
fn signals_before_it_is_mounted() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    fs::create_dir(place.path("dir"))?;
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let disk = format!("nbd://{}/x", silent.local_addr()?);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut child = place
            .command()
            .args(["mount", "-f", &disk, "dir"])
            .stderr(Stdio::null())
            .spawn()?;
        let (_connection, _) = silent.accept()?;
        let pid = Pid::from_raw(child.id().try_into()?).ok_or("no pid")?;
        kill_process(pid, signal)?;
        assert!(!child.wait()?.success());
    }
    drop(silent);
    let line = place.fails(3, &["mount", "-f", &disk, "dir"])?;
    assert!(line.contains("refused"), "{line}");
    Ok(())
}

#[test]
fn root_unmounts_with_umount() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    let image = EXT4.image(&place)?;
    let mounted = Mounted::new(&place, &image, &[])?;
    let file = File::create(mounted.path("file"))?;
    assert!(
        tool("umount", |umount| umount.arg(&mounted.dir)).is_err(),
        "in use"
    );
    drop(file);
    tool("umount", |umount| umount.arg(&mounted.dir))?;
    mounted.ended()?;
    EXT4.check(&image)
}

/// Files that are written and synced by several threads until the mount is
/// killed: all that was acknowledged is there afterwards.
fn killed(kind: &crate::mounted::Kind, replay: &[&str], options: &[&str]) -> Outcome {
    let place = Place::new()?;
    let image = kind.image(&place)?;
    let mut mounted = Mounted::new(&place, &image, options)?;
    let (acknowledge, acknowledged) = mpsc::channel();
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (dir, acknowledge) = (mounted.dir.clone(), acknowledge.clone());
            thread::spawn(move || {
                for round in 0.. {
                    let name = format!("{writer}-{round}");
                    let write = || -> std::io::Result<()> {
                        let mut file = File::create(dir.join(&name))?;
                        file.write_all(&noise(1000 * (round % 50 + 1)))?;
                        file.sync_all()?;
                        // The name as well, where a file's fsync does not do.
                        File::open(&dir)?.sync_all()
                    };
                    // Killed, or nobody listens any more.
                    if write().is_err() || acknowledge.send((name, round)).is_err() {
                        break;
                    }
                }
            })
        })
        .collect();
    drop(acknowledge);
    // In the middle of whatever they do after these.
    let mut promised: Vec<_> = acknowledged.iter().take(60).collect();
    mounted.kill()?;
    promised.extend(acknowledged.iter());
    for writer in writers {
        writer.join().map_err(|_| "a writer panicked")?;
    }
    assert!(promised.len() >= 60);
    drop(mounted);
    // Mounting once more replays the journal.
    let mounted = Mounted::new(&place, &image, &[])?;
    for (name, round) in &promised {
        let bytes = fs::read(mounted.path(name))?;
        assert!(bytes == noise(1000 * (round % 50 + 1)), "{name}");
    }
    mounted.unmount()?;
    let (fsck, arguments) = replay.split_first().ok_or("no fsck")?;
    tool(fsck, |fsck| fsck.args(arguments).arg(&image)).map(drop)
}

#[test]
fn what_is_synced_survives_a_kill() -> Outcome {
    if left_out() {
        return Ok(());
    }
    killed(&EXT4, &["e2fsck", "-fn"], &[])?;
    killed(&EXT4, &["e2fsck", "-fn"], &["--writeback"])?;
    killed(&XFS, &["xfs_repair", "-n"], &[])?;
    killed(&BTRFS, &["btrfs", "check"], &[])
}

#[test]
fn in_the_background() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    EXT4.image(&place)?;
    fs::create_dir(place.path("dir"))?;
    assert_eq!(place.ok(&["mount", "ext4.img", "dir"])?, "");
    fs::write(place.path("dir/file"), "usable at once")?;
    tool("fusermount3", |umount| {
        umount.arg("-u").arg(place.path("dir"))
    })?;
    // Its process has the image until it is clean.
    let image = place.path("ext4.img");
    tool("flock", |wait| {
        wait.arg(&image).args(["e2fsck", "-fn"]).arg(&image)
    })?;
    assert_eq!(place.ok(&["cat", "ext4.img:/file"])?, "usable at once");
    Ok(())
}

/// Whoever mounts in the background may hold a lock meanwhile, which is its own.
#[test]
fn nothing_of_the_callers_stays_open() -> Outcome {
    if left_out() {
        return Ok(());
    }
    let place = Place::new()?;
    EXT4.image(&place)?;
    fs::create_dir(place.path("dir"))?;
    let script = "exec 9> lock; flock 9; \"$0\" mount ext4.img dir; exec 9>&-; flock -n lock true";
    tool("sh", |shell| {
        let drupe = place.command().get_program().to_owned();
        shell
            .args(["-c", script])
            .arg(drupe)
            .current_dir(place.path(""))
    })?;
    place.ok(&["umount", "dir"])?;
    EXT4.check(&place.path("ext4.img"))
}
