//! `tar` and `untar`, against GNU tar both ways.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::archive::make_tree;
use super::harness::{
    Outcome, Place, check_ext4, command_in_shell, manifest, noise, strings, tool,
};

const MIB: u64 = 1 << 20;

/// What GNU tar is told to keep everything.
const ALL: [&str; 5] = [
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--numeric-owner",
    "--sparse",
];

fn gnu_tar(place: &Place, args: &[&str]) -> Outcome<String> {
    tool("tar", |tar| tar.args(args).current_dir(place.path("")))
}

/// The files of a tree, without its own time: packing may have changed that.
fn same(place: &Place, one: &str, other: &str) -> Outcome {
    let (mut one, mut other) = (manifest(&place.path(one))?, manifest(&place.path(other))?);
    for name in [&b""[..], b"lost+found"] {
        one.remove(name);
        other.remove(name);
    }
    assert_eq!(one, other);
    Ok(())
}

/// ACLs in archives are about names: those of the host, where the trees are.
fn know_names(place: &Place, image: &str) -> Outcome {
    place.ok(&strings(&["mkdir", &format!("{image}:/etc")]))?;
    let etc = format!("{image}:/etc");
    place
        .ok(&strings(&["cp", "/etc/passwd", "/etc/group", &etc]))
        .map(drop)
}

#[test]
fn from_gnu_tar() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    for (options, name) in [
        (&["--format=posix"][..], "a.tar"),
        (&["--format=posix", "--gzip"], "b.tar"),
        (&["--format=posix", "--xz"], "c.tar"),
        (&["--format=posix", "--zstd"], "d.tar"),
    ] {
        let image = place.ext4("d.img", 64 * MIB, &[])?;
        let args = [&["-cf", name, "-C", "tree", "."], &ALL[..], options].concat();
        gnu_tar(&place, &args)?;
        know_names(&place, "d.img")?;
        place.ok(&strings(&["mkdir", "d.img:/in"]))?;
        place.ok(&strings(&["untar", "-f", name, "d.img:/in"]))?;
        check_ext4(&image)?;
        place.ok(&strings(&["cp", "-a", "d.img:/in", "back"]))?;
        same(&place, "tree", "back")?;
        let times = ["tree", "back"].map(|dir| {
            fs::metadata(place.path(dir))
                .and_then(|d| d.modified())
                .ok()
        });
        assert!(times[0].is_some() && times[0] == times[1]);
        // Once more over what is there.
        place.ok(&strings(&["untar", "-f", name, "d.img:/in"]))?;
        check_ext4(&image)?;
        fs::remove_dir_all(place.path("back"))?;
        place.ok(&strings(&["cp", "-a", "d.img:/in", "back"]))?;
        same(&place, "tree", "back")?;
        fs::remove_dir_all(place.path("back"))?;
    }
    Ok(())
}

#[test]
fn to_gnu_tar() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    place.ext4("d.img", 64 * MIB, &[])?;
    place.ok(&strings(&["cp", "-a", "tree", "d.img:/"]))?;
    for name in ["a.tar", "b.tar.gz", "c.tar.xz", "d.tzst"] {
        place.ok(&strings(&["tar", "-f", name, "d.img:/tree"]))?;
        fs::create_dir(place.path("back"))?;
        let args = [&["-xpf", name, "-C", "back"], &ALL[..4]].concat();
        gnu_tar(&place, &args)?;
        same(&place, "tree", "back")?;
        fs::remove_dir_all(place.path("back"))?;
    }
    // The same image makes the same archive, and it is what was asked for.
    place.ok(&strings(&["tar", "-f", "again.tar.gz", "d.img:/tree"]))?;
    assert!(fs::read(place.path("b.tar.gz"))? == fs::read(place.path("again.tar.gz"))?);
    place.ok(&strings(&[
        "tar",
        "-f",
        "part.tar",
        "--exclude",
        "d*p",
        "d.img:/tree",
        "sub",
        "./link",
    ]))?;
    let list = gnu_tar(&place, &["-tf", "part.tar"])?;
    assert_eq!(list, "sub/\nsub/dir/\nsub/second name\n./link\n");
    Ok(())
}

