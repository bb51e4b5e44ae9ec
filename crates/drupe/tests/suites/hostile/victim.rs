//! Uses one damaged image: mounts it, walks it, reads everything, writes something,
//! unmounts.

use std::path::{Path, PathBuf};

use drupe::{Cause, Disk, Kernel, Mount, MountOptions};

/// The name of the test below.
pub(super) const TEST: &str = "hostile::victim::one_image";
/// Names the image.
pub(super) const IMAGE: &str = "DRUPE_HOSTILE_IMAGE";
/// In front of what it has to say.
pub(super) const SAYS: &str = "hostile: ";
/// What it says of a kernel that died.
pub(super) const DEAD: &str = "the kernel died";

/// A directory may lead back to itself, and a file claim any size.
const MOST_ENTRIES: usize = 5000;
const MOST_BYTES: u64 = 8 << 20;

/// Lines of a dead kernel's log.
const MOST_LINES: usize = 40;

/// Does nothing unless [`super::attempt`] runs it.
#[test]
fn one_image() {
    let Some(image) = std::env::var_os(IMAGE) else {
        return;
    };
    let mut found = Found::default();
    let outcome = visit(Path::new(&image), &mut found);
    found.note(outcome.err());
    let first = found.first.as_ref();
    println!(
        "\n{SAYS}{} entries, {} MiB, {} errors{}",
        found.entries,
        found.bytes >> 20,
        found.errors,
        first.map_or(String::new(), |e| format!(", first: {e}")),
    );
    if let Some(Cause::Dead(report)) = first.map(drupe::Error::cause) {
        let lines: Vec<_> = report.log.lines().collect();
        let shown = lines.len().saturating_sub(MOST_LINES);
        lines[shown..]
            .iter()
            .for_each(|line| println!("{SAYS}    {line}"));
    }
}

#[derive(Default)]
struct Found {
    entries: usize,
    bytes: u64,
    errors: usize,
    /// The first error, or the death of the kernel.
    first: Option<drupe::Error>,
}

impl Found {
    fn note(&mut self, error: Option<drupe::Error>) {
        let Some(error) = error else {
            return;
        };
        self.errors += 1;
        let dead = |error: &drupe::Error| matches!(error.cause(), Cause::Dead(_));
        if self
            .first
            .as_ref()
            .is_none_or(|first| dead(&error) && !dead(first))
        {
            self.first = Some(error);
        }
    }
}

fn visit(image: &Path, found: &mut Found) -> drupe::Result<()> {
    let disk = Disk::options().copy_on_write(true).open(image)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(disk)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    walk(&mount, found);
    let written = mount
        .write("/new file", [1; 10_000])
        .and_then(|()| mount.sync());
    found.note(written.err());
    found.note(mount.umount().err());
    disk.remove()?;
    kernel.halt()
}

fn walk(mount: &Mount, found: &mut Found) {
    let mut directories = vec![PathBuf::from("/")];
    while let Some(directory) = directories.pop() {
        let entries = match mount.read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.note(Some(error));
                continue;
            }
        };
        for entry in entries {
            found.entries += 1;
            if found.entries > MOST_ENTRIES {
                return;
            }
            match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
                Ok((path, metadata)) => {
                    found.note(mount.llist_xattr(&path).err());
                    if metadata.is_dir() {
                        directories.push(path);
                    } else if metadata.is_symlink() {
                        found.note(mount.read_link(&path).err());
                    } else if metadata.is_file() {
                        let outcome = read(mount, &path, &mut found.bytes);
                        found.note(outcome.err());
                    }
                }
                Err(error) => found.note(Some(error)),
            }
        }
    }
}

fn read(mount: &Mount, path: &Path, bytes: &mut u64) -> drupe::Result<()> {
    let file = mount.open(path)?;
    let mut piece = vec![0; 256 << 10];
    let mut offset = 0;
    while offset < MOST_BYTES {
        let len = file.read_at(&mut piece, offset)? as u64;
        if len == 0 {
            break;
        }
        (offset, *bytes) = (offset + len, *bytes + len);
    }
    Ok(())
}
