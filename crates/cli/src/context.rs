//! [`Context`]: the kernel, mounts and options of a command, and in a shell the current
//! directory.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use drupe::Mount;
use drupe_tree::{ImageLocation, Interrupt, Outcome, OutputFile};

use crate::args::Global;
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::location::{ImagePath, Location, Volume};
use crate::output::{self, Report};
use crate::progress::Progress;
use crate::sandbox::Prepared;
use crate::session::Session;

/// In a shell: what is in front of a path of the host.
const HOST: &[u8] = b"host:";

/// What long work is done with.
pub(crate) struct Work<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) progress: &'a Progress,
}

pub(crate) struct Context<'a> {
    /// Of this command.
    pub(crate) options: Global,
    pub(crate) session: Session<'a>,
    pub(crate) signals: Signals,
    /// In a shell: the directory in an image that paths begin at.
    pub(crate) here: Option<ImagePath>,
    /// The file of the host that the command is to write, if it was opened before.
    pub(crate) output: Option<OutputFile>,
    /// The command asks questions: a progress bar would cover them.
    pub(crate) asks: bool,
    /// Commands come from standard input: it is no command's own.
    pub(crate) stdin_is_script: bool,
}

impl<'a> Context<'a> {
    /// Boots a kernel, with nothing mounted yet.
    pub(crate) fn new(options: &'a Global, prepared: Prepared) -> Result<Context<'a>, Failure> {
        let mut session = Session::new(options, None)?;
        session.take_connected(prepared.disks);
        session.refuse(prepared.refused);
        session.set_signals(&prepared.signals);
        Ok(Context {
            options: options.clone(),
            session,
            signals: prepared.signals,
            output: prepared.output,
            here: None,
            asks: false,
            stdin_is_script: false,
        })
    }

    /// What an argument of `cp` means.
    ///
    /// On the command line, see [`Location::parse`]. In a shell: a path in the
    /// image, from the current directory, unless it begins with `host:` or with
    /// the name of an image file and a `:/`.
    pub(crate) fn location(&self, argument: &OsStr) -> Location {
        let Some(here) = &self.here else {
            return Location::parse(argument);
        };
        if let Some(path) = argument.as_bytes().strip_prefix(HOST) {
            let path = if path.is_empty() { b"." } else { path };
            return Location::Host(PathBuf::from(OsStr::from_bytes(path)));
        }
        if let Location::Image(image) = Location::parse(argument)
            && image.volume.image.exists()
        {
            return Location::Image(image);
        }
        Location::Image(ImagePath {
            volume: here.volume.clone(),
            path: here.path.join(argument),
        })
    }

    /// A path of the host or of an image, which is mounted for it.
    pub(crate) fn locate(&mut self, path: Location) -> Result<drupe_tree::Location, Failure> {
        Ok(match path {
            Location::Host(path) => drupe_tree::Location::Host(path),
            Location::Image(path) => drupe_tree::Location::Image(self.locate_image(path)?),
        })
    }

    /// A path of an image, which is mounted for it.
    pub(crate) fn locate_image(&mut self, path: ImagePath) -> Result<ImageLocation, Failure> {
        let mount = self.session.mount(&path.volume)?;
        Ok(path.on(&mount))
    }

    /// Does long work, shows how far it is, and says how it went. With `names`, those of
    /// files are shown.
    pub(crate) fn work(
        &self,
        names: bool,
        work: impl FnOnce(&Work<'_>) -> drupe_tree::Result<Outcome>,
    ) -> Result<ExitCode, Failure> {
        let progress = Progress::new(&self.options, !self.asks).verbose(names);
        let done = work(&Work {
            interrupt: self.signals.interrupt(),
            progress: &progress,
        });
        progress.finish();
        match done {
            Ok(Outcome { errors: 0 }) => Ok(ExitCode::Success),
            Ok(_) => Ok(ExitCode::Failed),
            // Whoever reads the output has enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::Success),
            Err(error) if error.is_fatal() => {
                Err(anyhow!("{error}; what was done before it is complete").into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What an argument means to a command that only takes paths in images.
    pub(crate) fn path(&self, argument: &OsStr) -> Result<ImagePath, Failure> {
        if self.here.is_none() {
            return Ok(ImagePath::parse(argument));
        }
        match self.location(argument) {
            Location::Image(path) => Ok(path),
            Location::Host(path) => {
                let message = format!("{} is a path of the host", path.display());
                Err(Failure::usage(message))
            }
        }
    }

    /// The same for a command that changes something: an image alone is too
    /// easily a mistake for a file of the host.
    pub(crate) fn target(&self, argument: &OsStr) -> Result<ImagePath, Failure> {
        match self.location(argument) {
            Location::Image(path) => Ok(path),
            Location::Host(path) => {
                let hint = crate::location::with_colon(&path);
                let hint = hint.unwrap_or("a path in an image is written IMAGE:/PATH".into());
                let message = format!("{} is a path of the host", path.display());
                Err(Failure::usage(message).with_hint(hint))
            }
        }
    }

    /// All arguments of a command that changes what they name; their images are
    /// opened for writing. Images that cannot be are reported and left out.
    pub(crate) fn targets(
        &mut self,
        arguments: &[std::ffi::OsString],
        report: &mut Report,
    ) -> Result<Vec<(ImagePath, Mount)>, Failure> {
        let paths = arguments.iter().map(|argument| self.target(argument));
        let paths: Vec<ImagePath> = paths.collect::<Result<_, _>>()?;
        // All of them first: one that is mounted twice is opened anew.
        let mut opened = Vec::new();
        for path in paths {
            let open = self.open_for_writing(&path.volume.image);
            if report.settle(open)?.is_some() {
                opened.push(path);
            }
        }
        let mut targets = Vec::new();
        for path in opened {
            let mounted = self.session.mount(&path.volume);
            if let Some(mount) = report.settle(mounted)? {
                targets.push((path, mount));
            }
        }
        Ok(targets)
    }

    /// Mounts a volume to be written to.
    pub(crate) fn mount_for_writing(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        self.open_for_writing(&volume.image)?;
        self.session.mount(volume)
    }

    /// From now on, a signal ends the command when what was begun is finished or taken
    /// back.
    pub(crate) fn heed_signals(&mut self) -> Result<(), Failure> {
        Ok(self.signals.install()?)
    }

    /// From now on this image is written to. What was begun is finished or
    /// taken back when a signal comes.
    pub(crate) fn open_for_writing(&mut self, image: &Path) -> Result<(), Failure> {
        self.signals.install()?;
        self.session.write_to(image)
    }

    /// Standard input is for a command to read.
    pub(crate) fn own_stdin(&self) -> Result<(), Failure> {
        match self.stdin_is_script {
            true => Err(Failure::usage(
                "standard input is what the commands come from",
            )),
            false => Ok(()),
        }
    }

    /// A failure if a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.signals.check()
    }

    /// Unmounts everything, so that errors of writing show.
    pub(crate) fn close(self) -> Result<(), Failure> {
        self.session.close()
    }

    /// Ends a command: unmounts what it has mounted, in any case.
    pub(crate) fn finish(self, outcome: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
        let interrupted = self.signals.requested();
        let closed = self.close();
        match outcome {
            // What fails after a signal fails because of it.
            Err(failure) if interrupted && failure.code == ExitCode::Failed => {
                Err(Failure::new(ExitCode::Interrupted, failure.error))
            }
            Err(failure) => match closed {
                Ok(()) => Err(failure),
                // That the image may be incomplete is the worse news.
                Err(closing) => {
                    output::failure(&failure);
                    Err(closing)
                }
            },
            Ok(code) => closed.map(|()| code),
        }
    }
}
