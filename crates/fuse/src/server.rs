//! [`Server`]: mounts on the host, serves, and unmounts.
//!
//! ```text
//!             mount              unmounted by another program
//!   (nothing) ─────▶ serving ───────────────────────────────▶ ended
//!                       │  close: the host writes what it has,   ▲
//!                       └──────── DIR is detached ───────────────┘
//! ```
//!
//! Programs that have files open when DIR is detached get ENOTCONN from then on. When the
//! server has ended, the drupe kernel has all written data, and the caller unmounts
//! there.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use drupe::{AccessTimes, Errno, Mount};
use drupe_host::threads::SignalsBlocked;

use crate::channel::Channel;
use crate::event::Event;
use crate::host_mount::{self, DEVICE, HostMount, HostOptions};
use crate::keeper::Keeper;
use crate::options::Options;
use crate::prune;
use crate::requests::Served;
use crate::session::Session;
use crate::state::{Shared, State};
use crate::workers::Workers;

/// How long an ending mount waits for a program that keeps making requests.
const REST: Duration = Duration::from_secs(30);

/// Why mounting or serving failed. Messages have one line.
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
    /// The host has no usable FUSE.
    #[error("{DEVICE}: {0}")]
    Device(String),
    /// The host refused to mount.
    #[error("cannot mount on {}: {why}", dir.display())]
    Mount {
        /// The directory as it was given.
        dir: PathBuf,
        /// The host's message.
        why: String,
    },
    /// The drupe kernel died; what was not synced is lost.
    #[error("the kernel died: {0}")]
    Died(String),
    /// An error of the drupe kernel's filesystem.
    #[error(transparent)]
    Drupe(#[from] drupe::Error),
}

/// A drupe filesystem mounted on the host.
pub struct Server {
    dir: PathBuf,
    host: Host,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    channel: Arc<Channel>,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
}

/// Who has mounted it on the host: this process or a keeper.
enum Host {
    Own(HostMount),
    Kept(Keeper),
}

impl Host {
    /// Makes the host write out its caches, and unmounts.
    fn detach(&self) {
        match self {
            Host::Own(mount) => mount.detach(),
            Host::Kept(keeper) => keeper.detach(),
        }
    }

    /// Notes that the mount was unmounted by another program.
    fn unmounted(&self) {
        if let Host::Kept(keeper) = self {
            keeper.unmounted();
        }
    }

    fn take_away(&self) {
        match self {
            Host::Own(mount) => mount.take_away(),
            Host::Kept(keeper) => keeper.take_away(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Checks that `dir` is an empty directory.
fn check_directory(dir: &Path) -> Result<(), Error> {
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
        let above = dir.join("..").metadata();
        return Err(failed(
            match above.is_ok_and(|above| above.dev() != metadata.dev()) {
                true => "something is mounted there already".into(),
                false => "is not empty; mount on an empty directory".into(),
            },
        ));
    }
    Ok(())
}

/// Checks that `/dev/fuse` can be used.
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
    /// Checks whether [`Server::new`] could mount on `dir`, before a kernel is booted.
    ///
    /// # Errors
    /// [`Error::Directory`], [`Error::Device`].
    pub fn check(dir: &Path) -> Result<(), Error> {
        check_directory(dir)?;
        check_device()
    }

    /// Mounts the root of `mount` on `dir`, which can be used on return. Threads of the
    /// server serve it.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn new(mount: Mount, dir: &Path, options: &Options) -> Result<Server, Error> {
        check_directory(dir)?;
        check_device()?;
        Server::start(mount, dir, options, |host| {
            let (mount, device) = HostMount::attach(dir, host)?;
            Ok((Host::Own(mount), device))
        })
    }

    /// Like [`Server::new`], but a [`Keeper`] mounts, on the directory that it was given.
    /// For a confined process. `dir` is only used in messages.
    ///
    /// # Errors
    /// Any [`Error`].
    pub fn kept(
        mount: Mount,
        dir: &Path,
        keeper: Keeper,
        options: &Options,
    ) -> Result<Server, Error> {
        Server::start(mount, dir, options, |host| {
            let device = keeper.attach(host.read_only, host.no_atime)?;
            Ok((Host::Kept(keeper), device))
        })
    }

    fn start(
        mount: Mount,
        dir: &Path,
        options: &Options,
        attach: impl FnOnce(HostOptions<'_>) -> io::Result<(Host, OwnedFd)>,
    ) -> Result<Server, Error> {
        let (sender, events) = mpsc::channel();
        let (prune, names) = mpsc::channel();
        let state = State::new(mount, options, prune)?;
        let shared = Arc::new(Shared::new(state, sender.clone()));
        let failed = |error: io::Error| Error::Mount {
            dir: dir.to_owned(),
            why: one_line(&describe(&error)),
        };
        let (host, device) = attach(HostOptions {
            source: &options.source,
            read_only: options.read_only,
            no_atime: options.access_times == AccessTimes::Never,
            allow_other: options.allow_other,
        })
        .map_err(failed)?;
        let channel = Arc::new(Channel::new(device).map_err(failed)?);
        let workers = Workers::new(options.threads.max(1));
        let served = Served {
            shared: Arc::clone(&shared),
            workers: Arc::clone(&workers),
            channel: Arc::clone(&channel),
        };
        let session = Session::new(served, options.writeback).map_err(|error| {
            // Nobody serves it: there is nothing to be written out.
            host.take_away();
            failed(error)
        })?;
        // For the threads that are started from here on.
        let _blocked = SignalsBlocked::new();
        let (pruned, through) = (Arc::clone(&shared), Arc::clone(&channel));
        thread::Builder::new()
            .name("fuse-prune".into())
            .spawn(move || prune::serve(&names, &through, &pruned))
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
        Ok(Server {
            dir: dir.to_owned(),
            host,
            shared,
            workers,
            channel,
            events,
            sender,
        })
    }

    /// A sender for [`Event::Stop`].
    pub fn sender(&self) -> mpsc::Sender<Event> {
        self.sender.clone()
    }

    /// Serves until it is unmounted or gets [`Event::Stop`]. On return it is unmounted,
    /// and all files of the drupe kernel are closed. `tell` is called when writing to the
    /// image has failed; the mount goes on then.
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
                Event::Unmounted => self.host.unmounted(),
                Event::Stop => {
                    self.host.detach();
                    self.serve_the_rest();
                }
                Event::Died(_) => self.host.detach(),
            }
            self.shared.end();
            return match event {
                Event::Died(message) => Err(Error::Died(message)),
                _ => Ok(()),
            };
        }
        Ok(())
    }
}

impl Server {
    /// Waits until no requests come any more. syncfs(2) does not wait for the host's
    /// writes (`AS_WRITEBACK_MAY_DEADLOCK_ON_RECLAIM` of the host's mappings), and a
    /// program that has a file mapped keeps the mount alive.
    fn serve_the_rest(&self) {
        let nothing = || self.channel.is_empty() && self.workers.are_idle();
        // Somebody may go on writing.
        let end = Instant::now() + REST;
        while !self.shared.progress.rested_while(nothing) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Joins the lines of another program's message.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
