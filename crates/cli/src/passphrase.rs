//! [`Passphrase`]: gets the passphrase of an encrypted volume from a file, the
//! environment or the terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::Context;
use console::Term;
use drupe::Volume;
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::Failure;

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
                let _ = write!(io::stderr(), "{again}Passphrase of {which}: ");
                let line = Term::stderr().read_secure_line().ok()?;
                Some(Zeroizing::new(line.into_bytes()))
            }
            Passphrase::Terminal | Passphrase::Nowhere => None,
        }
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
