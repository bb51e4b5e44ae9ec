//! Options of the commands that list or change files of an image.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{ArgAction, Args as ClapArgs};

use super::size;
use crate::dates;
use drupe_tree::ModeChange;
use drupe_tree::Owners;
use drupe_tree::Time;

#[derive(Debug, ClapArgs)]
pub(crate) struct Mkdir {
    /// Make parent directories as needed; an existing directory is no error
    #[arg(short, long)]
    pub(crate) parents: bool,

    /// Set permissions, as chmod takes them
    ///
    /// Defaults to rwxrwxrwx less the umask.
    #[arg(short, long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// Directory to make: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rmdir {
    /// Remove parent directories too, as long as they are empty
    #[arg(short, long)]
    pub(crate) parents: bool,

    /// Empty directory to remove: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rm {
    /// Remove directories and their contents
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Ignore files that do not exist
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Remove empty directories
    #[arg(short, long)]
    pub(crate) dir: bool,

    /// File to remove: IMAGE[@PART]:/PATH
    #[arg(value_name = "PATH", required_unless_present = "force")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Mv {
    /// Replace existing files, which is the default
    #[arg(short, long)]
    force: bool,

    /// Do not replace existing files
    #[arg(short, long)]
    pub(crate) no_clobber: bool,

    /// Treat the last argument as the new name, even if it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,

