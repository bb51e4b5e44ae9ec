//! Options of `shell` and `script`, and the lines they understand.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::Command;

#[derive(Debug, ClapArgs)]
pub(crate) struct Shell {
    /// The image to begin in: IMAGE[@PARTITION][:/DIRECTORY]
    pub(crate) image: OsString,

    /// Not on a terminal: go on after an error
    #[arg(short, long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Script {
    /// Go on after an error; the exit code is that of the first one
    #[arg(short, long)]
    pub(crate) keep_going: bool,

    /// The image that paths without one are of: IMAGE[@PARTITION][:/DIRECTORY]
    #[arg(short, long)]
    pub(crate) image: Option<OsString>,

    /// Commands as in the shell, one a line, instead of standard input
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Write a page for each command into this directory, instead of the first
    /// page to standard output
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A line of a shell or script. Paths are of the image, from the current
/// directory; host:PATH is a path of the host, IMAGE:/PATH one of another image.
/// !COMMAND runs a command of the host.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true)]
pub(crate) struct Line {
    /// Print an array of JSON objects instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print a JSON object on each line instead of text
    #[arg(long, global = true, overrides_with = "json")]
    pub(crate) json_lines: bool,

    /// No progress bar and no warnings; errors are still shown
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Change the current directory: PATH, or IMAGE[@PARTITION]:/PATH for another
    /// image
    Cd {
        /// The directory; the root if none is given
        path: Option<OsString>,
    },
    /// Show the current directory
    Pwd,
    /// Change the current directory of the host
    Lcd {
        /// The directory; the home directory if none is given
        path: Option<PathBuf>,
    },
    /// Show the current directory of the host
    Lpwd,
    /// Copy files of the host into the image: FILE... [PATH]
    Put(Transfer),
    /// Copy files of the image to the host: PATH... [FILE]
    Get(Transfer),
    /// Leave
    #[command(alias = "quit", alias = "bye")]
    Exit,
    #[command(flatten)]
    Tool(Command),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Transfer {
    /// Copy directories with all that is in them
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Like -r, and keep owners, permissions, times, links, attributes
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// What to copy; the last of several is where to
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}
