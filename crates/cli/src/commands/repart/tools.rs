//! Tools of the host: where they are, and how they are run so that a signal ends them and
//! what they say is told.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::fs::{MemfdFlags, memfd_create};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::exit::Failure;
use crate::programs::find;

/// How often it is looked whether a tool has ended, or a signal has come.
const POLL: Duration = Duration::from_millis(5);
/// Bytes of a tool's output that are read.
const MOST_OUTPUT: u64 = 1 << 16;
/// The file that a tool is given as its standard input, for its command line.
pub(crate) const STDIN: &str = "/proc/self/fd/0";

/// A tool, and the package of Debian's that has it.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) arguments: Vec<OsString>,
}

/// How a tool is run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// The setting that needs the tool, for messages: `Format=ext4`.
    pub(crate) setting: String,
    /// The file that it works on, which is its standard input: nothing else is inherited,
    /// but for what the caller has left open on purpose.
    pub(crate) file: &'a File,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970.
    pub(crate) epoch: Option<u64>,
    /// Have the tool write the zeroes that it needs. Otherwise it may punch holes instead,
    /// which do for a file, whose holes are zeroes, and not for an encrypted volume.
    pub(crate) writes_zeroes: bool,
}

/// Runs a tool; what it has printed on its standard output. `check` ends it early.
pub(crate) fn run(
    tool: &Tool,
    run: &Run<'_>,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let program = find(tool.name).ok_or_else(|| {
        let missing = anyhow!(
            "{} needs {}, which is not installed",
            run.setting,
            tool.name
        );
        Failure::from(missing).with_hint(format!("Debian has it in the package {}", tool.package))
    })?;
    let memory = |name| {
        let file = memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        file.context("cannot make a file in memory")
    };
    let (printed, said) = (memory("drupe-printed")?, memory("drupe-said")?);
    let shared = |file: &File| file.try_clone().context("cannot duplicate a descriptor");
    let mut command = Command::new(program);
    command
        .args(&tool.arguments)
        .stdin(Stdio::from(shared(run.file)?))
        .stdout(Stdio::from(shared(&printed)?))
        .stderr(Stdio::from(shared(&said)?))
        .env("LC_ALL", "C");
    if let Some(epoch) = run.epoch {
        command
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .env("E2FSPROGS_FAKE_TIME", epoch.to_string());
    }
    let named = || format!("cannot run {}", tool.name);
    let mut child = match run.writes_zeroes {
        true => spawn_without_fallocate(&mut command),
        false => command.spawn().map_err(anyhow::Error::from),
    }
    .with_context(named)?;
    let status = loop {
        if let Some(status) = child.try_wait().with_context(named)? {
            break status;
        }
        if let Err(stop) = check() {
            // It may have ended by the same signal.
            let _ = child.kill();
            child.wait().with_context(named)?;
            return Err(stop);
        }
        std::thread::sleep(POLL);
    };
    let text = |mut file: File| {
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(MOST_OUTPUT).read_to_end(&mut text)?;
        std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let (printed, said) = (
        text(printed).with_context(named)?,
        text(said).with_context(named)?,
    );
    if !status.success() {
        let lines = said.lines().chain(printed.lines()).map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("it said nothing").escape_debug();
        return Err(anyhow!("{} failed: {first}", tool.name).into());
    }
    Ok(printed)
}

/// Starts a program for which fallocate(2) fails with EOPNOTSUPP, as on filesystems that
/// do not have it: it writes zeroes then.
fn spawn_without_fallocate(command: &mut Command) -> Result<Child, anyhow::Error> {
    let rules = [(libc::SYS_fallocate, Vec::new())].into_iter().collect();
    let refuse = SeccompAction::Errno(libc::EOPNOTSUPP as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)?;
    let filter: BpfProgram = filter.try_into()?;
    // A thread of its own: it cannot get rid of the filter, and its child inherits it.
    let spawn = || {
        seccompiler::apply_filter(&filter)?;
        Ok(command.spawn()?)
    };
    std::thread::scope(|scope| scope.spawn(spawn).join().expect("it does not panic"))
}
