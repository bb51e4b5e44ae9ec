//! The sample: every kind of file that a filesystem can keep.

use std::ffi::OsStr;
use std::iter::once;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::capabilities::Capabilities;
use crate::contents::Contents;
use crate::tree::{Kind, Tree};

/// Sizes at which something changes in some filesystem.
const SIZES: &[u64] = &[
    0, 1, 59, 61, 100, 511, 512, 513, 2047, 2048, 4095, 4096, 4097, 10_000, 65_535, 65_537,
    131_072, 1_000_003, 3_145_745,
];

/// A tree of several hundred files; `entries` of them in one directory.
pub(crate) fn sample(capabilities: Capabilities, entries: usize) -> Tree {
    let mut tree = Tree::new(capabilities);
    for size in SIZES {
        tree.data(format!("sizes/{size}"), *size);
    }
    for n in 0..entries {
        let len = n as u64 * 37 % 3000;
        tree.data(format!("many/file number {n:05}"), len);
    }
    let deep: PathBuf = (0..24).map(|n| format!("d{n}")).collect();
    tree.data(PathBuf::from("deep").join(deep).join("bottom"), 10);
    tree.add("empty directory", Kind::Directory);
    holes(&mut tree);
    names(&mut tree);
    times(&mut tree);
    links(&mut tree);
    modes_and_owners(&mut tree);
    xattrs(&mut tree);
    nodes(&mut tree);
    tree
}

fn holes(tree: &mut Tree) {
    let mib = 1 << 20;
    let ranges = [0..5000, 4 * mib..4 * mib + 70_000, 8 * mib - 1..8 * mib];
    tree.file("sparse/some", Contents::sparse(1, 8 * mib, ranges));
    tree.file(
        "sparse/end",
        Contents::sparse(2, 5 * mib + 1, once(9000..9001)),
    );
    tree.file("sparse/nothing", Contents::sparse(3, 3 * mib, []));
}

fn names(tree: &mut Tree) {
    let max = tree.capabilities.name_max;
    for name in [
        "with space",
        ".hidden",
        "UPPER and lower",
        "grüße",
        "日本語",
        "a.b.c.d",
        "-dash",
        "'quoted' & $more",
    ] {
        tree.data(format!("names/{name}"), 20);
    }
    for len in [max - 1, max] {
        tree.data(format!("names/{}", "n".repeat(len)), 30);
    }
    if tree.capabilities.byte_names {
        for name in [
            &b"\xff\xfe\x80"[..],
            b"line\nbreak",
            b"a:b?*\\|\"<>",
            b"trailing. ",
        ] {
            tree.data(PathBuf::from("names").join(OsStr::from_bytes(name)), 40);
        }
        tree.data("names/case", 1);
        tree.data("names/CASE", 2);
    }
}

fn times(tree: &mut Tree) {
    let (first, last) = tree.capabilities.seconds;
    for (name, seconds, nanos) in [
        ("epoch", 0, 0),
        ("before 1970", -2, 500_000_001),
        ("long before 1970", -2_000_000_000, 1),
        ("2000", 946_684_800, 999_999_999),
        ("2038", 2_147_483_648, 7),
        ("2100", 4_102_444_800, 123_456_789),
        ("2300", 10_413_792_000, 5),
    ] {
        if (first..last).contains(&seconds) {
            let node = tree.data(format!("times/{name}"), 1);
            node.modified = i128::from(seconds) * 1_000_000_000 + nanos;
        }
    }
}

fn links(tree: &mut Tree) {
    if tree.capabilities.hard_links {
        tree.data("links/z original", 5000);
        for link in ["links/a", "links/b", "many/link"] {
            tree.link("links/z original", link);
        }
    }
    if tree.capabilities.symlinks {
        let long = "x/".repeat(tree.capabilities.symlink_max / 2);
        for (name, target) in [
            ("relative", "../sizes/100"),
            ("absolute", "/sizes/100"),
            ("nowhere", "no/such/file"),
            ("59 bytes", &long[..59]),
            ("60 bytes", &long[..60]),
            ("long", &long[..]),
        ] {
            tree.add(format!("links/{name}"), Kind::Symlink(target.into()));
        }
    }
}

fn modes_and_owners(tree: &mut Tree) {
    if tree.capabilities.modes {
        for mode in [0, 0o1, 0o200, 0o444, 0o755, 0o1777, 0o2711, 0o4755, 0o7777] {
            tree.data(format!("modes/{mode:o}"), 10).mode = mode;
        }
        tree.add("modes/sticky", Kind::Directory).mode = 0o1777;
        tree.add("modes/none", Kind::Directory).mode = 0;
    }
    if tree.capabilities.owners {
        for (uid, gid) in [
            (1000, 1000),
            (0, 65_534),
            (70_000, 3),
            (u32::MAX - 1, 1 << 31),
        ] {
            let node = tree.data(format!("owners/{uid}-{gid}"), 10);
            (node.uid, node.gid) = (uid, gid);
        }
    }
}

fn xattrs(tree: &mut Tree) {
    let classes = tree.capabilities.xattrs;
    for class in classes.iter().filter(|class| class.ends_with('.')) {
        let file = tree.data(format!("xattrs/{class}file"), 10);
        file.xattrs.push((format!("{class}empty"), Vec::new()));
        file.xattrs.push((format!("{class}long"), vec![b'v'; 1000]));
        for n in 0..20 {
            let value = format!("value {n}").into_bytes();
            file.xattrs.push((format!("{class}number-{n}"), value));
        }
        let directory = tree.add(format!("xattrs/{class}directory"), Kind::Directory);
        directory.xattrs.push((format!("{class}x"), b"y".into()));
    }
    if classes.contains(&"system.posix_acl") {
        let file = tree.data("xattrs/access list", 10);
        file.mode = 0o674;
        let access = ("system.posix_acl_access".to_owned(), access_list());
        file.xattrs.push(access.clone());
        let directory = tree.add("xattrs/default list", Kind::Directory);
        let default = ("system.posix_acl_default".to_owned(), access_list());
        directory.mode = 0o674;
        directory.xattrs.extend([access, default]);
    }
}

/// `u::rw-,u:1000:r--,g::r--,g:70000:rwx,m::rwx,o::r--`, as in
/// `include/uapi/linux/posix_acl_xattr.h`; its mode is 0o674.
fn access_list() -> Vec<u8> {
    let nobody = u32::MAX;
    let entries: [(u16, u16, u32); 6] = [
        (0x01, 6, nobody),
        (0x02, 4, 1000),
        (0x04, 4, nobody),
        (0x08, 7, 70_000),
        (0x10, 7, nobody),
        (0x20, 4, nobody),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn nodes(tree: &mut Tree) {
    if !tree.capabilities.nodes {
        return;
    }
    let device = drupe::makedev;
    for (name, kind, number) in [
        ("null", libc::S_IFCHR, device(1, 3)),
        ("disk", libc::S_IFBLK, device(259, 70_000)),
        ("fifo", libc::S_IFIFO, 0),
        ("socket", libc::S_IFSOCK, 0),
    ] {
        let node = tree.add(format!("nodes/{name}"), Kind::Special(kind, number));
        node.mode = 0o640;
    }
}
