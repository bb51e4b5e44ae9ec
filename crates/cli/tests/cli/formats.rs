//! Images in containers, network disks, and truncated images.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::{Outcome, Place, check_ext4, digest, manifest, noise, strings, tool};

const SIZE: u64 = 16 << 20;

/// "raw", an ext4 image with a tree in it, which is in "tree" too.
fn raw(place: &Place) -> Outcome {
    place.ext4("raw", SIZE, &[])?;
    for n in 0..40 {
        place.write(&format!("tree/dir {}/{n}", n % 4), noise(n * 5000))?;
    }
    std::os::unix::fs::symlink("dir 1/5", place.path("tree/link"))?;
    place.ok(&strings(&["cp", "-a", "tree", "raw:/"]))?;
    Ok(())
}

fn qemu_img(place: &Place, arguments: &str) -> Outcome {
    tool("qemu-img", |qemu_img| {
        qemu_img
            .args(arguments.split(' '))
            .current_dir(place.path(""))
    })
    .map(drop)
}

#[test]
fn the_same_tree_in_all_formats() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    let expected = manifest(&place.path("tree"))?;
    for (format, options) in [
        ("qcow2", "-c"),
        ("vmdk", "-o subformat=streamOptimized"),
        ("vmdk", "-o subformat=twoGbMaxExtentFlat"),
        ("vhdx", "-o subformat=dynamic"),
        ("vdi", "-o static=off"),
        ("vpc", "-o force_size=on"),
    ] {
        qemu_img(&place, &format!("convert -O {format} {options} raw disk"))?;
        // Extents beside it are opened if somebody says what it is.
        let name = ["--image-format", format];
        let named = |rest: &[&'static str]| {
            let words: Vec<&str> = name.iter().chain(rest).copied().collect();
            place.ok(&words)
        };
        named(&["cp", "-a", "disk:/tree", "out"])?;
        assert_eq!(manifest(&place.path("out"))?, expected, "{format}");
        fs::remove_dir_all(place.path("out"))?;

        let info = named(&["info", "disk"])?;
        let format = if format == "vpc" { "vhd" } else { format };
        assert!(
            info.starts_with(&format!("disk: 16.00 MiB, {format}\n")),
            "{info}"
        );
        let json = named(&["info", "--json", "disk"])?;
        let json: Value = serde_json::from_str(&json)?;
        assert_eq!(json[0]["format"], format);
        assert_eq!(json[0]["size"], SIZE);
        assert_eq!(json[0]["filesystem"], "ext4");
    }
    Ok(())
}

#[test]
fn copies_into_a_qcow2() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    qemu_img(&place, "convert -O qcow2 -c raw disk")?;
    place.ok(&strings(&["cp", "-a", "tree", "disk:/again"]))?;
    place.ok(&strings(&["cp", "-a", "disk:/again", "out"]))?;
    assert_eq!(
        manifest(&place.path("out"))?,
        manifest(&place.path("tree"))?
    );
    qemu_img(&place, "check -q disk")?;
    qemu_img(&place, "convert -O raw disk converted")?;
    check_ext4(&place.path("converted"))
}

#[test]
fn what_an_image_names_must_be_allowed() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    qemu_img(&place, "create -q -f qcow2 -b raw -F raw disk")?;
    let line = place.fails(3, &strings(&["ls", "disk:/"]))?;
    assert!(
        line.contains("backing file \"raw\"") && line.contains("--backing"),
        "{line}"
    );
    place.ok(&strings(&["--backing", "ls", "disk:/tree"]))?;
    let before = digest(&fs::read(place.path("raw"))?);
    place.ok(&strings(&["--backing", "cp", "-r", "tree", "disk:/again"]))?;
    assert_eq!(before, digest(&fs::read(place.path("raw"))?));
    place.ok(&strings(&["--backing", "ls", "disk:/again"]))?;

    // As what it is not.
    let line = place.fails(3, &strings(&["--image-format", "raw", "ls", "disk:/"]))?;
    assert!(line.contains("no filesystem"), "{line}");
    let line = place.fails(3, &strings(&["--image-format", "qcow2", "ls", "raw:/"]))?;
    assert!(line.contains("there is no qcow2 header"), "{line}");
    assert_eq!(
        place
            .drupe(&strings(&["--image-format", "x", "ls", "raw"]))?
            .code,
        Some(2)
    );
    assert_eq!(
        place
            .drupe(&strings(&["--block-size", "1", "ls", "raw"]))?
            .code,
        Some(2)
    );
    Ok(())
}

