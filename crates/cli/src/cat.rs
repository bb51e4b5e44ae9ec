//! `drupe cat`: prints files.

use std::io::{self, Write};

use crate::args::{Cat, Global};
use crate::exit::{ExitCode, Failure};
use crate::location::ImagePath;
use crate::session::Session;

/// Bytes read and written at once.
const CHUNK: usize = 1 << 20;

pub(crate) fn run(options: &Global, command: &Cat) -> Result<ExitCode, Failure> {
    let mut session = Session::new(options, None)?;
    let mut code = ExitCode::Success;
    for argument in &command.paths {
        let location = ImagePath::parse(argument);
        let mount = session.mount(&location.volume)?;
        let print = || -> Result<(), Failure> {
            let file = mount.open(&location.path)?;
            let mut chunk = vec![0; CHUNK];
            let mut offset = 0;
            let mut stdout = io::stdout().lock();
            loop {
                match file.read_at(&mut chunk, offset)? {
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
            Err(failure) if failure.error.is::<io::Error>() => return Err(failure),
            Err(failure) => {
                eprintln!("drupe: {}: {:#}", location.volume.label(), failure.error);
                code = ExitCode::Failed;
            }
        }
    }
    session.close()?;
    Ok(code)
}
