//! `drupe mount`: a filesystem in an image, mounted on the host through FUSE.
//!
//! In the background, this program starts itself once more, in the foreground,
//! and waits until that one says that it is ready: a kernel belongs to the
//! process that booted it, so it must be booted by the one that stays. The second
//! one says so on its standard output, which is a pipe. If it cannot mount, it has
//! said why on standard error, and its exit code is handed on.
//!
//! The one that serves is confined before it looks into the image, and may not mount
//! then. So it starts this program once more, as its keeper, which does that for it
//! ([`drupe_fuse::keep`]).

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, anyhow};
use drupe::MountOptions;
use drupe_fuse::{Ended, Event, Keeper, Options, Server, keep};
use nix::sys::signal::{SigSet, Signal};

use crate::args::{Command as Parsed, Global, Mount};
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::session::Session;
use crate::{output, sandbox, syslog};

/// Set for the one in the background.
const BACKGROUND: &str = "DRUPE_MOUNT_BACKGROUND";

/// Set for the keeper, whose standard input is a socket.
const KEEPER: &str = "DRUPE_MOUNT_KEEPER";

/// What it says when it is ready.
const READY: &[u8] = b"ready\n";

pub(crate) fn run(options: &Global, command: &Mount) -> Result<ExitCode, Failure> {
    // The name of the program that started it would be that of a link to it.
    let _ = rustix::thread::set_name(c"drupe-mount");
    if std::env::var_os(KEEPER).is_some() {
        return be_keeper(command);
    }
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
    // Until it is ready, it may ask for a passphrase, or read a key that was left to it.
    let inherited = drupe_host::Inherited::list()?;
    serve(options, command, || {
        inherited.close();
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

/// The keeper: it outlives the one that serves, whatever signals come, and leaves the
/// terminal and the directory to others.
fn be_keeper(command: &Mount) -> Result<ExitCode, Failure> {
    let _ = rustix::thread::set_name(c"drupe-keeper");
    handled_signals()
        .thread_block()
        .context("cannot block signals")?;
    rustix::process::setsid().context("cannot leave the session")?;
    // What the caller has open is not kept open here.
    drupe_host::Inherited::list()?.close();
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.context("no socket")?;
    let volume = Volume::of_whole(&command.image)?;
    let dir = command.dir.canonicalize()?;
    let options = host_options(command, &volume);
    std::env::set_current_dir("/").context("cannot leave the directory")?;
    // What it says of a mount in the foreground would come too late for its terminal.
    keep(socket, &dir, &options, &mut syslog::error).context("cannot keep the mount")?;
    Ok(ExitCode::Success)
}

/// Starts the keeper.
fn start_keeper() -> anyhow::Result<Keeper> {
    let (keeper, socket) = Keeper::pair().context("cannot make a socket")?;
    let mut arguments = std::env::args_os();
    // Nobody waits for it: it ends after this process.
    let _child = Command::new("/proc/self/exe")
        .arg0(arguments.next().unwrap_or_else(|| "drupe".into()))
        .args(arguments)
        .env(KEEPER, "1")
        .env_remove("DRUPE_PASSPHRASE")
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a process that mounts")?;
    Ok(keeper)
}

/// The signals on which a mount ends.
fn handled_signals() -> SigSet {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals
}

/// Mounts, calls `ready`, and serves until the end.
fn serve(
    options: &Global,
    command: &Mount,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> Result<ExitCode, Failure> {
    if options.root {
        let message = "--root has several filesystems, of which mount serves one";
        return Err(Failure::usage(message));
    }
    Server::check(&command.dir)?;
    let volume = Volume::of_whole(&command.image)?;
    let options = with_read_only(options, &volume);
    let inner = inner_options(&options);
    let mut told = host_options(command, &volume);
    let keeper = start_keeper()?;
    let prepared = sandbox::confine(&options, &Parsed::Mount(command.clone()))?;
    let writable = (!options.read_only).then_some(&*volume.image);
    let mut session = Session::new(&options, None)?;
    session.take_connected(prepared.disks);
    session.refuse(prepared.refused);
    if let Some(image) = writable {
        session.write_to(image)?;
    }
    let mount = session.mount(&volume)?;
    told.access_times = inner.access_times();
    told.read_only = options.read_only || mount.is_read_only()?;
    // From here on there is something to be unmounted. Until now, a signal ends the
    // process, whatever it waits for. The kernel's own threads take none.
    let signals = handled_signals();
    signals.thread_block().context("cannot block signals")?;
    let server = Server::kept(mount, &command.dir, keeper.clone(), &told)?;
    let sender = server.sender();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.wait().is_ok() && sender.send(Event::Stop).is_ok() {
                // It waits for something that does not come, such as a server's answer.
                let _ = signals.wait();
                std::process::exit(ExitCode::Interrupted as i32);
            }
        })
        .context("cannot start a thread")?;
    keeper.ready();
    // Whoever waited for us may have gone: then nobody wants this mount.
    let ready = ready();
    if ready.is_err() {
        // Nobody has the other end but this server.
        let _ = server.sender().send(Event::Stop);
    }
    let image = volume.image.display().to_string();
    let outcome = end(server, session, &image, &keeper);
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
        keeper.log(&ended.message);
    }
    keeper.tell(&ended);
    ready?;
    outcome
}

/// Serves until the end, and unmounts in the image.
fn end(
    server: Server,
    session: Session<'_>,
    image: &str,
    keeper: &Keeper,
) -> Result<ExitCode, Failure> {
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
            true => keeper.log(&message),
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

/// The options, with `--read-only` if the mount options say so.
fn with_read_only(options: &Global, volume: &Volume) -> Global {
    let mut options = options.clone();
    options.mount_options.extend(volume.options.clone());
    options.read_only |= inner_options(&options).is_read_only();
    options
}

/// How it is mounted on the host, as far as the command line says it.
fn host_options(command: &Mount, volume: &Volume) -> Options {
    let mut host = Options::default();
    let label = volume.label();
    host.source = match Path::new(&volume.image).canonicalize() {
        Ok(image) => label.replacen(
            &*volume.image.to_string_lossy(),
            &image.to_string_lossy(),
            1,
        ),
        Err(_) => label,
    };
    host.allow_other = command.allow_other;
    host.writeback = command.writeback;
    host
}
