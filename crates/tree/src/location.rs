//! [`Location`]: a file of the host or of an image.

use std::path::PathBuf;

use drupe::Mount;

/// A file of the host or of an image.
#[derive(Debug, Clone)]
pub enum Location {
    /// On the host.
    Host(PathBuf),
    /// In an image.
    Image(ImageLocation),
}

/// A file in an image.
#[derive(Debug, Clone)]
pub struct ImageLocation {
    /// The mount that it is on.
    pub mount: Mount,
    /// The mount's name in errors: "disk.img@2".
    pub label: String,
    /// Its absolute path in the mount.
    pub path: PathBuf,
}

impl ImageLocation {
    /// Its name in errors: "disk.img@2:/etc/passwd".
    pub fn shown(&self) -> String {
        format!("{}:{}", self.label, self.path.display())
    }
}
