//! `drupe cat`: prints files.

use std::io::{self, Write};

use anyhow::anyhow;

use crate::args::Cat;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output::{Report, Stdout};

/// Bytes read and written at once.
const CHUNK: usize = 1 << 20;

pub(crate) fn run(context: &mut Context<'_>, command: &Cat) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    for argument in &command.paths {
        let location = context.path(argument)?;
        let mounted = context.session.mount(&location.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let print = || -> Result<(), Failure> {
            let file = mount.open(&location.path)?;
            let mut chunk = vec![0; CHUNK];
            let mut offset = 0;
            let mut stdout = Stdout::lines();
            loop {
                context.check()?;
                let read = file.read_at(&mut chunk, offset);
                match read.map_err(|error| anyhow!("{}: {error}", location.path.display()))? {
                    0 => return Ok(()),
                    len => {
                        stdout.write_all(&chunk[..len])?;
                        offset += len as u64;
                    }
                }
            }
        };
        match print() {
            Ok(()) => {}
            // Ours, not the file's: it would go on for every other one.
            Err(failure)
                if failure.error.is::<io::Error>() || failure.code == ExitCode::Interrupted =>
            {
                return Err(failure);
            }
            Err(failure) => {
                report.error(&format!("{}: {:#}", location.volume.label(), failure.error));
            }
        }
    }
    Ok(report.code())
}
