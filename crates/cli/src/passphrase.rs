//! [`Passphrase`]: gets the passphrase of an encrypted volume from a file, the
//! environment or the terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::Context;
use drupe::Volume;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::{ExitCode, Failure};
use crate::interrupt::{self, Caught};
use crate::output;

/// The variable that may hold one.
const VARIABLE: &str = "DRUPE_PASSPHRASE";
/// Bytes of a key file that are read, as with cryptsetup.
const MAX_KEY_FILE: u64 = 8 << 20;
/// How often a terminal is asked.
const ATTEMPTS: usize = 3;

/// Where passphrases come from.
pub(crate) enum Passphrase {
    /// The same for all volumes.
    Given(Zeroizing<Vec<u8>>),
    Terminal,
    /// There is none.
    Nowhere,
}

impl Passphrase {
    /// What the options and the environment say; `ask`: a terminal may be asked.
    pub(crate) fn new(options: &Global, ask: bool) -> Result<Passphrase, Failure> {
        if let Some(path) = &options.key_file {
            return Ok(Passphrase::Given(read_key(path)?));
        }
        if let Some(text) = std::env::var_os(VARIABLE) {
            use std::os::unix::ffi::OsStringExt;
            return Ok(Passphrase::Given(Zeroizing::new(text.into_vec())));
        }
        match ask && io::stdin().is_terminal() && io::stderr().is_terminal() {
            true => Ok(Passphrase::Terminal),
            false => Ok(Passphrase::Nowhere),
        }
    }

    /// The passphrase of a volume of an image, after `attempt` wrong ones.
    pub(crate) fn get(
        &self,
        image: &Path,
        volume: &Volume,
        attempt: usize,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Passphrase::Given(passphrase) => (attempt == 0).then(|| passphrase.clone()),
            Passphrase::Terminal if attempt < ATTEMPTS => {
                let again = if attempt > 0 { "Wrong. " } else { "" };
                let which = format!("{}@{}", image.display(), volume.id());
                match ask(&format!("{again}Passphrase of {which}: ")) {
                    Ok(Some(line)) => Some(line),
                    // The command ends when it looks at its signals.
                    Ok(None) if interrupt::is_installed() => None,
                    Ok(None) => {
                        output::failure(&Failure::interrupted());
                        std::process::exit(ExitCode::Interrupted as i32)
                    }
                    Err(_) => None,
                }
            }
            Passphrase::Terminal | Passphrase::Nowhere => None,
        }
    }
}

/// Asks for a line at the terminal, which does not show it. `None`: a signal has come. The
/// terminal is as before in any case.
fn ask(question: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let caught = Caught::new()?;
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let _hidden = Hidden::new(&terminal)?;
    (&terminal).write_all(question.as_bytes())?;
    let mut line = Zeroizing::new(Vec::new());
    loop {
        let mut files = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::new(caught.come(), PollFlags::IN),
        ];
        match poll(&mut files, None) {
            Err(Errno::INTR) => continue,
            done => done?,
        };
        if !files[1].revents().is_empty() {
            return Ok(None);
        }
        let mut byte = [0];
        match (&terminal).read(&mut byte)? {
            0 if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(Some(line)),
            _ if byte == *b"\n" => return Ok(Some(line)),
            _ => line.push(byte[0]),
        }
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Hidden<'_> {
    fn new(terminal: &File) -> io::Result<Hidden<'_>> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Hidden { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        let _ = writeln!(self.terminal);
    }
}

/// All of a file, a newline at its end included; of standard input ("-") the
/// first line, without. So does cryptsetup(8).
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut key = Zeroizing::new(Vec::new());
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(MAX_KEY_FILE).read_to_end(&mut key),
        false => drupe_tree::open_input(path)
            .and_then(|file| file.take(MAX_KEY_FILE).read_to_end(&mut key)),
    };
    read.with_context(|| format!("key file {}", path.display()))?;
    if path == Path::new("-")
        && let Some(end) = key.iter().position(|&byte| byte == b'\n')
    {
        key.truncate(end);
    }
    Ok(key)
}
