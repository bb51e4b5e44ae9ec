//! `drupe mv`: renames files.

use drupe::Errno;

use super::place::{Place, Rules};
use crate::args::Mv;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output::Report;
use drupe_tree::Error;
use drupe_tree::paths::base_name;

pub(crate) fn run(context: &mut Context<'_>, command: &Mv) -> Result<ExitCode, Failure> {
    let rules = Rules {
        is_name: command.no_target_directory,
        stay: false,
    };
    let (sources, place) = Place::find(context, &command.paths, rules)?;
    let mut report = Report::default();
    for source in sources {
        let path = place.beside(context, source, "rename", "copy with cp -a, then rm -r")?;
        let path = path.path;
        if base_name(&path).is_none() {
            let text = format!("rename {}: it has no name of its own", place.label(&path));
            report.error(&text);
            continue;
        }
        let to = place.path_for(path.as_os_str())?;
        let there = place.mount.symlink_metadata(&to);
        match (there, place.mount.symlink_metadata(&path)) {
            (Ok(_), Ok(_)) if command.no_clobber => continue,
            // rename(2) does nothing then, and says nothing.
            (Ok(there), Ok(own)) if there.ino() == own.ino() && there.dev() == own.dev() => {
                let text = format!(
                    "rename {}: {} is the same file",
                    place.label(&path),
                    place.label(&to)
                );
                report.error(&text);
                continue;
            }
            _ => {}
        }
        let renamed = place.mount.rename(&path, &to).map_err(|error| {
            let cause = match error.errno() {
                Some(Errno::INVAL) => Some("it would be moved into itself"),
                Some(Errno::NOTEMPTY) => Some("there is a directory that is not empty"),
                _ => None,
            };
            match cause {
                Some(cause) => Error::new("rename", cause),
                None => Error::from(error),
            }
        });
        let label = format!("{} to {}", place.label(&path), place.label(&to));
        report.accept(label, renamed);
    }
    Ok(report.code())
}
