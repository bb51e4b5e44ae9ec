//! `drupe oci`: images unpacked as umoci unpacks them as root, and packed for it and
//! skopeo.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use drupe_testing::anyone::NOBODY;
use drupe_testing::has;
use drupe_testing::oci::{LayerTar, Layout, Member, digest};
use serde_json::Value;
use tar::EntryType;

use super::harness::{
    Outcome, Place, as_nobody, check_ext4, command_for_anyone, manifest, noise, succeeds, tool,
};

pub(super) const MIB: u64 = 1 << 20;

/// Layers in which each replaces something of those below.
pub(super) fn layers() -> Vec<Vec<u8>> {
    let file = |path| Member::new(path, EntryType::Regular, 0o644);
    let large = noise(300_000);
    let lowest = LayerTar::default()
        .member(Member::new("./", EntryType::Directory, 0o755))
        .dir("bin")
        .member(Member {
            owner: (5, 7),
            ..Member::new("bin/su", EntryType::Regular, 0o6755)
        })
        .dir("etc/")
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        .file("etc/hosts", "one\n")
        .link("etc/hosts.link", "etc/hosts")
        .dir("dev")
        .member(Member {
            device: (1, 3),
            owner: (0, 6),
            ..Member::new("dev/null", EntryType::Char, 0o666)
        })
        .member(Member {
            device: (8, 1),
            ..Member::new("dev/sda1", EntryType::Block, 0o660)
        })
        .member(Member::new("dev/pipe", EntryType::Fifo, 0o600))
        .member(Member {
            mode: 0o1777,
            owner: (1000, 1000),
            xattrs: &[("user.old", b"1"), ("user.both", b"1")],
            ..Member::new("data", EntryType::Directory, 0)
        })
        .file("data/gone", "x")
        .file("data/stays", "x")
        .dir("data/sub")
        .file("data/sub/deep", "x")
        .dir("opaque")
        .file("opaque/a", "x")
        .dir("opaque/dir")
        .file("opaque/dir/b", "x")
        .dir("opaque/kept")
        .file("opaque/kept/old", "x")
        .dir("becomes-file")
        .dir("becomes-file/sub")
        .file("becomes-file/sub/x", "x")
        .file("becomes-dir", "x")
        .dir("becomes-link")
        .file("becomes-link/x", "x")
        .symlink("link-becomes-dir", "etc")
        .symlink("lib", "usr/lib")
        .dir("usr")
        .dir("usr/lib")
        .member(Member {
            contents: &large,
            xattrs: &[("user.name", b"value\0with a zero"), ("trusted.x", b"y")],
            ..file("usr/lib/large")
        })
        .finish();
    let middle = LayerTar::default()
        .dir("etc")
        .file("etc/.wh.hosts", "")
        .link("etc/late", "etc/passwd")
        .member(Member {
            mode: 0o700,
            xattrs: &[("user.both", b"2")],
            ..Member::new("data", EntryType::Directory, 0)
        })
        .file("data/.wh.gone", "")
        .file("data/.wh.sub", "")
        .file("data/.wh.never-there", "")
        // What this layer makes stays, whatever the order.
        .file("opaque/first", "x")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/a", "new")
        .dir("opaque/kept")
        .file("opaque/kept/new", "x")
        .file("becomes-file", "now a file")
        .dir("becomes-dir")
        .file("becomes-dir/x", "x")
        .symlink("becomes-link", "etc")
        .dir("link-becomes-dir")
        .file("link-becomes-dir/x", "x")
        // Through a link of the layer below.
        .file("lib/through", "x")
        .finish();
    let highest = LayerTar::default()
        .file("bin/new", "x")
        .link("usr/lib/again", "usr/lib/large")
        .file("data/sub", "a file where there was a directory")
        .file("etc/passwd", "changed\n")
        .finish();
    vec![lowest, middle, highest]
}

/// Unpacks with umoci as root; the directory of the files.
pub(super) fn umoci(place: &Place, image: &str) -> Outcome<PathBuf> {
    let bundle = place.path("bundle");
    let _ = fs::remove_dir_all(&bundle);
    tool("umoci", |umoci| {
        umoci.args(["unpack", "--image", image]).arg(&bundle);
        umoci.current_dir(place.path("."))
    })?;
    Ok(bundle.join("rootfs"))
}