#[test]
fn a_read_only_format_is_not_written() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    qemu_img(&place, "convert -O vhdx raw disk")?;
    let before = digest(&fs::read(place.path("disk"))?);
    let line = place.fails(3, &strings(&["cp", "-r", "tree", "disk:/again"]))?;
    assert!(line.contains("vhdx is a read-only format"), "{line}");
    assert_eq!(before, digest(&fs::read(place.path("disk"))?));
    Ok(())
}

/// A server, killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves "raw" from a socket that is there before the server is
/// (sd_listen_fds(3)); the address of its only export, "disk".
fn serve(place: &Place) -> Outcome<(Server, String)> {
    let path = place.path("socket");
    let listener = UnixListener::bind(&path)?;
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 \
                  exec qemu-nbd -t -f raw -x disk raw 3<&0 </dev/null";
    let server = Command::new("sh")
        .args(["-c", script])
        .current_dir(place.path(""))
        .stdin(OwnedFd::from(listener))
        .spawn()?;
    let uri = format!("nbd+unix:///disk?socket={}", path.display());
    Ok((Server(server), uri))
}

/// Passes bytes on to the server of `uri`, until `limit` of them went one of both ways:
/// then it is silent, and `told` hears of that. The new address.
fn silent_after(place: &Place, limit: u64, told: mpsc::Sender<()>) -> Outcome<String> {
    let listener = UnixListener::bind(place.path("proxy"))?;
    let server = place.path("socket");
    thread::spawn(move || -> io::Result<()> {
        let client = listener.accept()?.0;
        let server = UnixStream::connect(server)?;
        thread::scope(|scope| {
            let client = &client;
            for (from, mut to) in [(client, &server), (&server, client)] {
                let told = told.clone();
                scope.spawn(move || {
                    let _ = io::copy(&mut from.take(limit), &mut to);
                    let _ = told.send(());
                    // Until the client has gone.
                    let _ = io::copy(&mut &*client, &mut io::sink());
                });
            }
        });
        Ok(())
    });
    let path = place.path("proxy");
    Ok(format!("nbd+unix:///disk?socket={}", path.display()))
}

/// Promise 4: a server that falls silent is not waited for after a signal.
#[test]
fn a_silent_server_is_not_waited_for() -> Outcome {
    for copies_in in [false, true] {
        let place = Place::new()?;
        raw(&place)?;
        place.write("f", noise(8 << 20))?;
        if !copies_in {
            place.ok(&strings(&["cp", "f", "raw:/f"]))?;
        }
        let (_server, _) = serve(&place)?;
        let (told, silent) = mpsc::channel();
        let uri = silent_after(&place, 4 << 20, told)?;
        let inside = format!("{uri}:/f");
        let words = match copies_in {
            true => ["cp", "f", &inside],
            false => ["cp", &inside, "out"],
        };
        let mut command = place.command();
        let mut child = command.args(words).stderr(Stdio::piped()).spawn()?;
        silent.recv()?;
        assert!(child.try_wait()?.is_none());
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let output = child.wait_with_output()?;
        assert!(!output.status.success(), "{output:?}");
        // It was no second signal, nor the end of the server's patience.
        assert!(output.status.code().is_some(), "{output:?}");
        assert!(!place.path("out").exists() && !place.path(".drupe-0").exists());
    }
    Ok(())
}

#[test]
fn reads_and_writes_a_network_disk() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    let (server, uri) = serve(&place)?;
    let at = |path: &str| format!("{uri}:{path}");
    place.ok(&strings(&["cp", "-a", "tree", &at("/again")]))?;
    place.ok(&strings(&["cp", "-a", &at("/again"), "out"]))?;
    assert_eq!(
        manifest(&place.path("out"))?,
        manifest(&place.path("tree"))?
    );
    assert!(place.ok(&strings(&["ls", &uri]))?.contains("again\n"));
    let info = place.ok(&strings(&["info", &uri]))?;
    assert!(info.contains(": 16.00 MiB, nbd\n"), "{info}");
    let other = uri.replace("/disk?", "/other?");
    let line = place.fails(3, &strings(&["ls", &other]))?;
    assert!(line.contains("no export \"other\""), "{line}");
    let line = place.fails(3, &strings(&["ls", &at("/").replace("nbd+", "nbds+")]))?;
    assert!(line.contains("TLS (nbds) is not supported"), "{line}");
    drop(server);
    let line = place.fails(3, &strings(&["ls", &at("/")]))?;
    assert!(line.contains("cannot connect to"), "{line}");
    check_ext4(&place.path("raw"))
}

