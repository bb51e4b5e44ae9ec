//! `SOURCE_DATE_EPOCH`: two runs, one image.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;

use super::harness::{Outcome, Place, check_ext4, noise, tool};

const EPOCH: &str = "1700000000";

/// Runs the command with the clock standing still.
fn drupe(place: &Place, args: &[&str]) -> Outcome<String> {
    let output = place
        .command()
        .args(args)
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .output()?;
    match output.status.success() && output.stderr.is_empty() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!("{args:?}: {output:?}").into()),
    }
}

/// An image without what ext4's superblock says of how much was ever written
/// (`s_kbytes_written`) and its checksum: how often writing back finds a block
/// changed is a matter of time. On vfat these are bytes of the boot code.
fn image(place: &Place, name: &str) -> Outcome<Vec<u8>> {
    let mut bytes = fs::read(place.path(name))?;
    for (at, len) in [(0x178, 8), (0x3fc, 4)] {
        bytes[1024 + at..][..len].fill(0);
    }
    Ok(bytes)
}

/// Does the same twice to copies of an image, and compares them.
fn twice(place: &Place, fresh: &str, commands: &[&[&str]]) -> Outcome {
    twice_but_for(place, fresh, commands, 0..0)
}

/// The same but for some bytes.
fn twice_but_for(
    place: &Place,
    fresh: &str,
    commands: &[&[&str]],
    but_for: Range<usize>,
) -> Outcome {
    for image in ["1.img", "2.img"] {
        fs::copy(place.path(fresh), place.path(image))?;
        for command in commands {
            let command: Vec<String> = command
                .iter()
                .map(|arg| arg.replace("X:", &format!("{image}:")))
                .collect();
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            drupe(place, &command)?;
            // Reading the source must not show.
            tool("sh", |sh| {
                sh.arg("-c")
                    .arg("touch -a tree/*")
                    .current_dir(place.path(""))
            })?;
        }
    }
    let (mut one, mut two) = (image(place, "1.img")?, image(place, "2.img")?);
    one[but_for.clone()].fill(0);
    two[but_for].fill(0);
    if one != two {
        let differ = one.iter().zip(&two).position(|(one, two)| one != two);
        return Err(format!("{commands:?}: different from byte {differ:?} on").into());
    }
    Ok(())
}

fn place() -> Outcome<Place> {
    let place = Place::new()?;
    for n in 0..100 {
        place.write(&format!("tree/{}/{n}", n % 7), noise(n * 50))?;
    }
    place.write("tree/large", noise(1_500_000))?;
    tool("tar", |tar| {
        tar.args(["-cf", "a.tar", "tree"])
            .current_dir(place.path(""))
    })?;
    Ok(place)
}

#[test]
fn ext4() -> Outcome {
    let place = place()?;
    let fixed = [
        "-U",
        "11111111-2222-3333-4444-555555555555",
        "-E",
        "hash_seed=11111111-2222-3333-4444-555555555555,lazy_itable_init=0,lazy_journal_init=0",
    ];
    // What is left in a journal depends on when it was committed.
    let fixed = [&fixed[..], &["-O", "^has_journal"]].concat();
    place.ext4("fresh.img", 64 << 20, &fixed)?;
    let commands: [&[&str]; 4] = [
        &["cp", "-a", "tree", "X:/a"],
        &["cp", "-r", "tree", "X:/b"],
        &["untar", "-f", "a.tar", "X:/"],
        &["touch", "X:/c"],
    ];
    twice(&place, "fresh.img", &commands)?;
    check_ext4(&place.path("1.img"))?;
    let times = drupe(
        &place,
        &["stat", "-c", "%x %y %z %w", "1.img:/c", "1.img:/b/large"],
    )?;
    // Four times of two files, to the nanosecond.
    assert_eq!(times.matches("13:20.000000000").count(), 8, "{times}");
    Ok(())
}

#[test]
fn vfat() -> Outcome {
    let place = place()?;
    File::create(place.path("fresh.img"))?.set_len(64 << 20)?;
    tool("mkfs.vfat", |mkfs| {
        mkfs.args(["-i", "12345678"]).arg(place.path("fresh.img"))
    })?;
    twice(&place, "fresh.img", &[&["cp", "-r", "tree", "X:/a"]])?;
    tool("fsck.vfat", |fsck| fsck.arg("-n").arg(place.path("1.img"))).map(drop)
}

/// Twice as much as the kernel has memory: what it forgets of files, and when, is
/// not to show.
#[test]
fn more_than_memory() -> Outcome {
    let place = Place::new()?;
    for n in 0..1000 {
        place.write(&format!("tree/{}/{n}", n % 40), noise((n * 7919) % 250_000))?;
    }
    tool("tar", |tar| {
        tar.args(["-cf", "a.tar", "tree"])
            .current_dir(place.path(""))
    })?;
    let makers: [(&str, &[&str]); 4] = [
        ("mkfs.ext4", &["-q", "-O", "^has_journal"]),
        ("mkfs.btrfs", &["-q"]),
        ("mkfs.f2fs", &["-q"]),
        ("mkfs.xfs", &["-q"]),
    ];
    for (maker, options) in makers {
        let fresh = place.path("fresh.img");
        File::create(&fresh)?.set_len(320 << 20)?;
        tool(maker, |mkfs| mkfs.args(options).arg(&fresh))?;
        let log = match maker {
            // What is left in it depends on when it was written.
            "mkfs.xfs" => xfs_log(&fresh)?,
            _ => 0..0,
        };
        let command = match maker {
            "mkfs.btrfs" => &["cp", "-r", "tree", "X:/tree"][..],
            _ => &["untar", "-f", "a.tar", "X:/"],
        };
        let same = twice_but_for(&place, "fresh.img", &[command], log);
        same.map_err(|error| format!("{maker}: {error}"))?;
    }
    Ok(())
}

/// Where the log of an XFS is.
fn xfs_log(image: &Path) -> Outcome<Range<usize>> {
    let superblock = fs::read(image)?;
    let be32 =
        |at: usize| u32::from_be_bytes(superblock[at..at + 4].try_into().unwrap_or_default());
    let start = u64::from_be_bytes(superblock[48..56].try_into()?);
    let (block_size, group_blocks, blocks) = (be32(4), be32(84), be32(96));
    // A block's number is that of its group, shifted, and its place in that.
    let shift = superblock[124];
    let block = (start >> shift) * u64::from(group_blocks) + (start & ((1 << shift) - 1));
    let start = (block * u64::from(block_size)) as usize;
    Ok(start..start + (blocks * block_size) as usize)
}

#[test]
fn what_is_no_time() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 << 20, &[])?;
    let run = place
        .command()
        .args(["ls", "d.img"])
        .env("SOURCE_DATE_EPOCH", "now")
        .output()?;
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8(run.stderr)?.contains("SOURCE_DATE_EPOCH=now"));
    Ok(())
}
