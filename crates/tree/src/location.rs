//! [`Location`]: a file of the host or of an image.

use std::path::PathBuf;

use drupe::Mount;

/// Where a file is.
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
    /// What it is on.
    pub mount: Mount,
    /// As errors name that: "disk.img@2".
    pub label: String,
    /// Its path, absolute.
    pub path: PathBuf,
}

impl ImageLocation {
    /// As errors name it: "disk.img@2:/etc/passwd".
    pub fn shown(&self) -> String {
        format!("{}:{}", self.label, self.path.display())
    }
}
