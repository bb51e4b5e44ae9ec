//! Trees of files: copied into images and out of them, archived and extracted.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use drupe::Mount;
use drupe_tree::{
    ArchiveOptions, Compression, CopyOptions, ExtractOptions, ImageLocation, Interrupt, Location,
    Outcome, Progress, Umask,
};

use crate::border::{DEADLINE, Given, Options, UserData, check_flags};
use crate::cancel::Cancel;
use crate::failure::{self, Failure, Result};

/// `DRUPE_ARCHIVE`.
const ARCHIVE: u32 = 1;
/// `DRUPE_NUMERIC_OWNER`.
const NUMERIC_OWNER: u32 = 2;

/// `DRUPE_GZIP`.
const GZIP: u32 = 1;
/// `DRUPE_ZSTD`.
const ZSTD: u32 = 2;
/// `DRUPE_XZ`.
const XZ: u32 = 3;

/// What errors call an archive.
const ARCHIVE_NAME: &str = "the archive";

/// `drupe_problem_callback`.
type Problem = unsafe extern "C" fn(data: *mut c_void, message: *const c_char);

/// `struct drupe_tree_options`.
#[derive(Clone, Copy)]
#[repr(C)]
struct TreeOptions {
    size: usize,
    flags: u32,
    compression: u32,
    problem: Option<Problem>,
    problem_data: *mut c_void,
    cancel: *const Cancel,
}

// SAFETY: it is repr(C); its pointers may be NULL.
unsafe impl Options for TreeOptions {}

const _: () = assert!(size_of::<TreeOptions>() == 40);

impl TreeOptions {
    fn interrupt(&self) -> Interrupt {
        // SAFETY: a member of the options: NULL, or a handle.
        let cancel = unsafe { self.cancel.as_ref() };
        cancel.map_or_else(Interrupt::default, |cancel| cancel.interrupt.clone())
    }

    fn compression(&self) -> Result<Compression> {
        match self.compression {
            0 => Ok(Compression::None),
            GZIP => Ok(Compression::Gzip),
            ZSTD => Ok(Compression::Zstd),
            XZ => Ok(Compression::Xz),
            other => Err(Failure::argument(format!("compression {other} is none"))),
        }
    }
}

/// Tells the program of problems, and remembers the first.
struct Listener {
    problem: Option<Problem>,
    data: UserData,
    first: Mutex<Option<String>>,
}

impl Listener {
    fn new(options: &TreeOptions) -> Listener {
        Listener {
            problem: options.problem,
            data: UserData(options.problem_data),
            first: Mutex::default(),
        }
    }

    fn tell(&self, text: &str) {
        let Some(problem) = self.problem else { return };
        let text: Vec<u8> = text.bytes().filter(|&byte| byte != 0).collect();
        let text = CString::new(text).unwrap_or_default();
        // SAFETY: a function of the program's, with what it gave for it.
        unsafe { problem(self.data.get(), text.as_ptr()) }
    }

    /// What a call returns when its work is over.
    fn finish(self, done: drupe_tree::Result<Outcome>, interrupt: &Interrupt) -> Result<()> {
        let outcome = match done {
            // Whatever it says: a stream that was waited for has failed, perhaps.
            Err(error) if interrupt.requested() => {
                return Err(Failure::new(failure::CANCELLED, error.to_string()));
            }
            done => done?,
        };
        let first = self.first.into_inner();
        let first = first.unwrap_or_else(PoisonError::into_inner);
        match (outcome.errors, first) {
            (0, _) => Ok(()),
            (1, Some(first)) => Err(Failure::new(failure::INCOMPLETE, first)),
            (count, first) => {
                let first = first.unwrap_or_default();
                let message = format!("{first} (and {} more problems)", count - 1);
                Err(Failure::new(failure::INCOMPLETE, message))
            }
        }
    }
}

impl Progress for Listener {
    fn error(&self, error: &drupe_tree::Error) {
        let text = error.to_string();
        self.tell(&text);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(text);
    }

    fn warning(&self, text: &str) {
        self.tell(text);
    }
}

/// Held by whoever has set the process's umask, because a thread cannot have its own: two
/// at a time would not find it again.
static UMASK: Mutex<()> = Mutex::new(());

/// A umask that is not the process's: what a copy into an image takes off modes, which is
/// nothing.
fn no_umask() -> ManuallyDrop<Umask> {
    // Not dropped: that would set the process's.
    ManuallyDrop::new(Umask { bits: 0 })
}

/// A file in an image, as errors name it: by its path.
fn in_image(mount: &Mount, path: &Path) -> ImageLocation {
    let device = mount.partition();
    ImageLocation {
        mount: mount.clone(),
        label: device.map_or_else(|| "mount".to_owned(), |device| device.name().to_owned()),
        path: Path::new("/").join(path),
    }
}

