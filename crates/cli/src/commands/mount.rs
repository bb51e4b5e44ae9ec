//! `drupe mount`: a filesystem in an image, mounted on the host through FUSE.
//!
//! In the background, this program starts itself once more, in the foreground,
//! and waits until that one says that it is ready: a kernel belongs to the
//! process that booted it, so it must be booted by the one that stays. The second
//! one says so on its standard output, which is a pipe. If it cannot mount, it has
//! said why on standard error, and its exit code is handed on.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, anyhow};
use drupe::MountOptions;
use drupe_fuse::{Ended, Event, Options, Server};
use nix::sys::signal::{SigSet, Signal};

use crate::args::{Global, Mount};
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::session::Session;
use crate::{output, syslog};

/// Set for the one in the background.
const BACKGROUND: &str = "DRUPE_MOUNT_BACKGROUND";

/// What it says when it is ready.
const READY: &[u8] = b"ready\n";

pub(crate) fn run(options: &Global, command: &Mount) -> Result<ExitCode, Failure> {
    // The name of the program that started it would be that of a link to it.
    let _ = rustix::thread::set_name(c"drupe-mount");
    if is_background() {
        return in_background(options, command);
    }
    match command.foreground {
        true => serve(options, command, || Ok(())),
        false => start(),
    }
}

/// Starts the one in the background, and waits until it is ready or has failed.
fn start() -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args_os();
    let mut child = Command::new("/proc/self/exe");
    child
        .arg0(arguments.next().unwrap_or_else(|| "drupe".into()))
        .args(arguments)
        .env(BACKGROUND, "1")
        .stdout(Stdio::piped());
    let mut child = child
        .spawn()
        .context("cannot start a process for the background")?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_end(&mut said)
            .context("cannot hear from the background")?;
    }
    if said == READY {
        return Ok(ExitCode::Success);
    }
    let status = child.wait().context("cannot wait for the background")?;
    match status.code() {
        Some(code) => match ExitCode::from_code(code) {
            // It has said why.
            Some(code) => Ok(code),
            None => Err(anyhow!("the background ended with {status}").into()),
        },
        None => Err(anyhow!("the background ended with {status}").into()),
    }
}

/// The one in the background: no terminal, no directory in the way of an umount,
/// and nobody who waits for it once it is ready.
fn in_background(options: &Global, command: &Mount) -> Result<ExitCode, Failure> {
    // Until it is ready, it may ask for a passphrase.
    serve(options, command, || {
        rustix::process::setsid().context("cannot leave the session")?;
        std::env::set_current_dir("/").context("cannot leave the directory")?;
        let mut stdout = io::stdout();
        stdout.write_all(READY).and_then(|()| stdout.flush())?;
        let null = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        // The log is wanted wherever standard error goes.
        if !options.kernel_log {
            rustix::stdio::dup2_stderr(&null)?;
        }
        Ok(())
    })
}

/// Mounts, calls `ready`, and serves until the end.
fn serve(
    options: &Global,
    command: &Mount,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> Result<ExitCode, Failure> {
    // Before there are other threads, which inherit this: a signal whose handler
    // ran in one of them would interrupt what it does.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("cannot block signals")?;

    Server::check(&command.dir)?;
    let volume = Volume::of_whole(&command.image)?;
    let mut options = options.clone();
    options
        .mount_options
        .extend(command.options.iter().cloned());
    let inner = inner_options(&options);
    options.read_only |= inner.is_read_only();
    let writable = (!options.read_only).then_some(&*volume.image);
    let mut session = Session::new(&options, writable)?;
    let mount = session.mount(&volume)?;
    let mut told = server_options(&options, command, &volume);
    told.access_times = inner.access_times();
    told.read_only |= mount.is_read_only()?;
    let server = Server::new(mount, &command.dir, &told)?;
    let waiting = server.waiting();
    let sender = server.sender();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while signals.wait().is_ok() {
                // It has ended, if nobody listens.
                if sender.send(Event::Stop).is_err() {
                    break;
                }
            }
        })
        .context("cannot start a thread")?;
    // Whoever waited for us may have gone: then nobody wants this mount.
    let ready = ready();
    if ready.is_err() {
        // Nobody has the other end but this server.
        let _ = server.sender().send(Event::Stop);
    }
    let image = volume.image.display().to_string();
    let outcome = end(server, session, &image);
    let ended = match &outcome {
        Ok(code) => Ended {
            code: *code as u8,
            message: String::new(),
        },
        Err(Failure { code, error, .. }) => Ended {
            code: *code as u8,
            message: format!("{error:#}"),
        },
    };
    if outcome.is_err() && is_background() {
        syslog::error(&ended.message);
    }
    waiting.tell(&ended);
    ready?;
    outcome
}

/// Serves until the end, and unmounts in the image.
fn end(server: Server, session: Session<'_>, image: &str) -> Result<ExitCode, Failure> {
    let mut failed = None;
    let disks = session.disks();
    let served = server.run(|errno| {
        let message = crate::session::harm_of(&disks).unwrap_or_else(|| {
            let why = drupe::Cause::Errno(errno);
            format!(
                "{image}: cannot be written any more, and what was written last may be lost: {why}"
            )
        });
        match is_background() {
            true => syslog::error(&message),
            false => output::error(&message),
        }
        failed = Some(message);
    });
    drop(disks);
    let closed = session.close();
    served?;
    match (closed, failed) {
        // It says why.
        (_, Some(message)) => Err(Failure::new(ExitCode::Image, anyhow!(message))),
        (closed, None) => closed.map(|()| ExitCode::Success),
    }
}

fn is_background() -> bool {
    std::env::var_os(BACKGROUND).is_some()
}

/// The options of the mount in the image.
fn inner_options(options: &Global) -> MountOptions {
    let lists = options.mount_options.iter();
    lists.fold(MountOptions::new(), |all, list| all.options(list))
}

fn server_options(options: &Global, command: &Mount, volume: &Volume) -> Options {
    let mut server = Options::default();
    let label = volume.label();
    server.source = match Path::new(&volume.image).canonicalize() {
        Ok(image) => label.replacen(
            &*volume.image.to_string_lossy(),
            &image.to_string_lossy(),
            1,
        ),
        Err(_) => label,
    };
    server.read_only = options.read_only;
    server.allow_other = command.allow_other;
    server.writeback = command.writeback;
    server
}