/// Unpacks into a fresh filesystem, and copies that out.
fn unpack(place: &Place, image: &str) -> Outcome<PathBuf> {
    let disk = place.ext4("disk.img", 64 * MIB, &[])?;
    place.ok(&["mkdir", "disk.img:/root"])?;
    place.ok(&["oci", "unpack", image, "disk.img:/root"])?;
    check_ext4(&disk)?;
    let out = place.path("out");
    let _ = fs::remove_dir_all(&out);
    place.ok(&["cp", "-a", "disk.img:/root", "out"])?;
    Ok(out)
}

fn equal(one: &Path, other: &Path) -> Outcome {
    assert_eq!(manifest(one)?, manifest(other)?);
    Ok(())
}

#[test]
fn layers_are_those_of_umoci() -> Outcome {
    if !has(&["umoci"]) {
        return Ok(());
    }
    let place = Place::new()?;
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    equal(&umoci(&place, "image:t")?, &unpack(&place, "oci:image:t")?)
}

/// Unpacked by an ordinary user, into other filesystems: the same files.
#[test]
fn any_user_and_other_filesystems() -> Outcome {
    let place = Place::for_anyone()?;
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let by_root = unpack(&place, "oci:image:t")?;
    let drupe = command_for_anyone()?;
    for mkfs in ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.f2fs"] {
        let (disk, out) = (place.path(format!("{mkfs}.img")), place.path(mkfs));
        File::create(&disk)?.set_len(320 * MIB)?;
        tool(mkfs, |mkfs| mkfs.arg("-q").arg(&disk))?;
        std::os::unix::fs::chown(&disk, Some(NOBODY), Some(NOBODY))?;
        place.ok(&["mkdir", &format!("{mkfs}.img:/root")])?;
        succeeds(
            as_nobody()
                .arg(drupe.path())
                .args(["oci", "unpack", "oci:image:t", &format!("{mkfs}.img:/root")])
                .current_dir(place.path("")),
        )?;
        place.ok(&["cp", "-a", &format!("{mkfs}.img:/root"), mkfs])?;
        assert_eq!(manifest(&by_root)?, manifest(&out)?, "{mkfs}");
    }
    Ok(())
}

/// Packs and unpacks with the tools that make images: each `umoci repack` is a layer.
#[test]
fn images_of_umoci() -> Outcome {
    if !has(&["umoci"]) {
        return Ok(());
    }
    let place = Place::new()?;
    let umoci_in_place = |arguments: &[&str]| {
        tool("umoci", |umoci| {
            umoci.args(arguments).current_dir(place.path("."))
        })
    };
    umoci_in_place(&["init", "--layout", "image"])?;
    umoci_in_place(&["new", "--image", "image:t"])?;
    umoci_in_place(&["unpack", "--image", "image:t", "work"])?;
    let steps = [
        "mkdir -p a/b/c d; echo 1 > a/b/c/file; ln a/b/c/file d/link; mknod null c 1 3",
        "rm -r a/b; echo 2 > a/new; setfattr -n user.x -v y a; chown 12:34 d",
        "ln d/link d/second; chmod 4755 d/link; rm null; mkfifo null",
        "rm -r d; ln -s a d; echo 3 > a/file",
        "rm d; mkdir d; echo 4 > d/x; touch -h -d '2001-02-03 04:05:06.789' d/x",
        "rm -r a; echo file > a; setcap cap_net_raw+ep a; mkdir -m 1777 tmp",
        "rm a; mkdir -p a/b; for n in $(seq 200); do echo $n > a/b/$n; done",
        "rm a/b/1*; echo changed > a/b/2; ln a/b/3 tmp/3",
    ];
    for step in steps {
        let script = format!("set -e; PATH=$PATH:/sbin:/usr/sbin; cd work/rootfs; {step}");
        tool("sh", |sh| {
            sh.args(["-c", &script]).current_dir(place.path("."))
        })?;
        umoci_in_place(&["repack", "--refresh-bundle", "--image", "image:t", "work"])?;
    }
    let shown: Value = serde_json::from_str(&place.ok(&["oci", "inspect", "oci:image:t"])?)?;
    assert_eq!(shown["layers"].as_array().map(Vec::len), Some(steps.len()));
    equal(&umoci(&place, "image:t")?, &unpack(&place, "oci:image:t")?)
}

