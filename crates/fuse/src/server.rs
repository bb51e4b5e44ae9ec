//! [`Server`]: mounting on the host, serving, and the end of it.
//!
//! ```text
//!             mount              unmounted by somebody else
//!   (nothing) ─────▶ serving ───────────────────────────────▶ ended
//!                       │  close: the host writes what it has,   ▲
//!                       └──────── DIR is detached ───────────────┘
//! ```
//!
//! Somebody who still has a file open when DIR is detached gets ENOTCONN from
//! then on. In any case all that was written is with the drupe kernel when the
//! server has ended, and the caller unmounts there.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use drupe::{AccessTimes, Errno, Mount};
use drupe_host::threads::SignalsBlocked;
use rustix::fs::{Mode, OFlags};

use crate::channel::Channel;
use crate::event::Event;
use crate::host_mount::{self, DEVICE, HostOptions};
use crate::options::Options;
use crate::prune;
use crate::requests::Served;
use crate::session::Session;
use crate::state::{Shared, State};
use crate::waiting::Waiting;
use crate::workers::Workers;

/// Why it could not be mounted, or not be served to the end. One line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory cannot be mounted on.
    #[error("{}: {why}", dir.display())]
    Directory {
        /// The directory as it was given.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The host has no FUSE for us.
    #[error("{DEVICE}: {0}")]
    Device(String),
    /// The host refused to mount.
    #[error("cannot mount on {}: {why}", dir.display())]
    Mount {
        /// The directory as it was given.
        dir: PathBuf,
        /// What the host said.
        why: String,
    },
    /// The drupe kernel died; what was not synced is lost.
    #[error("the kernel died: {0}")]
    Died(String),
    /// The drupe kernel's filesystem.
    #[error(transparent)]
    Drupe(#[from] drupe::Error),
}

/// A drupe filesystem mounted on the host.
pub struct Server {
    dir: PathBuf,
    /// The device number that DIR has while it is ours.
    dev: u64,
    shared: Arc<Shared>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Checks that one can mount on `dir`: it is an empty directory.
fn check_directory(dir: &Path) -> Result<PathBuf, Error> {
    let failed = |why: String| Error::Directory {
        dir: dir.to_owned(),
        why,
    };
    let failed_io = |error: io::Error| failed(describe(&error));
    let metadata = dir.metadata().map_err(failed_io)?;
    if !metadata.is_dir() {
        return Err(failed("is not a directory".into()));
    }
    if dir.read_dir().map_err(failed_io)?.next().is_some() {
        return Err(failed("is not empty; mount on an empty directory".into()));
    }
    dir.canonicalize().map_err(failed_io)
}

/// Checks that the host has FUSE, for us.
fn check_device() -> Result<(), Error> {
    match host_mount::open_device() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Device(match error.kind() {
            io::ErrorKind::NotFound => "is not there: load the module fuse (modprobe fuse), or \
                                        let this container have the device"
                .into(),
            io::ErrorKind::PermissionDenied => {
                "may not be opened by this user: have its mode set to 0666".into()
            }
            _ => describe(&error),
        })),
    }
}

/// "No such file or directory (ENOENT)" and the like.
fn describe(error: &io::Error) -> String {
    match drupe::Errno::from_io_error(error) {
        Some(errno) => drupe::Cause::Errno(errno).to_string(),
        None => error.to_string(),
    }
}

impl Server {
    /// Checks whether [`Server::new`] could mount on `dir`: for before a kernel
    /// is booted.
    ///
    /// # Errors
    /// [`Error::Directory`], [`Error::Device`].
    pub fn check(dir: &Path) -> Result<(), Error> {
        check_directory(dir)?;
        check_device()
    }

    /// Mounts the root of `mount` on `dir`, which is usable on return. Threads of
    /// this server's own serve it.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn new(mount: Mount, dir: &Path, options: &Options) -> Result<Server, Error> {
        let given = dir;
        let dir = check_directory(dir)?;
        check_device()?;
        let (sender, events) = mpsc::channel();
        let (prune, names) = mpsc::channel();
        let state = State::new(mount, options, prune)?;
        let shared = Arc::new(Shared::new(state, sender.clone()));
        let failed = |error: io::Error| Error::Mount {
            dir: given.to_owned(),
            why: one_line(&describe(&error)),
        };
        let host = HostOptions {
            source: &options.source,
            read_only: options.read_only,
            no_atime: options.access_times == AccessTimes::Never,
            allow_other: options.allow_other || rustix::process::geteuid().is_root(),
        };
        let device = host_mount::attach(&dir, host).map_err(failed)?;
        let channel = Arc::new(Channel::new(device).map_err(failed)?);
        let served = Served {
            shared: Arc::clone(&shared),
            workers: Workers::new(options.threads.max(1)),
            channel: Arc::clone(&channel),
        };
        let session = Session::new(served, options.writeback).map_err(|error| {
            host_mount::detach(&dir);
            failed(error)
        })?;
        // For the threads that are started from here on.
        let _blocked = SignalsBlocked::new();
        let pruned = Arc::clone(&shared);
        thread::Builder::new()
            .name("fuse-prune".into())
            .spawn(move || prune::serve(&names, &channel, &pruned))
            .map_err(failed)?;
        let ended = sender.clone();
        thread::Builder::new()
            .name("fuse".into())
            .spawn(move || {
                let event = match session.run() {
                    Ok(()) => Event::Unmounted,
                    // Nothing is served any more.
                    Err(_) => Event::Stop,
                };
                // Nobody listens any more: it was closed before.
                let _ = ended.send(event);
            })
            .map_err(failed)?;
        let dev = device_of(&dir).map_err(failed)?;
        Ok(Server {
            dir,
            dev,
            shared,
            events,
            sender,
        })
    }

    /// Where [`Event::Stop`] is sent to.
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }

    /// Who waits for its end, by `drupe umount`.
    pub fn waiting(&self) -> Waiting {
        self.shared.waiting.clone()
    }

    /// Serves until it is unmounted or told to stop. On return it is unmounted,
    /// and no file of the drupe kernel's is open any more. `tell` is called when the
    /// image cannot be written to any more, and the mount goes on.
    ///
    /// # Errors
    /// [`Error::Died`].
    pub fn run(self, mut tell: impl FnMut(Errno)) -> Result<(), Error> {
        // There is a sender: in this server.
        while let Ok(event) = self.events.recv() {
            match event {
                Event::WriteError(errno) => {
                    tell(errno);
                    continue;
                }
                Event::Unmounted => {}
                Event::Stop | Event::Died(_) => self.detach(),
            }
            self.shared.end();
            return match event {
                Event::Died(message) => Err(Error::Died(message)),
                _ => Ok(()),
            };
        }
        Ok(())
    }

    /// Has the host write out what it has, and takes DIR from its tree.
    fn detach(&self) {
        // Neither has to succeed: who has no access to DIR any more, such as after
        // an umount of somebody else's, has nothing to write there.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(dir) = rustix::fs::open(&self.dir, flags, Mode::empty()) {
            self.write_out(dir);
        }
        if device_of(&self.dir).is_ok_and(|dev| dev != self.dev) {
            return;
        }
        host_mount::detach(&self.dir);
    }

    fn write_out(&self, dir: OwnedFd) {
        let dir = File::from(dir);
        let _ = rustix::fs::syncfs(&dir);
    }
}

/// The device number of what is at a path.
fn device_of(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(path.metadata()?.dev())
}

/// Messages of other programs end with a newline, and may have several.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
