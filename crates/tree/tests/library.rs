//! The library's functions in sequence: copies into an image, archives that, extracts it
//! into another directory, and copies it out.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use drupe::{Disk, Kernel, Mount, MountOptions};
use drupe_tree::{
    ArchiveOptions, CopyOptions, Error, ExtractOptions, ImageLocation, Interrupt, Location, Node,
    Outcome, Progress, Silent, Stop, Umask, Visitor, Walk,
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

/// Notes what it meets, with its depth, and a star if it is the last one in its
/// directory; and what it leaves.
#[derive(Default)]
struct Notes {
    met: Vec<String>,
    /// A name at which the visit fails.
    fails_at: &'static str,
    /// A name at which the walk ends.
    ends_at: &'static str,
    /// Removes what it leaves.
    removes: bool,
    /// Set at the first file.
    interrupt: Interrupt,
    interrupts: bool,
}

/// What ends a walk of [`Notes`].
#[derive(Debug)]
enum Ended {
    Error(Error),
    Wanted,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::Error(error)
    }
}

impl Visitor for Notes {
    type Error = Ended;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop<Ended>> {
        let name = node.path.display();
        let last = if node.last { "*" } else { "" };
        self.met.push(format!("{} {name}{last}", node.depth));
        if self.interrupts {
            self.interrupt.flag().store(true, Ordering::Relaxed);
        }
        if node.name() == self.fails_at {
            return Err(Error::new("visit", "as it was told to").into());
        }
        if node.name() == self.ends_at {
            return Err(Stop::All(Ended::Wanted));
        }
        if self.removes && !node.metadata.is_dir() {
            node.remove()?;
        }
        Ok(true)
    }

    fn leave(&mut self, node: &Node<'_>) -> Result<(), Stop<Ended>> {
        self.met.push(format!("left {}", node.path.display()));
        if self.removes {
            node.remove()?;
        }
        Ok(())
    }
}

/// A tree with a directory, files beside it and in it, and a link to it.
fn tree(mount: &Mount) -> Tested {
    mount.create_dir("/t")?;
    mount.create_dir("/t/b")?;
    for name in ["/t/c", "/t/a", "/t/b/x"] {
        mount.write(name, b"1")?;
    }
    mount.symlink("t", "/link")?;
    Ok(())
}

#[test]
fn a_walk_meets_all_in_order() -> Tested {
    let place = tempfile::tempdir()?;
    let mount = image(place.path())?;
    tree(&mount)?;
    let quiet = Interrupt::default();
    let mut notes = Notes::default();
    let outcome = Walk::new(&at(&mount, "/link")).run(&mut notes, &quiet, &Silent);
    assert_eq!(outcome.expect("a walk"), Outcome::default());
    let below = [
        "1 /link/a",
        "1 /link/b",
        "2 /link/b/x*",
        "left /link/b",
        "1 /link/c*",
        "left /link",
    ];
    assert_eq!(notes.met, [&["0 /link*"], &below[..]].concat());

    let mut notes = Notes::default();
    let link = at(&mount, "/link");
    let outcome = Walk::new(&link).nofollow().run(&mut notes, &quiet, &Silent);
    assert_eq!(outcome.expect("a walk"), Outcome::default());
    assert_eq!(notes.met, ["0 /link*"], "the link itself");
    Ok(())
}

#[test]
fn a_walk_goes_on_after_one_files_error() -> Tested {
    let place = tempfile::tempdir()?;
    let mount = image(place.path())?;
    tree(&mount)?;
    let quiet = Interrupt::default();
    let heard = Heard::default();
    let mut notes = Notes {
        fails_at: "b",
        removes: true,
        ..Notes::default()
    };
    let outcome = Walk::new(&at(&mount, "/t")).run(&mut notes, &quiet, &heard);
    // The directory that was not gone into stays, and so does the one that it is in.
    assert_eq!(outcome.expect("a walk").errors, 2);
    let errors = heard.errors.lock().unwrap();
    assert_eq!(errors[0], "visit d.img:/t/b: as it was told to");
    assert!(
        errors[1].ends_with("Directory not empty (ENOTEMPTY)"),
        "{}",
        errors[1]
    );
    let left: Vec<_> = mount
        .read_dir("/t")?
        .map(|entry| entry.map(|e| e.file_name()))
        .collect::<Result<_, _>>()?;
    assert_eq!(left, ["b"]);
    assert!(mount.exists("/t/b/x")?);

    // A top that is not there is an error as well.
    let heard = Heard::default();
    let outcome = Walk::new(&at(&mount, "/no")).run(&mut Notes::default(), &quiet, &heard);
    assert_eq!(outcome.expect("a walk").errors, 1);
    let errors = heard.errors.lock().unwrap();
    assert!(
        errors[0].contains("d.img:/no: No such file"),
        "{}",
        errors[0]
    );
    Ok(())
}

#[test]
fn a_walk_ends_early() -> Tested {
    let place = tempfile::tempdir()?;
    let mount = image(place.path())?;
    tree(&mount)?;
    let quiet = Interrupt::default();
    let top = at(&mount, "/t");
    let mut notes = Notes {
        ends_at: "x",
        ..Notes::default()
    };
    let ended = Walk::new(&top).run(&mut notes, &quiet, &Silent);
    assert!(matches!(ended, Err(Ended::Wanted)), "{ended:?}");
    assert_eq!(notes.met.last().map(String::as_str), Some("2 /t/b/x*"));

    let mut notes = Notes {
        interrupts: true,
        ..Notes::default()
    };
    let interrupt = notes.interrupt.clone();
    match Walk::new(&top).run(&mut notes, &interrupt, &Silent) {
        Err(Ended::Error(error)) => assert!(error.is_interrupted(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(notes.met, ["0 /t*"]);

    // No other file could be changed either.
    match Walk::new(&top).run(&mut Refused, &quiet, &Silent) {
        Err(error) => assert!(error.is_fatal(), "{error}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// Finds that its target is full.
struct Refused;

impl Visitor for Refused {
    type Error = Error;

    fn visit(&mut self, _node: &Node<'_>) -> Result<bool, Stop<Error>> {
        let full = io::Error::from_raw_os_error(28);
        Ok(drupe_tree::host("write", Err(full))?)
    }
}
