//! `--sandbox`: confines the process before it looks into an image.
//!
//! Whoever made the image may know a fault of the kernel that reads it, and run code in
//! this process. So it keeps only what the command needs, by its parsed arguments
//! ([`uses`]): these files (Landlock, [`files`]), these system calls (seccomp,
//! [`calls`]), and of root's rights these ([`capabilities`]). No program is started, no
//! socket made, no other process touched.

mod calls;
mod capabilities;
mod files;
mod prepared;
mod uses;

use anyhow::{Context, anyhow};

pub(crate) use self::prepared::Prepared;
use self::uses::Uses;
use crate::args::{Command, Global, Sandbox};
use crate::exit::{ExitCode, Failure};
use crate::output;

/// Opens what a command needs besides images, and gives up all that it does not need.
/// There must be no other threads yet.
pub(crate) fn confine(options: &Global, command: &Command) -> Result<Prepared, Failure> {
    let when = options.sandbox;
    let Some(uses) = Uses::of(options, command) else {
        return match when {
            Sandbox::Always => {
                let message = "this command can't be confined: it may name any file, or \
                               start programs";
                Err(Failure::usage(message))
            }
            Sandbox::Auto | Sandbox::Never => Ok(Prepared::default()),
        };
    };
    let prepared = Prepared::new(options, command, &uses)?;
    if when == Sandbox::Never {
        return Ok(prepared);
    }
    let confined = capabilities::confine(&uses)
        .and_then(|()| files::confine(&uses, options.backing).context("Landlock"))
        .and_then(|enforced| match enforced || when != Sandbox::Always {
            true => Ok(()),
            false => Err(anyhow!("Landlock: the host's kernel does not have it")),
        })
        .and_then(|()| {
            let network = !uses.network.is_empty();
            calls::confine(uses.profile, network).context("seccomp")
        });
    match confined {
        Ok(()) => {}
        Err(error) if when == Sandbox::Always => {
            let error = error.context("the sandbox can't be set up");
            return Err(Failure::new(ExitCode::Failed, error));
        }
        Err(error) => output::warning(
            options,
            &format!("the sandbox can't be set up: {error:#}; --sandbox=never does without"),
        ),
    }
    Ok(prepared)
}

#[cfg(test)]
mod tests;
