//! The library as a program calls it: into an image, an archive of it, that into another
//! directory, and out again.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use drupe::{Disk, Kernel, Mount, MountOptions};
use drupe_tree::{
    ArchiveOptions, CopyOptions, Error, ExtractOptions, ImageLocation, Interrupt, Location,
    Outcome, Progress, Silent, Umask,
};

type Tested<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Remembers what it heard.
#[derive(Default)]
struct Heard {
    bytes: Mutex<u64>,
    errors: Mutex<Vec<String>>,
}

impl Progress for Heard {
    fn bytes(&self, count: u64) {
        *self.bytes.lock().unwrap() += count;
    }

    fn error(&self, error: &Error) {
        self.errors.lock().unwrap().push(error.to_string());
    }
}

/// An empty ext4 image, mounted.
fn image(dir: &Path) -> Tested<Mount> {
    let path = dir.join("d.img");
    fs::File::create(&path)?.set_len(64 << 20)?;
    let made = Command::new("/sbin/mkfs.ext4")
        .arg("-q")
        .arg(&path)
        .status()?;
    assert!(made.success());
    let disk = Kernel::boot()?.add_disk(Disk::open(&path)?)?;
    Ok(disk.whole().mount(MountOptions::new())?)
}

fn at(mount: &Mount, path: &str) -> ImageLocation {
    ImageLocation {
        mount: mount.clone(),
        label: "d.img".to_owned(),
        path: path.into(),
    }
}

#[test]
fn there_and_back() -> Tested {
    let place = tempfile::tempdir()?;
    let source = place.path().join("tree");
    fs::create_dir_all(source.join("sub"))?;
    fs::write(source.join("sub/small"), "small")?;
    fs::write(source.join("large"), vec![7; 3 << 20])?;
    fs::hard_link(source.join("large"), source.join("sub/other"))?;
    let mount = image(place.path())?;
    let umask = Umask::take();
    let interrupt = Interrupt::default();
    let options = CopyOptions {
        archive: true,
        ..CopyOptions::default()
    };

    let heard = Heard::default();
    let missing = Location::Host(place.path().join("missing"));
    let copied = drupe_tree::copy(
        &[Location::Host(source.clone()), missing],
        &Location::Image(at(&mount, "/")),
        &options,
        &umask,
        &interrupt,
        &heard,
    )?;
    assert_eq!(copied, Outcome { errors: 1 });
    let errors = heard.errors.into_inner()?;
    assert!(errors[0].contains("missing: No such file"), "{errors:?}");
    assert_eq!(*heard.bytes.lock().unwrap(), (3 << 20) + 5);

    let mut archive = Vec::new();
    let tree = at(&mount, "/tree");
    let options_of_archive = ArchiveOptions::default();
    let archived = drupe_tree::archive(
        &tree,
        &options_of_archive,
        &mut archive,
        "memory",
        &interrupt,
        &Silent,
    )?;
    assert_eq!(archived, Some(Outcome { errors: 0 }));
    drop(tree);
    mount.create_dir("/again")?;
    let extracted = drupe_tree::extract(
        &archive[..],
        "memory",
        &at(&mount, "/again"),
        &ExtractOptions::default(),
        &umask,
        &interrupt,
        &Silent,
    )?;
    assert_eq!(extracted, Outcome { errors: 0 });

    let out = place.path().join("out");
    let copied = drupe_tree::copy(
        &[Location::Image(at(&mount, "/again"))],
        &Location::Host(out.clone()),
        &options,
        &umask,
        &interrupt,
        &Silent,
    )?;
    assert_eq!(copied, Outcome { errors: 0 });
    assert_eq!(fs::read(out.join("sub/small"))?, b"small");
    assert_eq!(fs::read(out.join("sub/other"))?, vec![7; 3 << 20]);
    Ok(mount.umount()?)
}

#[test]
fn ends_when_it_is_told_to() -> Tested {
    let place = tempfile::tempdir()?;
    let mount = image(place.path())?;
    let umask = Umask::take();
    let (come, tell) = io::pipe()?;
    let flag = Interrupt::default().flag();
    let interrupt = Interrupt::new(flag.clone(), come);
    // What reads a pipe that nobody writes to.
    let (silent, _writer) = io::pipe()?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&silent.as_fd());
    let silent = Location::Host(format!("/proc/self/fd/{number}").into());
    flag.store(true, Ordering::Relaxed);
    drop(tell);
    let ended = drupe_tree::copy(
        &[silent],
        &Location::Image(at(&mount, "/x")),
        &CopyOptions::default(),
        &umask,
        &interrupt,
        &Silent,
    );
    assert!(ended.is_err_and(|error| error.is_interrupted()));
    assert!(mount.metadata("/x").is_err());
    Ok(mount.umount()?)
}
