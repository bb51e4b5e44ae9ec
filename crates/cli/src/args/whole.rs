//! Options of the commands about a whole filesystem: subvolumes, label, UUID, scrub.

use std::ffi::OsString;

use clap::{Args as ClapArgs, ValueEnum};

/// What `drupe subvolume` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SubvolumeAction {
    /// Print all subvolumes of IMAGE[@PART]
    List,
    /// Make empty subvolumes, IMAGE[@PART]:/PATH
    Create,
    /// Remove subvolumes with all that is in them, IMAGE[@PART]:/PATH
    Delete,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Subvolume {
    /// What to do
    pub(crate) action: SubvolumeAction,

    /// IMAGE[@PART] for list, IMAGE[@PART]:/PATH for others
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Snapshot {
    /// Make a snapshot that cannot be written to
    #[arg(short)]
    pub(crate) read_only_snapshot: bool,

    /// Subvolume to take the snapshot of: IMAGE[@PART]:/PATH
    pub(crate) source: OsString,

    /// Name of the snapshot, or a directory to make it in, on the same filesystem
    pub(crate) dest: OsString,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Label {
    /// Filesystem: IMAGE[@PART]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,

    /// Label to set; an empty one removes it
    #[arg(value_name = "LABEL")]
    pub(crate) label: Option<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Uuid {
    /// Filesystem: IMAGE[@PART]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,

    /// UUID to set, or `random`
    #[arg(value_name = "UUID", value_parser = parse_uuid)]
    pub(crate) uuid: Option<NewUuid>,
}

/// A UUID to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewUuid {
    Random,
    Given(uuid::Uuid),
}

fn parse_uuid(text: &str) -> Result<NewUuid, String> {
    match text {
        "random" => Ok(NewUuid::Random),
        text => match text.parse() {
            Ok(uuid) => Ok(NewUuid::Given(uuid)),
            Err(_) => {
                Err("give a UUID like 01234567-89ab-cdef-0123-456789abcdef, or random".into())
            }
        },
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Scrub {
    /// Repair from intact copies what is damaged
    #[arg(long)]
    pub(crate) repair: bool,

    /// Filesystem to read: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}