#[test]
fn names_of_owners() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 * MIB, &[])?;
    place.write("etc/passwd", "ann:x:1234:100::/:\n")?;
    place.write("etc/group", "staff:x:77:\n")?;
    place.write("file", "")?;
    place.ok(&strings(&[
        "cp", "-r", "--chown", "1234:77", "etc", "file", "d.img:/",
    ]))?;
    place.ok(&strings(&["tar", "-f", "a.tar", "d.img:/", "file"]))?;
    assert!(gnu_tar(&place, &["-tvf", "a.tar"])?.contains(" ann/staff "));
    place.ok(&strings(&[
        "tar",
        "-f",
        "b.tar",
        "--numeric-owner",
        "d.img:/",
        "file",
    ]))?;
    assert!(gnu_tar(&place, &["-tvf", "b.tar"])?.contains(" 1234/77 "));
    // By name into an image where these have other numbers.
    gnu_tar(
        &place,
        &[
            "-cf",
            "c.tar",
            "--owner=ann:5",
            "--group=nobody-here:6",
            "file",
        ],
    )?;
    let owners = |option: &[&str]| -> Outcome<String> {
        let args = [&["untar", "-f", "c.tar", "d.img:/"], option].concat();
        place.ok(&strings(&args))?;
        place.ok(&strings(&["stat", "-c", "%u:%g", "d.img:/file"]))
    };
    assert_eq!(owners(&[])?, "5:6\n");
    assert_eq!(owners(&["--names"])?, "1234:6\n");
    Ok(())
}

/// Names and numbers that do not fit into a header.
#[test]
fn beyond_the_header() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 16 * MIB, &[])?;
    let long = "n".repeat(200);
    place.write(&format!("tree/{long}/{long}/{long}"), "deep")?;
    place.write("tree/plain", "x")?;
    std::os::unix::fs::symlink(&long, place.path("tree/link"))?;
    let script = "chown 4000000000:3000000000 tree/plain; touch -d @99999999999 tree/plain
        touch -d @-5.5 tree/link -h; setfattr -n user.odd=%25 -v 0x0a3d0a00 tree/plain
        truncate -s 9G tree/huge; echo end >> tree/huge; chmod 7777 tree/plain";
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    for (format, sparse) in [
        ("gnu", "1.0"),
        ("posix", "0.0"),
        ("posix", "0.1"),
        ("posix", "1.0"),
    ] {
        let format = format!("--format={format}");
        let sparse = format!("--sparse-version={sparse}");
        let args = [&["-cf", "a.tar", &format, &sparse, "tree"], &ALL[..]].concat();
        let args: Vec<&str> = args
            .into_iter()
            .filter(|arg| {
                !(format.ends_with("gnu")
                    && (arg.contains("attr") || arg.contains("acl") || arg.contains("version")))
            })
            .collect();
        gnu_tar(&place, &args)?;
        assert!(place.path("a.tar").metadata()?.len() < MIB);
        place.ok(&strings(&["untar", "-f", "a.tar", "d.img:/"]))?;
        place.ok(&strings(&["cp", "-a", "d.img:/tree", "back"]))?;
        let blocks = place.path("back/huge").metadata()?.blocks();
        assert!(blocks < 1000, "{format} {sparse}: {blocks} blocks");
        let end = |name: &str| -> Outcome<(u64, Vec<u8>)> {
            let file = File::open(place.path(name))?;
            let mut end = vec![0; 4];
            file.read_exact_at(&mut end, 9 << 30)?;
            Ok((file.metadata()?.len(), end))
        };
        assert_eq!(
            end("back/huge")?,
            ((9 << 30) + 4, b"end\n".to_vec()),
            "{format} {sparse}"
        );
        fs::remove_file(place.path("back/huge"))?;
        if format.ends_with("posix") {
            fs::rename(place.path("tree/huge"), place.path("huge"))?;
            same(&place, "tree", "back")?;
            fs::rename(place.path("huge"), place.path("tree/huge"))?;
        }
        fs::remove_dir_all(place.path("back"))?;
    }
    check_ext4(&place.path("d.img"))?;
    // And out again.
    place.ok(&strings(&["tar", "-f", "b.tar", "d.img:/tree"]))?;
    assert!(place.path("b.tar").metadata()?.len() < MIB);
    fs::create_dir(place.path("back"))?;
    gnu_tar(
        &place,
        &[&["-xpf", "b.tar", "-C", "back"], &ALL[..4]].concat(),
    )?;
    assert_eq!(place.path("back/huge").metadata()?.len(), (9 << 30) + 4);
    for dir in ["tree", "back"] {
        fs::remove_file(place.path(dir).join("huge"))?;
    }
    same(&place, "tree", "back")
}