    /// Files to rename, then the new name or a directory of the same filesystem
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ln {
    /// Make symbolic links, which store TARGET as it is
    #[arg(short, long)]
    pub(crate) symbolic: bool,

    /// Replace existing files
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Treat a new name that is a symbolic link to a directory as that link
    #[arg(short, long)]
    pub(crate) no_dereference: bool,

    /// Treat the last argument as the new name, even if it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,

    /// Targets, then the new name or a directory of the same filesystem
    ///
    /// With -s, targets are texts; otherwise they are existing files.
    #[arg(required = true, num_args = 2.., value_names = ["TARGET", "LINK"])]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Chmod {
    /// Change directories recursively; symbolic links in them are left alone
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Octal digits, or clauses like u=rwX,go-w
    #[arg(allow_hyphen_values = true, value_parser = ModeChange::parse)]
    pub(crate) mode: ModeChange,

    /// File to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Chown {
    /// Change directories recursively, without following symbolic links
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Change symbolic links themselves, not their targets
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// USER, USER:GROUP, USER: (with the user's login group) or :GROUP
    ///
    /// Names are those of the image's /etc/passwd and /etc/group. +NUMBER is never a
    /// name.
    #[arg(value_parser = Owners::parse)]
    pub(crate) owners: Owners,

    /// File to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Touch {
    /// Change only the access time
    #[arg(short = 'a')]
    pub(crate) accessed: bool,

    /// Change only the modification time
    #[arg(short = 'm')]
    pub(crate) modified: bool,

    /// Do not create files
    #[arg(short = 'c', long)]
    pub(crate) no_create: bool,

    /// Change symbolic links themselves, not their targets
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Use DATE instead of the current time
    ///
    /// Like 2001-02-03 04:05:06, optionally with Z or +01:00, or @SECONDS since 1970.
    #[arg(short, long, value_parser = dates::parse)]
    pub(crate) date: Option<Time>,

    /// Use STAMP instead of the current time: [[CC]YY]MMDDhhmm[.ss]
    #[arg(short = 't', value_name = "STAMP", value_parser = dates::parse_stamp, conflicts_with = "date")]
    pub(crate) stamp: Option<Time>,

    /// Use the times of the file PATH of an image
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["date", "stamp"])]
    pub(crate) reference: Option<OsString>,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// File to change or create: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Truncate {
    /// Set the size to SIZE, in bytes or with K, M, G or T
    ///
    /// With a prefix, SIZE changes the old size: + and - add and subtract, < and >
    /// limit it from above and below, / and % round it down and up to a multiple.
    #[arg(short, long, allow_hyphen_values = true, value_parser = size::Resize::parse)]
    pub(crate) size: size::Resize,

    /// Do not create files
    #[arg(short = 'c', long)]
    pub(crate) no_create: bool,

    /// File to change or create: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Write {
    /// Append to the file instead of replacing it
    #[arg(short, long)]
    pub(crate) append: bool,

    /// Set permissions, as chmod takes them
    #[arg(short, long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// Set the owner and group, as chown takes them
    #[arg(long, value_name = "USER:GROUP", visible_alias = "owner", value_parser = Owners::parse)]
    pub(crate) chown: Option<Owners>,

    /// File that standard input is written to: IMAGE[@PART]:/PATH
    pub(crate) path: OsString,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Fstrim {
    /// Print how many bytes were discarded
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Filesystem to trim: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckLog {
    /// Do not read the contents of files
    #[arg(long)]
    pub(crate) metadata_only: bool,

    /// Filesystem to read: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tree {
    /// Show names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Show directories only
    #[arg(short, long)]
    pub(crate) directories: bool,

    /// Descend at most N levels
    #[arg(short = 'L', long, value_name = "N")]
    pub(crate) level: Option<usize>,

    /// Directory to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Stat {
    /// Print FORMAT for each file, and a newline
    ///
    /// %n name, %N name with link target, %s size, %b blocks of %B bytes, %o best
    /// transfer size, %a mode in octal, %A as in ls, %f raw in hex, %F type, %u %U
    /// owner, %g %G group, %i inode, %h links, %t %T device numbers in hex, %x %y %z %w
    /// access, modification, change and birth time, %X %Y %Z %W in seconds, %C SELinux
    /// context, %m mount point.
    #[arg(short = 'c', long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// Like --format, but interpret escapes like \\n, and print no newline
    #[arg(long, value_name = "FORMAT", conflicts_with = "format")]
    pub(crate) printf: Option<String>,

    /// Follow symbolic links
    #[arg(short = 'L', long)]
    pub(crate) dereference: bool,

    /// File to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Df {
    /// Show sizes like 1.5K and 12M instead of blocks of 1024 bytes
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// Show inodes instead of bytes
    #[arg(short, long)]
    pub(crate) inodes: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Filesystem to show: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Du {
    /// Show only a total for each argument
    #[arg(short, long, conflicts_with_all = ["all", "max_depth"])]
    pub(crate) summarize: bool,

    /// Show files too, not just directories
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Show sizes like 1.5K and 12M instead of blocks of 1024 bytes
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// Print apparent sizes in bytes, not disk usage
    #[arg(short, long)]
    pub(crate) bytes: bool,

    /// Print a grand total
    #[arg(short = 'c', long)]
    pub(crate) total: bool,

    /// Show directories at most N levels below an argument
    #[arg(short = 'd', long, value_name = "N")]
    pub(crate) max_depth: Option<usize>,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// File or directory to measure: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Find {
    /// Paths, IMAGE[@PART][:/PATH], then an expression
    ///
    /// Tests: -name -iname -path -type -size -mtime -newer -perm -user -group -uid -gid
    /// -links -inum -empty. Options: -maxdepth -mindepth. Actions: -prune -print
    /// -print0 -delete. Operators: ! -a -o ( ).
    #[arg(
        required = true,
        value_name = "PATH... [EXPRESSION]",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) words: Vec<OsString>,
}

impl Find {
    /// The paths among the arguments, and the expression behind them.
    pub(crate) fn split(&self) -> (&[OsString], &[OsString]) {
        let is_path = |word: &&OsString| {
            let bytes = word.as_bytes();
            !bytes.starts_with(b"-") && !matches!(bytes, b"!" | b"(" | b")")
        };
        self.words
            .split_at(self.words.iter().take_while(is_path).count())
    }

    /// Whether the expression may delete files.
    pub(crate) fn deletes(&self) -> bool {
        self.split().1.iter().any(|word| word == "-delete")
    }
}
