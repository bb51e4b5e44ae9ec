//! Devices and FIFOs of the host, which are written into and not replaced.

use std::ffi::OsStr;

use super::Writer;
use crate::copy::event::Kind;
use crate::copy::traits::{TargetDir, World};
use crate::error::Result;
use crate::interrupt::READER;

/// A device or FIFO of the host in the place of a new file.
pub(super) enum Node<F> {
    /// There is none of that name, or the copy was interrupted.
    None,
    /// It is to stay as it is.
    Kept,
    Open(F),
}

impl<D: TargetDir> Writer<'_, '_, D> {
    /// Opens a device or FIFO of the host for writing.
    pub(super) fn open_node(&self, name: &OsStr) -> Result<Node<D::File>> {
        let dir = self.dir();
        if D::WORLD != World::Host || self.is_new() {
            return Ok(Node::None);
        }
        match dir.stat_of(name) {
            Ok(found) if found.kind() == Kind::Node => {
                if found.mode & libc::S_IFMT == libc::S_IFBLK {
                    self.job.replacing.refuse_disk_image(dir, name)?;
                }
            }
            _ => return Ok(Node::None),
        }
        let shown = self.shown.join(&self.at).display().to_string();
        if !self.job.replacing.is_wanted(&shown)? {
            return Ok(Node::Kept);
        }
        loop {
            match dir.open_node(name)? {
                Some(file) => return Ok(Node::Open(file)),
                None if self.job.interrupt.requested() => return Ok(Node::None),
                None => std::thread::sleep(READER),
            }
        }
    }
}