/// A header without anything that GNU tar would leave out.
fn member(name: &str, kind: u8, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut member = header.to_vec();
    member.extend(contents);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

#[test]
fn hostile_archives_stay_inside() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 * MIB, &[])?;
    place.write("secret", "secret")?;
    place.ok(&strings(&["mkdir", "-p", "d.img:/in/etc", "d.img:/etc"]))?;
    place.ok(&strings(&["cp", "secret", "d.img:/etc/secret"]))?;
    // Also a link that was there before.
    place.ok(&strings(&["ln", "-s", "/etc", "d.img:/in/before"]))?;
    let mut bytes = Vec::new();
    for (name, kind, link) in [
        ("../up", b'0', ""),
        ("a/../../up", b'0', ""),
        ("/etc/absolute", b'0', ""),
        ("before/one", b'0', ""),
        ("out", b'2', "/etc"),
        ("out/two", b'0', ""),
        ("up", b'2', "../../../etc"),
        ("up/three", b'0', ""),
        ("hard1", b'1', "../etc/secret"),
        ("hard2", b'1', "/etc/secret"),
        ("hard3", b'1', "out/secret"),
        ("link", b'2', "/etc/secret"),
        ("link", b'0', ""),
        ("out/new/dir/", b'5', ""),
        ("out", b'5', ""),
        ("..", b'5', ""),
        (".", b'0', ""),
        ("weird", b'Z', ""),
    ] {
        let contents: &[u8] = if kind == b'0' { b"evil" } else { b"" };
        bytes.extend(member(name, kind, link, contents));
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(place.path("evil.tar"), bytes)?;
    let run = place.drupe(&strings(&["untar", "-f", "evil.tar", "d.img:/in"]))?;
    assert_eq!(run.code, Some(1), "{run:?}");
    for what in [
        "../up: it has .. in its path",
        "hard1",
        "hard2",
        "hard3",
        "weird",
    ] {
        assert!(run.stderr.contains(what), "{what}: {run:?}");
    }
    check_ext4(&image)?;
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/", "d.img:/etc"]))?,
        "/:\netc\nin\nlost+found\n\n/etc:\nsecret\n"
    );
    assert_eq!(place.ok(&strings(&["cat", "d.img:/etc/secret"]))?, "secret");
    assert_eq!(
        place.ok(&strings(&["stat", "-c", "%h", "d.img:/etc/secret"]))?,
        "1\n"
    );
    // It all went where the directory is a root.
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/in/etc"]))?,
        "absolute\nnew\none\nthree\ntwo\n"
    );
    Ok(())
}

#[test]
fn broken_archives() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 * MIB, &[])?;
    place.write("tree/one", noise(3000))?;
    place.write("tree/two", noise(30_000))?;
    gnu_tar(&place, &["-cf", "good.tar", "tree"])?;
    let good = fs::read(place.path("good.tar"))?;
    for (name, bytes, what) in [
        ("empty", &b""[..], "the archive is empty"),
        ("text", &[b'x'; 2000], "this is no tar archive"),
        ("cut", &good[..8000], "in the middle of a file"),
        ("header", &good[..4700], "in the middle of a"),
        ("bzip", b"BZh91AY", "bzip2"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\0", "gzip: "),
    ] {
        fs::write(place.path(name), bytes)?;
        let line = place.fails(1, &strings(&["untar", "-f", name, "d.img:/"]))?;
        assert!(line.contains(what), "{name}: {line}");
        check_ext4(&image)?;
    }
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/tree"]))?,
        "one\n",
        "half a file is worse than none"
    );
    let line = place.fails(2, &strings(&["tar", "-f", "new.tar.bz2", "d.img:/"]))?;
    assert!(
        line.contains("new.tar.bz2") && line.contains(".bz2 says"),
        "{line}"
    );
    assert!(!place.path("new.tar.bz2").exists());
    let line = place.fails(1, &strings(&["untar", "-f", "none", "d.img:/"]))?;
    assert!(line.contains("cannot open none"), "{line}");
    let line = place.fails(1, &strings(&["untar", "-f", "good.tar", "d.img:/none"]))?;
    assert!(line.contains("d.img:/none: No such file"), "{line}");
    let line = place.fails(1, &strings(&["tar", "-f", "x.tar", "d.img:/", "none"]))?;
    assert!(line.contains("d.img:/none: No such file"), "{line}");

    // More than fits: what was before it stays.
    place.write("big/a", "first")?;
    place.write("big/b", noise(20 << 20))?;
    gnu_tar(&place, &["-czf", "big.tgz", "--sort=name", "big"])?;
    let line = place.fails(1, &strings(&["untar", "-f", "big.tgz", "d.img:/"]))?;
    assert!(
        line.contains("d.img:/big/b: No space left on device"),
        "{line}"
    );
    check_ext4(&image)?;
    assert_eq!(place.ok(&strings(&["cat", "d.img:/big/a"]))?, "first");
    Ok(())
}