/// Copies `from`, which is the only source: an error of it is that of the whole call.
fn copy(from: Location, to: &Location, options: &TreeOptions) -> Result<()> {
    if options.flags & NUMERIC_OWNER != 0 {
        let message = "DRUPE_NUMERIC_OWNER is for archives: copies keep numbers anyway";
        return Err(Failure::argument(message));
    }
    check_flags(options.flags, ARCHIVE)?;
    match &from {
        Location::Host(path) => {
            let found = path.symlink_metadata().map(drop);
            found.map_err(|error| drupe::Error::at("open", path, error))?;
        }
        Location::Image(image) => image.mount.symlink_metadata(&image.path).map(drop)?,
    }
    let how = CopyOptions {
        recursive: true,
        archive: options.flags & ARCHIVE != 0,
        ..CopyOptions::default()
    };
    let listener = Listener::new(options);
    let interrupt = options.interrupt();
    let copy = |umask: &Umask| drupe_tree::copy(&[from], to, &how, umask, &interrupt, &listener);
    let done = match to {
        Location::Host(_) => with_own_umask(copy)?,
        Location::Image(_) => copy(&no_umask()),
    };
    listener.finish(done, &interrupt)
}

/// Runs `f` with a umask of 0, in a thread whose umask is not shared with the process. In
/// a sandbox that forbids unshare(2), it is the process's umask that is 0 meanwhile.
fn with_own_umask<T: Send>(f: impl FnOnce(&Umask) -> T + Send) -> Result<T> {
    let deadline = DEADLINE.get();
    let work = move || {
        // SAFETY: the thread gets a copy of what it shares with others: umask, root and
        // working directory. Nobody else uses this thread.
        let own = unsafe { libc::unshare(libc::CLONE_FS) } == 0;
        let _one = (!own).then(|| UMASK.lock().unwrap_or_else(PoisonError::into_inner));
        let umask = Umask::take();
        match deadline {
            Some(deadline) => drupe::with_deadline(deadline, || f(&umask)),
            None => f(&umask),
        }
    };
    std::thread::scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Failure::io("start thread", error))?;
        match thread.join() {
            Ok(done) => Ok(done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Refuses what is no flag of archives.
fn check_archive_flags(flags: u32) -> Result<()> {
    match flags & ARCHIVE {
        0 => check_flags(flags, NUMERIC_OWNER),
        _ => {
            let message = "DRUPE_ARCHIVE is for copies: archives have all attributes anyway";
            Err(Failure::argument(message))
        }
    }
}

/// A descriptor of the program's, as a file of this call's own.
fn file(descriptor: c_int) -> Result<File> {
    if descriptor < 0 {
        return Err(Failure::argument("`descriptor` is negative"));
    }
    // SAFETY: open while the call lasts, as the header says; if it is not, EBADF is told.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let own = borrowed.try_clone_to_owned();
    Ok(own
        .map_err(|e| Failure::io("duplicate descriptor", e))?
        .into())
}

export! {
    fn drupe_copy_in(
        host_path: &Path,
        mount: &Mount,
        path: &Path,
        options: Given<TreeOptions>,
    ) -> status {
        let to = Location::Image(in_image(mount, path));
        copy(Location::Host(host_path.to_owned()), &to, &options.0)
    }

    fn drupe_copy_out(
        mount: &Mount,
        path: &Path,
        host_path: &Path,
        options: Given<TreeOptions>,
    ) -> status {
        let from = Location::Image(in_image(mount, path));
        copy(from, &Location::Host(host_path.to_owned()), &options.0)
    }

    fn drupe_copy(
        from: &Mount,
        from_path: &Path,
        to: &Mount,
        to_path: &Path,
        options: Given<TreeOptions>,
    ) -> status {
        let to = Location::Image(in_image(to, to_path));
        copy(Location::Image(in_image(from, from_path)), &to, &options.0)
    }

    fn drupe_tar(
        mount: &Mount,
        path: &Path,
        descriptor: c_int,
        options: Given<TreeOptions>,
    ) -> status {
        check_archive_flags(options.0.flags)?;
        let how = ArchiveOptions {
            compression: options.0.compression()?,
            numeric_owner: options.0.flags & NUMERIC_OWNER != 0,
            ..ArchiveOptions::default()
        };
        let listener = Listener::new(&options.0);
        let interrupt = options.0.interrupt();
        let output = interrupt.waiting(file(descriptor)?);
        let from = in_image(mount, path);
        mount.symlink_metadata(path)?;
        let done = drupe_tree::archive(&from, &how, output, ARCHIVE_NAME, &interrupt, &listener);
        // None: there was nothing to put into one, as has been told.
        let done = done.map(|done| done.unwrap_or(Outcome { errors: 1 }));
        listener.finish(done, &interrupt)
    }

    fn drupe_untar(
        mount: &Mount,
        path: &Path,
        descriptor: c_int,
        options: Given<TreeOptions>,
    ) -> status {
        check_archive_flags(options.0.flags)?;
        let how = ExtractOptions {
            names: options.0.flags & NUMERIC_OWNER == 0,
            ..ExtractOptions::default()
        };
        let listener = Listener::new(&options.0);
        let interrupt = options.0.interrupt();
        let input = interrupt.waiting(file(descriptor)?);
        let to = in_image(mount, path);
        let (name, umask) = (ARCHIVE_NAME, no_umask());
        let done = drupe_tree::extract(input, name, &to, &how, &umask, &interrupt, &listener);
        listener.finish(done, &interrupt)
    }
}