/// A layer by itself, as `untar` extracts it.
#[test]
fn untar_takes_whiteouts() -> Outcome {
    let place = Place::new()?;
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let all = unpack(&place, "oci:image:t")?;
    place.ext4("other.img", 64 * MIB, &[])?;
    place.ok(&["mkdir", "other.img:/root"])?;
    for layer in layers() {
        place.write("layer.tar", layer)?;
        place.ok(&["untar", "--whiteouts", "-f", "layer.tar", "other.img:/root"])?;
    }
    place.ok(&["cp", "-a", "other.img:/root", "untarred"])?;
    equal(&all, &place.path("untarred"))?;
    // Without it, a whiteout is a file.
    place.ok(&["mkdir", "other.img:/plain"])?;
    place.write("layer.tar", layers().remove(1))?;
    let run = place.drupe(&["untar", "-f", "layer.tar", "other.img:/plain"])?;
    // What a link of the layer leads to is in another layer.
    assert_eq!(run.code, Some(1), "{run:?}");
    place
        .ok(&["stat", "other.img:/plain/data/.wh.gone"])
        .map(drop)
}

/// Nothing outside of the directory changes, whatever a layer has.
#[test]
fn layers_stay_in_their_directory() -> Outcome {
    let place = Place::new()?;
    let disk = place.ext4("disk.img", 64 * MIB, &[])?;
    place.ok(&["mkdir", "-p", "disk.img:/root", "disk.img:/victim/sub"])?;
    place.write("file", "safe\n")?;
    place.ok(&["cp", "file", "disk.img:/victim/file"])?;
    let state = |copy: &str| -> Outcome<_> {
        place.ok(&["cp", "-a", "disk.img:/victim", copy])?;
        manifest(&place.path(copy))
    };
    let before = state("before")?;
    let lowest = LayerTar::default()
        .symlink("up", "../victim")
        .symlink("root", "/")
        .symlink("absolute", "/victim")
        .symlink("far", "../../../../../../victim")
        .finish();
    let mut highest = LayerTar::default();
    for dir in [
        "up",
        "absolute",
        "far",
        "root/victim",
        "../victim",
        "/../victim",
    ] {
        highest = highest
            .file(&format!("{dir}/.wh.file"), "")
            .file(&format!("{dir}/.wh..wh..opq"), "")
            .file(&format!("{dir}/file"), "changed\n")
            .link("stolen", &format!("{dir}/file"))
            .file("stolen", "changed\n");
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.x/file"] {
        highest = highest.file(name, "");
    }
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &[lowest, highest.finish()])?;
    layout.tag(image, "t")?;
    let run = place.drupe(&["oci", "unpack", "oci:image", "disk.img:/root"])?;
    assert_eq!(run.code, Some(1), "{run:?}");
    for problem in [
        "has .. in its path",
        "without the name of a file",
        "beneath a whiteout",
    ] {
        assert!(run.stderr.contains(problem), "{}", run.stderr);
    }
    assert_eq!(state("after")?, before);
    check_ext4(&disk)
}

#[test]
fn damage_is_told() -> Outcome {
    let place = Place::new()?;
    let disk = place.ext4("disk.img", 64 * MIB, &[])?;
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let blob = layout.blob(&digest(&layers()[1]));
    let mut bytes = fs::read(&blob)?;
    let last = bytes.len() - 1;
    // Behind the end of the archive.
    bytes[last] ^= 1;
    fs::write(&blob, &bytes)?;
    let error = place.fails(1, &["oci", "unpack", "oci:image", "disk.img:/"])?;
    assert!(
        error.contains("layer 2 of oci:image") && error.contains("damaged"),
        "{error}"
    );
    assert!(error.contains("has only a part of the image"), "{error}");
    check_ext4(&disk)?;
    // Nothing was begun.
    let error = place.fails(1, &["oci", "unpack", "oci:image:u", "disk.img:/"])?;
    assert!(!error.contains("only a part"), "{error}");
    let error = place.fails(
        1,
        &[
            "oci",
            "unpack",
            "--platform=linux/arm",
            "oci:image",
            "disk.img:/",
        ],
    )?;
    assert!(error.contains("linux/arm"), "{error}");
    assert_eq!(
        place.drupe(&["oci", "unpack", "image", "disk.img:/"])?.code,
        Some(2)
    );
    place
        .fails(2, &["oci", "unpack", "oci:image", "elsewhere"])
        .map(drop)
}