#[test]
fn says_who_uses_an_image() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", SIZE, &[])?;
    place.write("a", "A")?;
    let file = File::open(image)?;
    file.lock_shared()?;
    let line = place.fails(3, &strings(&["cp", "a", "d.img:/"]))?;
    let pid = std::process::id();
    let name = fs::read_to_string("/proc/self/comm")?;
    let who = format!("d.img: is in use by process {pid} ({})", name.trim());
    assert!(line.contains(&who), "{line}");
    Ok(())
}

#[test]
fn the_kernels_words_are_told() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", SIZE, &["-O", "^metadata_csum"])?;
    // A feature that does not exist, and must be known.
    let file = File::options().read(true).write(true).open(image)?;
    let mut features = [0; 4];
    file.read_exact_at(&mut features, 1024 + 96)?;
    features[3] |= 0x40;
    file.write_all_at(&features, 1024 + 96)?;
    let line = place.fails(3, &strings(&["ls", "d.img:/"]))?;
    assert!(
        line.contains("because of unsupported optional features (40000000)"),
        "{line}"
    );
    Ok(())
}

/// A GPT as on a disk with sectors of `sector` bytes: one partition with ext4
/// from 1 MiB on, 16 MiB long, and a second behind it, up to 24 MiB.
fn gpt(place: &Place, sector: u64) -> Outcome {
    let image = place.path("disk");
    File::create(&image)?.set_len(25 << 20)?;
    tool("mkfs.ext4", |mkfs| {
        let options = ["-q", "-b", "4096", "-E", "offset=1048576"];
        mkfs.args(options).arg(&image).arg("16384k")
    })?;
    let file = File::options().write(true).open(image)?;
    let lba = |bytes: u64| (bytes / sector).to_le_bytes();
    let mut entries = vec![0; 128 * 128];
    let parts = [(1_u64 << 20, 17_u64 << 20), (17 << 20, 24 << 20)];
    for (n, (start, end)) in parts.into_iter().enumerate() {
        let entry = &mut entries[n * 128..][..128];
        // "Linux filesystem".
        entry[..16]
            .copy_from_slice(b"\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4");
        entry[16] = 1 + n as u8;
        entry[32..40].copy_from_slice(&lba(start));
        entry[40..48].copy_from_slice(&lba(end - sector));
    }
    let mut header = vec![0; 92];
    header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
    header[24] = 1;
    header[32..40].copy_from_slice(&lba((25 << 20) - sector));
    header[40..48].copy_from_slice(&lba(1 << 20));
    header[48..56].copy_from_slice(&lba((24 << 20) - sector));
    header[72] = 2;
    header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
    header[88..].copy_from_slice(&crc32(&entries));
    let sum = crc32(&header);
    header[16..20].copy_from_slice(&sum);
    let mut mbr = [0; 512];
    mbr[446..462].copy_from_slice(b"\0\0\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff");
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    file.write_all_at(&mbr, 0)?;
    file.write_all_at(&header, sector)?;
    file.write_all_at(&entries, 2 * sector)?;
    Ok(())
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    (!crc).to_le_bytes()
}

#[test]
fn large_sectors_are_recognised() -> Outcome {
    let place = Place::new()?;
    place.write("a", "A")?;
    gpt(&place, 4096)?;
    let info = place.ok(&strings(&["info", "disk"]))?;
    assert!(
        info.contains("25.00 MiB, blocks of 4096 bytes, gpt"),
        "{info}"
    );
    place.ok(&strings(&["cp", "a", "disk@1:/"]))?;
    assert_eq!(place.ok(&strings(&["cat", "disk:/a"]))?, "A");
    place.ok(&strings(&["--block-size", "4096", "cat", "disk:/a"]))?;
    let line = place.fails(3, &strings(&["--block-size", "512", "cat", "disk:/a"]))?;
    assert!(line.contains("damaged GPT"), "{line}");
    // In a container too; and an MBR, by what is in its partition.
    qemu_img(&place, "convert -O qcow2 disk container")?;
    assert_eq!(place.ok(&strings(&["cat", "container@1:/a"]))?, "A");
    let mut mbr = vec![0; 4096 * 4];
    mbr[446..462].copy_from_slice(b"\0\0\0\0\x83\0\0\0\0\x01\0\0\0\x10\0\0");
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    let file = File::options().write(true).open(place.path("disk"))?;
    file.write_all_at(&mbr, 0)?;
    assert_eq!(place.ok(&strings(&["cat", "disk@1:/a"]))?, "A");
    gpt(&place, 512)?;
    place.ok(&strings(&["ls", "disk@1"]))?;
    let info = place.ok(&strings(&["info", "disk"]))?;
    assert!(info.contains("25.00 MiB, gpt"), "{info}");
    Ok(())
}