/// Whatever the bytes, an error at most.
#[test]
fn damaged_archives() -> Outcome {
    let place = Place::new()?;
    let image = place.ext4("d.img", 16 * MIB, &[])?;
    let file = File::create(place.path("sparse"))?;
    file.set_len(MIB)?;
    file.write_all_at(b"data", MIB / 2)?;
    place.write("one", "one")?;
    let args = [
        &["-cf", "a.tar", "--format=posix", "one", "sparse"],
        &ALL[..],
    ]
    .concat();
    gnu_tar(&place, &args)?;
    let good = fs::read(place.path("a.tar"))?;
    let random = noise(4 * 200);
    for (n, four) in random.chunks(4).enumerate() {
        let mut bad = good.clone();
        // In the headers and records, not in what pads them.
        let at = (usize::from(four[0]) << 8 | usize::from(four[1])) % 6000;
        bad[at] = match four[2] {
            0..128 => b"0123456789=\n\0\xff/."[usize::from(four[3] % 16)],
            _ => four[3],
        };
        // Checksums are right again.
        for header in bad
            .chunks_mut(512)
            .filter(|block| &block[257..262] == b"ustar")
        {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        fs::write(place.path("bad.tar"), &bad)?;
        if n % 4 == 0 {
            let run = place.drupe(&strings(&["untar", "-q", "-f", "bad.tar", "d.img:/"]))?;
            assert!(matches!(run.code, Some(0 | 1)), "{n}: {run:?}");
        }
    }
    check_ext4(&image)
}

#[test]
fn through_pipes_and_refused_terminals() -> Outcome {
    let place = Place::new()?;
    place.ext4("d.img", 64 * MIB, &[])?;
    place.write("tree/file", noise(3 << 20))?;
    place.write("tree/skip/me", "")?;
    gnu_tar(&place, &["-czf", "a.tgz", "tree"])?;
    let drupe = command_in_shell()?;
    let script = format!(
        "set -e; {drupe} untar --strip-components 1 --exclude skip d.img:/ < a.tgz
         {drupe} tar d.img:/ file | tar -xf -; cmp file tree/file
         {drupe} tar -z d.img:/ file | gzip -t"
    );
    tool("sh", |sh| {
        sh.arg("-c").arg(script).current_dir(place.path(""))
    })?;
    assert_eq!(
        place.ok(&strings(&["ls", "d.img:/"]))?,
        "file\nlost+found\n"
    );
    Ok(())
}

/// Other filesystems keep what they can.
#[test]
fn onto_other_filesystems() -> Outcome {
    let place = Place::new()?;
    make_tree(&place)?;
    gnu_tar(
        &place,
        &[&["-cf", "a.tar", "-C", "tree", "."], &ALL[..]].concat(),
    )?;
    for mkfs in ["mkfs.xfs", "mkfs.btrfs"] {
        let image = place.path("o.img");
        let _ = fs::remove_file(&image);
        File::create(&image)?.set_len(400 * MIB)?;
        tool(mkfs, |mkfs| mkfs.arg("-q").arg(&image))?;
        know_names(&place, "o.img")?;
        place.ok(&strings(&["untar", "-f", "a.tar", "o.img:/"]))?;
        place.ok(&strings(&["rm", "-r", "o.img:/etc"]))?;
        place.ok(&strings(&["tar", "-f", "b.tar", "o.img:/"]))?;
        fs::create_dir(place.path("back"))?;
        gnu_tar(
            &place,
            &[&["-xpf", "b.tar", "-C", "back"], &ALL[..4]].concat(),
        )?;
        same(&place, "tree", "back")?;
        fs::remove_dir_all(place.path("back"))?;
    }
    // vfat has no owners, links or devices: single failures, and the rest is there.
    let image = place.path("v.img");
    File::create(&image)?.set_len(64 * MIB)?;
    tool("mkfs.vfat", |mkfs| mkfs.arg(&image))?;
    let run = place.drupe(&strings(&["untar", "-f", "a.tar", "v.img:/"]))?;
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("warning: the target refused owners"),
        "{run:?}"
    );
    assert_eq!(place.ok(&strings(&["cat", "v.img:/file"]))?, "contents\n");
    tool("fsck.vfat", |fsck| fsck.arg("-n").arg(&image))?;
    Ok(())
}
