//! `drupe chmod` and `drupe chown`.

use crate::args::{Chmod, Chown};
use crate::context::Context;
use crate::exit::{ExitCode, Failure, Stop};
use crate::output::Report;
use drupe_tree::ModeChange;
use drupe_tree::Umask;
use drupe_tree::{Node, Visitor, Walk};

pub(crate) fn chmod(context: &mut Context<'_>, command: &Chmod) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut visitor = Modes {
        change: &command.mode,
        umask: Umask::get(),
        recursive: command.recursive,
    };
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let top = path.on(&mount);
        report.walk(Walk::new(&top), &context.signals, &mut visitor)?;
    }
    Ok(report.code())
}

struct Modes<'a> {
    change: &'a ModeChange,
    umask: u32,
    recursive: bool,
}

impl Visitor for Modes<'_> {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        let metadata = node.metadata;
        if !metadata.is_symlink() {
            let mode = self
                .change
                .apply(metadata.mode(), metadata.is_dir(), self.umask);
            node.chmod(mode)?;
        }
        Ok(self.recursive)
    }
}

pub(crate) fn chown(context: &mut Context<'_>, command: &Chown) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    // chown(1): with -R, a link is not followed unless asked to (-H, -L).
    let stay = command.no_dereference || command.recursive;
    for (path, mount) in context.targets(&command.paths, &mut report)? {
        let (uid, gid) = command.owners.resolve(&mount)?;
        if !stay {
            let done = mount.chown(&path.path, uid, gid);
            report.accept(path.label(), done.map_err(Into::into));
            continue;
        }
        let mut visitor = Owner {
            uid,
            gid,
            recursive: command.recursive,
        };
        let top = path.on(&mount);
        report.walk(Walk::new(&top).nofollow(), &context.signals, &mut visitor)?;
    }
    Ok(report.code())
}

struct Owner {
    uid: Option<u32>,
    gid: Option<u32>,
    recursive: bool,
}

impl Visitor for Owner {
    type Error = Failure;

    fn visit(&mut self, node: &Node<'_>) -> Result<bool, Stop> {
        node.lchown(self.uid, self.gid)?;
        Ok(self.recursive)
    }
}
