//! [`Error`]: why an image cannot be opened.

use std::io;

use drupe_host::disk::LockHolder;

use crate::Format;

/// The result of opening an image.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image cannot be opened, on one line. The message does not name the image, since
/// the caller does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the host.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another process has locked the file: for writing, or for reading while this is to
    /// write.
    #[error("is in use by {}", holder(.0.as_ref()))]
    InUse(Option<LockHolder>),
    /// The image names another file, which the options do not allow to open.
    #[error("its {role} {name:?} is another file, which is opened only if that is allowed")]
    NotAllowed {
        /// "backing file" and the like.
        role: &'static str,
        /// As the image has it.
        name: String,
    },
    /// Another file that the image names can't be opened.
    #[error("its {role} {name:?}: {error}")]
    Named {
        /// "backing file" and the like.
        role: &'static str,
        /// As the image has it.
        name: String,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// The format cannot be written.
    #[error(
        "{what} is a read-only format; convert the image with qemu-img, or write to a copy in memory"
    )]
    ReadOnly {
        /// The format.
        what: String,
    },
    /// The image uses a feature that is not supported.
    #[error("{format}: {what} is not supported")]
    Unsupported {
        /// What kind of image it is.
        format: Format,
        /// The feature.
        what: String,
    },
    /// The file is a container of an unsupported format, with its name.
    #[error(
        "is a {0} image, which is not supported: convert it, with qemu-img convert -O qcow2 IMAGE NEW"
    )]
    Foreign(&'static str),
    /// The image is inconsistent or incomplete.
    #[error("{format}: {what}; is the image damaged?")]
    Damaged {
        /// What kind of image it is.
        format: Format,
        /// What is wrong.
        what: String,
    },
    /// The requested block size is not possible for this disk.
    #[error("its blocks have {0} bytes, and can only be made larger, up to 4096")]
    BlockSize(u32),
    /// The address of a network disk is invalid.
    #[error("{0}")]
    Address(String),
    /// A server does not answer, or violates the protocol.
    #[error("{0}")]
    Server(String),
}

impl Error {
    pub(crate) fn damaged(format: Format, what: impl Into<String>) -> Error {
        let what = what.into();
        Error::Damaged { format, what }
    }

    pub(crate) fn unsupported(format: Format, what: impl Into<String>) -> Error {
        let what = what.into();
        Error::Unsupported { format, what }
    }
}

fn holder(holder: Option<&LockHolder>) -> String {
    match holder {
        Some(holder) if holder.pid == std::process::id() => {
            "this process, which has opened it already".into()
        }
        Some(LockHolder {
            pid,
            name: Some(name),
        }) => format!("process {pid} ({name})"),
        Some(LockHolder { pid, name: None }) => format!("process {pid}"),
        None => "another process".into(),
    }
}
