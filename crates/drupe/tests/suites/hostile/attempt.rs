//! [`attempt`]: runs a [`super::victim`] in a separate process, and notices a death or
//! hang.

use std::fmt;
use std::io::{Read, Result};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::victim;

/// After this, it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of it.
pub(super) enum Fate {
    /// The process ended as it should; what it said.
    Survived(String),
    /// It died; what it said before.
    Died(ExitStatus, String),
    Hung,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Survived(said) => f.write_str(said.trim_end()),
            Fate::Died(status, said) => write!(f, "THE PROCESS DIED ({status}): {said}"),
            Fate::Hung => f.write_str("HUNG"),
        }
    }
}

/// Runs this test program again, as the victim of an image.
pub(super) fn attempt(image: &Path) -> Result<Fate> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", victim::TEST, "--nocapture"])
        .env(victim::IMAGE, image)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut said = String::new();
        let errors = thread::spawn(move || read_all(stderr));
        let out = read_all(stdout);
        for line in out.lines().filter_map(|line| line.split_once(victim::SAYS)) {
            said += line.1;
            said.push('\n');
        }
        if said.is_empty() {
            said = out + &errors.join().unwrap_or_default();
        }
        // Nobody listens any more when it hung.
        let _ = sender.send(said);
    });
    // Its output ends with the process.
    let said = receiver.recv_timeout(PATIENCE);
    if said.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let _ = reader.join();
    Ok(match said {
        Err(_) => Fate::Hung,
        Ok(said) if status.success() => Fate::Survived(said),
        Ok(said) => Fate::Died(status, said),
    })
}

fn read_all(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What could be read is all there is to tell.
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
