//! Opens the images of a session, unless the host uses them.

use std::path::{Path, PathBuf};

use drupe::{Disk, Format};

use super::{explain, failure, uri};
use crate::args::Global;
use crate::exit::Failure;
use crate::interrupt::Signals;

/// Refuses to write to an image that the host has attached to a loop device, or of which
/// it has another file attached: a confined process could not tell any more.
pub(crate) fn refuse_attached(global: &Global, image: &Path) -> Result<(), Failure> {
    let others = match global.image_format {
        Some(Format::Raw) => Vec::new(),
        _ => drupe::image_files(image, global.backing),
    };
    let files = std::iter::once(image).chain(others.iter().map(PathBuf::as_path));
    for file in files {
        let Some(device) = drupe::attached_loop(file) else {
            continue;
        };
        let which = match file == image {
            true => String::new(),
            false => format!("its file {} ", file.display()),
        };
        let what = format!("{which}is attached to {device}, which the host may have mounted");
        return Err(failure(image, what).with_hint(format!("detach it with losetup -d {device}")));
    }
    Ok(())
}

/// Opens an image as the options say. A server that does not answer is not waited for
/// when a signal has come.
pub(crate) fn open(
    global: &Global,
    image: &Path,
    writable: bool,
    signals: &Signals,
) -> Result<Disk, Failure> {
    let mut options = Disk::options()
        .given_up(signals.interrupt().flag())
        .backing(global.backing)
        .read_only(!writable)
        .copy_on_write(!writable && global.replay);
    if let Some(format) = global.image_format {
        options = options.format(format);
    }
    if let Some(bytes) = global.block_size {
        options = options.block_size(bytes);
    }
    if writable && uri(image).is_none() {
        refuse_attached(global, image)?;
    }
    let opened = match uri(image) {
        Some(uri) => options.open_uri(uri),
        None => options.open(image),
    };
    opened.map_err(|error| explain(image, &error))
}
