//! Read-only filesystems that the host's tools make from a directory: they have the same
//! content.

use std::error::Error;
use std::io::Read;
use std::path::Path;

use drupe::{Disk, Kernel, MountOptions};
use tempfile::{NamedTempFile, TempDir};

use crate::Outcome;
use crate::capabilities::{ALL, Capabilities, SECOND};
use crate::lab::mounted_disk;
use crate::manifest::Manifest;
use crate::sample::sample;
use crate::tools::{run, tool};
use crate::tree::{Kind, Tree};

/// What an ordinary user can make on the host, and what each format keeps.
const HOST: Capabilities = Capabilities {
    owners: false,
    nodes: false,
    xattrs: &[],
    // The host's filesystem may have other limits.
    seconds: (0, i32::MAX as i64),
    ..ALL
};

const SQUASHFS: Capabilities = Capabilities {
    time_step: SECOND,
    ..HOST
};

const EROFS: Capabilities = Capabilities {
    // mkfs.erofs 1.5 cuts off the 255th byte.
    name_max: 254,
    ..HOST
};

const ROCK_RIDGE: Capabilities = Capabilities {
    // The inode of a file is where its directory entry is.
    hard_links: false,
    byte_names: false,
    // One extension's worth, and no further continuation areas.
    name_max: 200,
    symlink_max: 200,
    time_step: SECOND,
    ..HOST
};

const JOLIET: Capabilities = Capabilities {
    modes: false,
    symlinks: false,
    name_max: 64,
    ..ROCK_RIDGE
};

/// Where in an argument the image and the directory go.
const IMAGE: &str = "{image}";
const DIRECTORY: &str = "{directory}";

/// A sample tree in a directory of the host.
fn on_host(can: Capabilities) -> Result<(Tree, TempDir), Box<dyn Error>> {
    let directory = TempDir::new()?;
    let mut tree = sample(can, 300);
    // The tool that makes the image must be able to read all, root or not.
    for node in &mut tree.nodes {
        node.mode |= match node.kind {
            Kind::Directory => 0o700,
            _ => 0o400,
        };
    }
    tree.write_on_host(directory.path())?;
    Ok((tree, directory))
}

/// A sample tree, and the image of it that `words` make.
fn image(can: Capabilities, words: &[&str]) -> Result<(Tree, NamedTempFile), Box<dyn Error>> {
    let (tree, directory) = on_host(can)?;
    let image = NamedTempFile::new()?;
    let place = |word: &&str| match *word {
        IMAGE => image.path().as_os_str().to_owned(),
        DIRECTORY => directory.path().as_os_str().to_owned(),
        word => word.into(),
    };
    let (program, arguments) = words.split_first().ok_or("no program")?;
    run(tool(program).args(arguments.iter().map(place)))?;
    pad(image.path())?;
    Ok((tree, image))
}

/// Makes an image with `words`, and compares what is in it.
fn holds(can: Capabilities, words: &[&str], data: &str) -> Outcome {
    let (tree, image) = image(can, words)?;
    let disk = Disk::options().read_only(true).open(image.path())?;
    mounted_disk(disk, &MountOptions::new().data(data), |mount| {
        let found = Manifest::of(mount, &can)?;
        Ok(tree.manifest().compare(&found)?)
    })
}

/// A squashfs image, to be damaged.
pub(crate) fn squashfs_image() -> Result<NamedTempFile, Box<dyn Error>> {
    Ok(image(SQUASHFS, &squashfs_words("zstd"))?.1)
}

/// An EROFS image, to be damaged.
pub(crate) fn erofs_image() -> Result<NamedTempFile, Box<dyn Error>> {
    Ok(image(EROFS, &erofs_words(&["-zlz4hc"]))?.1)
}

/// An ISO 9660 image, to be damaged.
pub(crate) fn iso9660_image() -> Result<NamedTempFile, Box<dyn Error>> {
    Ok(image(ROCK_RIDGE, &iso9660_words(&["-R"]))?.1)
}

