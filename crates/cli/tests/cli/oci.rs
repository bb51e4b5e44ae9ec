//! `drupe oci`: images unpacked as umoci unpacks them as root, and packed for it and
//! skopeo.

use std::fs;
use std::path::Path;

use drupe_testing::has;
use drupe_testing::oci::{LayerTar, Layout, Member};
use tar::EntryType;

use super::harness::{Outcome, Place, check_ext4, manifest, noise, tool};

const MIB: u64 = 1 << 20;

/// Layers in which each replaces something of those below.
fn layers() -> Vec<Vec<u8>> {
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
fn umoci(place: &Place, image: &str) -> Outcome<std::path::PathBuf> {
    let bundle = place.path("bundle");
    let _ = fs::remove_dir_all(&bundle);
    tool("umoci", |umoci| {
        umoci.args(["unpack", "--image", image]).arg(&bundle);
        umoci.current_dir(place.path("."))
    })?;
    Ok(bundle.join("rootfs"))
}

/// Unpacks into a fresh filesystem, and copies that out.
fn unpack(place: &Place, image: &str) -> Outcome<std::path::PathBuf> {
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