#[test]
fn what_was_cut_short_is_told_and_not_written() -> Outcome {
    let place = Place::new()?;
    place.write("a", "A")?;
    let cut = |name: &str, size: u64| -> Outcome<String> {
        let file = File::options().write(true).open(place.path(name))?;
        file.set_len(size)?;
        Ok(digest(&fs::read(place.path(name))?))
    };
    let fails = |name: &str, says: &str, commands: &[&[&str]]| -> Outcome {
        for command in commands {
            let run = place.drupe(&strings(command))?;
            let lines = run.stderr.lines();
            let told: Vec<_> = lines.filter(|line| !line.starts_with("hint: ")).collect();
            let last = told.last().copied().unwrap_or_default();
            assert_eq!(told.len(), 1, "{run:?}");
            assert!(
                last.starts_with(&format!("drupe: {name}: {says}")),
                "{run:?}"
            );
            assert_eq!(run.code, Some(3), "{run:?}");
        }
        Ok(())
    };

    gpt(&place, 512)?;
    let before = cut("disk", 10 << 20)?;
    let says = "the image ends at byte 10485760, its partition 1 at 17825792: it was cut short";
    let commands: [&[&str]; 6] = [
        &["info", "disk"],
        &["ls", "disk"],
        &["ls", "disk@1"],
        &["ls", "disk@2"],
        &["cp", "disk@1:/a", "out"],
        &["cp", "a", "disk@1:/"],
    ];
    fails("disk", says, &commands)?;
    assert_eq!(before, digest(&fs::read(place.path("disk"))?));

    // A filesystem on all of it.
    place.ext4("ext4", SIZE, &[])?;
    let before = cut("ext4", SIZE / 2)?;
    let says = "the image ends at byte 8388608, its filesystem at 16777216: it was cut short";
    let commands: [&[&str]; 3] = [&["info", "ext4"], &["ls", "ext4:/"], &["cp", "a", "ext4:/"]];
    fails("ext4", says, &commands)?;
    assert_eq!(before, digest(&fs::read(place.path("ext4"))?));

    // What is before the cut can be read, but not written.
    let mut mbr = vec![0; 4096 * 4];
    mbr[446..462].copy_from_slice(b"\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x80\0\0");
    mbr[462..478].copy_from_slice(b"\0\0\0\0\x83\0\0\0\0\x88\0\0\0\x38\0\0");
    mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
    gpt(&place, 512)?;
    let file = File::options().write(true).open(place.path("disk"))?;
    file.write_all_at(&mbr, 0)?;
    place.ok(&strings(&["cp", "a", "disk@1:/"]))?;
    cut("disk", 20 << 20)?;
    assert_eq!(place.ok(&strings(&["cat", "disk@1:/a"]))?, "A");
    let says = "the image ends at byte 20971520, its partition 2 at 25165824: it was cut short";
    let commands: [&[&str]; 3] = [
        &["info", "disk"],
        &["ls", "disk@2"],
        &["cp", "a", "disk@1:/b"],
    ];
    fails("disk", says, &commands)
}

