//! `drupe rm`: removes files.

use drupe::Errno;

use crate::args::Rm;
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::Report;
use drupe_tree::Error;
use drupe_tree::paths::{base_name, ends_with_slash};
use drupe_tree::{Node, Visitor, Walk};

pub(crate) fn run(context: &mut Context<'_>, command: &Rm) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    for (mut path, mount) in context.targets(&command.paths, &mut report)? {
        let label = path.label();
        let must_be_dir = ends_with_slash(&path.path);
        if base_name(&path.path).is_none() {
            let text =
                format!("remove {label}: name what is in it; . and .. and / are not removed");
            report.error(&text);
            continue;
        }
        // With a slash behind it, a link would stand for what it leads to.
        path.path = path.path.components().collect();
        match mount.symlink_metadata(&path.path) {
            Err(error)
                if command.force && matches!(error.errno(), Some(Errno::NOENT | Errno::NOTDIR)) => {
            }
            Ok(found) if found.is_dir() && command.recursive => {
                let top = path.on(&mount);
                report.walk(Walk::new(&top).nofollow(), &context.signals, &mut Remover)?;
            }
            Ok(found) if found.is_dir() => {
                let removed = match command.dir {
                    true => mount.remove_dir(&path.path).map_err(Error::from),
                    false => Err(Error::new(
                        "remove",
                        "it is a directory, and -r was not given",
                    )),
                };
                report.accept(label, removed);
            }
            Ok(_) if must_be_dir => {
                let failed = Error::new("remove", "it is not a directory");
                report.accept(label, Err::<(), _>(failed));
            }
            _ => {
                let removed = mount.remove_file(&path.path).map_err(Error::from);
                report.accept(label, removed);
            }
        }
    }
    Ok(report.code())
}

struct Remover;

impl Visitor for Remover {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        if !node.metadata.is_dir() {
            node.remove()?;
        }
        Ok(true)
    }

    fn leave(&mut self, node: &Node<'_>) -> Result<(), Stop> {
        Ok(node.remove()?)
    }
}
