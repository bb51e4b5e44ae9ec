//! Copies a tree of files into the filesystem of an image, and out again.

use std::error::Error;
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use drupe::{Disk, Kernel, MountOptions};
use drupe_tree::{CopyOptions, ImageLocation, Interrupt, Location, Progress, Umask, copy};

/// Prints what goes wrong.
struct Told;

impl Progress for Told {
    fn error(&self, error: &drupe_tree::Error) {
        eprintln!("{error}");
    }

    fn warning(&self, text: &str) {
        eprintln!("{text}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let [Some(image), Some(tree), Some(out)] = std::array::from_fn(|_| arguments.next()) else {
        return Err("usage: there_and_back IMAGE TREE OUT".into());
    };
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image)?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    let inside = || {
        Location::Image(ImageLocation {
            mount: mount.clone(),
            label: "image".to_owned(),
            path: "/tree".into(),
        })
    };
    let options = CopyOptions {
        recursive: true,
        archive: true,
        ..CopyOptions::default()
    };
    let interrupt = Interrupt::default();
    // Modes are kept as they are, so no umask is applied; not dropped, which would set the
    // process's.
    let none = ManuallyDrop::new(Umask { bits: 0 });
    let there = copy(
        &[Location::Host(tree)],
        &inside(),
        &options,
        &none,
        &interrupt,
        &Told,
    )?;
    let umask = Umask::take();
    let back = copy(
        &[inside()],
        &Location::Host(out),
        &options,
        &umask,
        &interrupt,
        &Told,
    )?;
    drop(umask);
    mount.umount()?;
    match there.errors + back.errors {
        0 => Ok(()),
        errors => Err(format!("{errors} errors").into()),
    }
}