/// A disk is whole sectors.
fn pad(image: &Path) -> Outcome {
    let file = std::fs::File::options().write(true).open(image)?;
    let len = file.metadata()?.len();
    Ok(file.set_len(len.next_multiple_of(512))?)
}

fn squashfs_words(compressor: &str) -> [&str; 8] {
    [
        "mksquashfs",
        DIRECTORY,
        IMAGE,
        "-noappend",
        "-quiet",
        "-no-progress",
        "-comp",
        compressor,
    ]
}

fn erofs_words<'a>(compressor: &[&'a str]) -> Vec<&'a str> {
    [&["mkfs.erofs", "--quiet"], compressor, &[IMAGE, DIRECTORY]].concat()
}

fn iso9660_words<'a>(extensions: &[&'a str]) -> Vec<&'a str> {
    let words = ["xorriso", "-as", "mkisofs", "-quiet", "-o", IMAGE];
    [&words, extensions, &[DIRECTORY]].concat()
}

fn squashfs(compressor: &str) -> Outcome {
    holds(SQUASHFS, &squashfs_words(compressor), "")
}

fn erofs(compressor: &[&str]) -> Outcome {
    holds(EROFS, &erofs_words(compressor), "")
}

fn iso9660(can: Capabilities, extensions: &[&str], data: &str) -> Outcome {
    holds(can, &iso9660_words(extensions), data)
}

#[test]
fn squashfs_gzip() -> Outcome {
    squashfs("gzip")
}

#[test]
fn squashfs_xz() -> Outcome {
    squashfs("xz")
}

#[test]
fn squashfs_zstd() -> Outcome {
    squashfs("zstd")
}

#[test]
fn squashfs_lz4() -> Outcome {
    squashfs("lz4")
}

#[test]
fn squashfs_lzo() -> Outcome {
    squashfs("lzo")
}

#[test]
fn erofs_plain() -> Outcome {
    erofs(&[])
}

#[test]
fn erofs_lz4() -> Outcome {
    erofs(&["-zlz4"])
}

#[test]
fn erofs_lz4hc_in_big_clusters() -> Outcome {
    erofs(&["-zlz4hc,9", "-C65536"])
}

#[test]
fn iso9660_rock_ridge() -> Outcome {
    iso9660(ROCK_RIDGE, &["-R"], "")
}

#[test]
fn iso9660_joliet() -> Outcome {
    iso9660(JOLIET, &["-J", "-joliet-long"], "norock")
}

/// A cluster of 64 KiB that is 16 MiB of a file, which is a fourth of the kernel's memory,
/// is decompressed once, not for each of its pages.
#[test]
fn erofs_decompresses_a_cluster_once() -> Outcome {
    const LEN: usize = 100 << 20;
    let directory = TempDir::new()?;
    let file = std::fs::File::create(directory.path().join("zeroes"))?;
    file.set_len(LEN as u64)?;
    // Without, there would be no data to compress.
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", 70_000_000)?;
    let image = NamedTempFile::new()?;
    run(tool("mkfs.erofs")
        .args(["--quiet", "-zlz4hc", "-C65536"])
        .args([image.path(), directory.path()]))?;
    pad(image.path())?;
    let kernel = Kernel::boot()?;
    let disk = Disk::options().read_only(true).open(image.path())?;
    let root = kernel.add_disk(disk)?.whole();
    let root = root.mount(MountOptions::new().read_only(true))?;
    let proc = kernel.mount_virtual("proc", MountOptions::new())?;
    let mut file = root.open("/zeroes")?;
    let mut piece = vec![0; 1 << 20];
    let mut len = 0;
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => len += read,
        }
    }
    assert_eq!(len, LEN);
    // What is decompressed is in pages.
    let statistics = proc.read_to_string("/vmstat")?;
    let pages = statistics
        .lines()
        .find_map(|line| line.strip_prefix("pgalloc_normal "))
        .ok_or("no statistics")?;
    let pages: usize = pages.parse()?;
    assert!(pages < 4 * LEN / 4096, "{pages} pages");
    Ok(())
}
