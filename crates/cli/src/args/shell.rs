//! Options of `shell` and `script`, and the lines they understand.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::Command;

pub(crate) const NOTES: &str = "\
Paths are of the image, from the current directory, which begins at the image that
is named. host:PATH is a path of the host, IMAGE:/PATH one of another image. In a
script without --image, paths are as on the command line until the first cd
IMAGE:/PATH: IMAGE[@PART]:/PATH, or of the host, without \"host:\" in front. There
are no wildcards: `find` does that.

Besides drupe's commands: cd, pwd, lcd and lpwd (of the host), put and get (cp into
the image, and out), help, exit; !COMMAND runs a command of the host.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Shell {
    /// Image to begin in: IMAGE[@PART][:/DIRECTORY]
    pub(crate) image: OsString,

    /// Continue after an error, if standard input is not a terminal
    #[arg(short, long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Script {
    /// Continue after an error; the exit code is the first error's
    #[arg(short, long)]
    pub(crate) keep_going: bool,

    /// Resolve paths without an image in IMAGE[@PART][:/DIRECTORY]
    #[arg(short, long)]
    pub(crate) image: Option<OsString>,

    /// File of commands, one on each line, instead of standard input
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// Shell to print completions for
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Write a page for each command into DIR
    ///
    /// Without it, one page is printed: that of COMMAND, or the first one.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(crate) out: Option<PathBuf>,

    /// Command to print the page of
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
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