/// What an image names is left to a confined process, if it is allowed at all.
#[test]
fn formats_work_in_the_sandbox() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    let run = |words: &[&str]| {
        let mut all = strings(&["--sandbox", "always"]);
        all.extend(strings(words));
        place.ok(&all)
    };
    qemu_img(&place, "convert -O qcow2 -c raw base")?;
    qemu_img(&place, "create -q -f qcow2 -b base -F qcow2 disk")?;
    qemu_img(&place, "create -q -f qcow2 -b disk -F qcow2 top")?;
    run(&["--backing", "cp", "-r", "tree", "top:/again"])?;
    assert!(run(&["--backing", "ls", "top"])?.contains("again"));
    qemu_img(&place, "check -q top")?;
    qemu_img(
        &place,
        "convert -O vmdk -o subformat=twoGbMaxExtentFlat raw d.vmdk",
    )?;
    run(&[
        "--image-format",
        "vmdk",
        "cp",
        "-r",
        "tree",
        "d.vmdk:/again",
    ])?;
    assert!(run(&["--image-format", "vmdk", "ls", "d.vmdk"])?.contains("again"));
    qemu_img(&place, "convert -O vhdx raw d.vhdx")?;
    assert!(run(&["ls", "d.vhdx"])?.contains("tree"));
    let (_server, uri) = serve(&place)?;
    assert!(run(&["ls", &uri])?.contains("tree"));
    Ok(())
}

/// Promise 5: what a guest writes to its raw disk opens no other file.
#[test]
fn a_descriptor_in_a_raw_disk_opens_nothing() -> Outcome {
    let place = Place::new()?;
    raw(&place)?;
    let before = fs::read(place.path("raw"))?;
    let text = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
                createType=\"monolithicFlat\"\nRW 32768 FLAT \"raw\" 0\n";
    let mut guest = text.as_bytes().to_vec();
    guest.resize(1 << 20, 0);
    fs::write(place.path("guest"), guest)?;
    place.write("h", "x")?;
    let told = place.fails(3, &strings(&["cp", "h", "guest:/h"]))?;
    assert!(told.contains("--image-format"), "{told}");
    let told = place.fails(3, &strings(&["ls", "guest:/"]))?;
    assert!(told.contains("raw"), "{told}");
    assert!(fs::read(place.path("raw"))? == before);
    Ok(())
}

/// A btrfs on two images: all of them are to be given; one alone says so.
#[test]
fn a_btrfs_on_two_images() -> Outcome {
    let place = Place::new()?;
    let images = ["one.img", "two.img"].map(|name| place.path(name));
    for image in &images {
        File::create(image)?.set_len(128 << 20)?;
    }
    tool("mkfs.btrfs", |mkfs| {
        mkfs.args(["-q", "-d", "raid0", "-m", "raid1"])
            .args(&images)
    })?;
    let line = place.fails(3, &strings(&["ls", "one.img"]))?;
    assert!(
        line.contains("one is missing") && line.contains("--with"),
        "{line}"
    );
    place.write("f", noise(5 << 20))?;
    place.ok(&strings(&["--with", "two.img", "cp", "f", "one.img:/f"]))?;
    place.ok(&strings(&["--with", "one.img", "cp", "two.img:/f", "back"]))?;
    assert_eq!(fs::read(place.path("back"))?, noise(5 << 20));

    // The other one is the destination, or the source: they are one filesystem.
    let with = |words: &[&'static str]| [&["--with", "two.img"], words].concat();
    let line = place.fails(3, &strings(&with(&["cp", "f", "two.img:/g"])))?;
    assert!(
        line.contains("two.img: ") && line.contains("hint: it is one of those given with --with"),
        "{line}"
    );
    for words in [
        with(&["cp", "two.img:/f", "one.img:/f"]),
        with(&["--with", "one.img", "cp", "one.img:/f", "two.img:/f"]),
    ] {
        let line = place.fails(1, &strings(&words))?;
        assert!(line.contains("onto or into itself"), "{line}");
    }
    place.ok(&strings(&with(&["cp", "two.img:/f", "one.img:/g"])))?;
    place.write("small", "x")?;
    let both = with(&["--with", "one.img", "cp", "small", "two.img:/small"]);
    place.ok(&strings(&both))?;
    assert_eq!(
        place.ok(&strings(&with(&["ls", "one.img"])))?,
        "f\ng\nsmall\n"
    );
    // What was read before is opened anew to be written.
    place.write(
        "script",
        "ls one.img:/small\nrm one.img:/small\nls two.img:/\n",
    )?;
    let listed = place.ok(&strings(&with(&["script", "script"])))?;
    assert_eq!(listed, "/small\nf\ng\n");
    for image in &images {
        tool("btrfs", |btrfs| {
            btrfs.args(["check", "--readonly"]).arg(image)
        })?;
    }
    Ok(())
}
