//! `drupe fstrim`: makes free space holes of the image.

use std::io::Write;

use crate::args::Fstrim;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output::{Report, Stdout};
use drupe_tree::Error;

pub(crate) fn run(context: &mut Context<'_>, command: &Fstrim) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    for image in &command.images {
        let path = crate::location::ImagePath::parse(image);
        let path = match context.here.is_some() {
            true => context.path(image)?,
            false => path,
        };
        let mounted = context.mount_for_writing(&path.volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let trimmed = mount.trim().map_err(Error::from);
        let label = path.volume.label();
        if let (Some(bytes), true) = (report.accept(&label, trimmed), command.verbose) {
            writeln!(Stdout::lines(), "{label}: {bytes} bytes trimmed")?;
        }
    }
    Ok(report.code())
}