/// What `pack` makes is accepted by skopeo and umoci, and is the same files.
#[test]
fn pack_for_others() -> Outcome {
    if !has(&["skopeo", "umoci"]) {
        return Ok(());
    }
    let place = Place::new()?;
    super::archive::make_tree(&place)?;
    // umoci takes no times before 1970, and no default ACL.
    let script = "cd tree; setfacl -b -k file sub; touch -h -d 1999-01-01 link; \
                  touch -d 1999-01-01 sub/dir sub; touch .wh.no";
    tool("sh", |sh| {
        sh.args(["-c", script]).current_dir(place.path("."))
    })?;
    place.ext4("source.img", 64 * MIB, &[])?;
    place.ok(&["cp", "-a", "tree", "source.img:/"])?;
    fs::remove_file(place.path("tree/.wh.no"))?;
    tool("touch", |touch| {
        touch.args(["-d", "2000-01-01"]).arg(place.path("tree"))
    })?;
    place.ok(&["touch", "-d", "2000-01-01", "source.img:/tree"])?;
    let pack = |arguments: &[&str], target: &str| {
        let mut all = vec!["oci", "pack", "--entrypoint=/bin/sh", "--entrypoint", "-c"];
        all.extend([
            "--env=A=b c",
            "--workdir=/w",
            "--user=1:2",
            "--label=l=v",
            "--port=80/tcp",
        ]);
        all.extend(arguments);
        all.extend(["source.img:/tree", target]);
        let mut command = place.command();
        command.args(all).env("SOURCE_DATE_EPOCH", "2300000000");
        succeeds(&mut command)
    };
    for compress in ["gzip", "zstd", "none"] {
        let digest = pack(&["--compress", compress], &format!("oci:image:{compress}"))?;
        let again = pack(
            &["--compress", compress, "--tag=t"],
            &format!("oci:again-{compress}"),
        )?;
        assert_eq!(digest, again, "the same files");
        let skopeo = |arguments: &[&str]| {
            tool("skopeo", |skopeo| {
                skopeo.arg("--insecure-policy").args(arguments);
                skopeo.current_dir(place.path("."))
            })
        };
        let source = format!("oci:image:{compress}");
        let shown: Value = serde_json::from_str(&skopeo(&["inspect", "--config", &source])?)?;
        assert_eq!(
            shown["config"]["Entrypoint"],
            serde_json::json!(["/bin/sh", "-c"])
        );
        assert_eq!(shown["config"]["Env"][0], "A=b c");
        assert_eq!(shown["created"], "2042-11-19T08:53:20Z");
        // Docker's images are not compressed with zstd.
        let kind = if compress == "zstd" { "oci" } else { "docker" };
        let archive = format!("{kind}-archive:{compress}.tar:name:tag");
        skopeo(&["copy", &source, &archive])?;
        let back = unpack(&place, &archive)?;
        equal(&place.path("tree"), &back)?;
        // umoci of Debian 12 knows no zstd.
        if compress != "zstd" {
            equal(
                &place.path("tree"),
                &umoci(&place, &format!("image:{compress}"))?,
            )?;
        }
    }
    // What is no layout, and what cannot be packed.
    place.fails(1, &["oci", "pack", "source.img:/tree", "oci:tree"])?;
    place.fails(
        2,
        &["oci", "pack", "source.img:/tree", "docker-archive:x.tar"],
    )?;
    place.fails(
        2,
        &["oci", "pack", "--tag=a", "source.img:/tree", "oci:new:b"],
    )?;
    let _ = place.drupe(&["oci", "pack", "source.img:/absent", "oci:new"])?;
    assert!(!place.path("new").exists());
    Ok(())
}

/// Confined, as far as no registry is asked.
#[test]
fn in_the_sandbox() -> Outcome {
    let place = Place::new()?;
    place.ext4("disk.img", 64 * MIB, &[])?;
    let mut layout = Layout::new(&place.path("image"))?;
    let image = layout.image("amd64", &layers())?;
    layout.tag(image, "t")?;
    let always = |arguments: &[&str]| {
        let mut all = vec!["--sandbox=always", "oci"];
        all.extend(arguments);
        place.ok(&all)
    };
    always(&["unpack", "oci:image:t", "disk.img:/"])?;
    always(&["pack", "disk.img:/", "oci:new:t"])?;
    always(&["pack", "disk.img:/", "oci:new:u"])?;
    let packed = always(&["pack", "--json-lines", "disk.img:/", "oci:new:u"])?;
    let packed: Value = serde_json::from_str(&packed)?;
    let shown: Value = serde_json::from_str(&always(&["inspect", "oci:new:u"])?)?;
    assert_eq!(packed["digest"], shown["digest"]);
    let lines = always(&["inspect", "--json-lines", "oci:new:u"])?;
    let line: Value = serde_json::from_str(&lines)?;
    assert_eq!(
        line["platform"],
        line["config"]["os"].as_str().unwrap_or("").to_owned() + "/amd64"
    );
    let mut command = place.command();
    command.args([
        "--sandbox=always",
        "oci",
        "inspect",
        "docker://localhost:1/x",
    ]);
    assert_eq!(command.output()?.status.code(), Some(2));
    Ok(())
}
