//! Options of the commands that change files of an image, or tell of them.

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
    /// Make directories above as needed; it is no error if one exists
    #[arg(short, long)]
    pub(crate) parents: bool,

    /// Permissions, as chmod takes them, instead of rwxrwxrwx less the umask
    #[arg(short, long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// What to make: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rmdir {
    /// Remove the directories above too, as long as they are empty
    #[arg(short, long)]
    pub(crate) parents: bool,

    /// Empty directories: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rm {
    /// Remove directories with all that is in them
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// What does not exist is no error
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Remove empty directories
    #[arg(short, long)]
    pub(crate) dir: bool,

    /// What to remove: IMAGE[@PART]:/PATH
    #[arg(value_name = "PATH", required_unless_present = "force")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Mv {
    /// Replace what has the new name, which is done anyway
    #[arg(short, long)]
    force: bool,

    /// Leave alone what has the new name
    #[arg(short, long)]
    pub(crate) no_clobber: bool,

    /// The last argument is the new name, even if it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,

    /// What to rename, then its new name or a directory, on the same filesystem
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ln {
    /// Make symbolic links; TARGET is stored as it is
    #[arg(short, long)]
    pub(crate) symbolic: bool,

    /// Remove what has the new name
    #[arg(short, long)]
    pub(crate) force: bool,

    /// A new name that is a symbolic link to a directory is that link
    #[arg(short, long)]
    pub(crate) no_dereference: bool,

    /// The last argument is the new name, even if it is a directory
    #[arg(short = 'T', long)]
    pub(crate) no_target_directory: bool,

    /// Files, then the new name or a directory, all on the same filesystem; with
    /// -s, contents of symbolic links, then their name or a directory
    #[arg(required = true, num_args = 2.., value_names = ["TARGET", "LINK"])]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Chmod {
    /// Also all that is in directories; symbolic links there are left alone
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Octal digits, or clauses like u=rwX,go-w
    #[arg(allow_hyphen_values = true, value_parser = ModeChange::parse)]
    pub(crate) mode: ModeChange,

    /// What to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Chown {
    /// Also all that is in directories; symbolic links are not followed
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Symbolic links themselves, not what they lead to
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// USER, USER:GROUP, USER: (with the user's own group) or :GROUP. Names are
    /// those of the image's /etc/passwd and /etc/group; +NUMBER is never a name
    #[arg(value_parser = Owners::parse)]
    pub(crate) owners: Owners,

    /// What to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Touch {
    /// Only when it was last read
    #[arg(short = 'a')]
    pub(crate) accessed: bool,

    /// Only when it last changed
    #[arg(short = 'm')]
    pub(crate) modified: bool,

    /// Make no files
    #[arg(short = 'c', long)]
    pub(crate) no_create: bool,

    /// Symbolic links themselves, not what they lead to
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// The time: 2001-02-03 04:05:06, with Z or +01:00 if you like, or @SECONDS
    #[arg(short, long, value_parser = dates::parse)]
    pub(crate) date: Option<Time>,

    /// The time as [[CC]YY]MMDDhhmm[.ss]
    #[arg(short = 't', value_name = "STAMP", value_parser = dates::parse_stamp, conflicts_with = "date")]
    pub(crate) stamp: Option<Time>,

    /// The times of this file of an image
    #[arg(short, long, value_name = "PATH", conflicts_with_all = ["date", "stamp"])]
    pub(crate) reference: Option<OsString>,

    /// What to change or make: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Truncate {
    /// New size in bytes or with K, M, G, T; + and - change the old one by it,
    /// < and > only make larger or smaller files that size, / and % round down
    /// and up to a multiple of it
    #[arg(short, long, allow_hyphen_values = true, value_parser = size::Resize::parse)]
    pub(crate) size: size::Resize,

    /// Make no files
    #[arg(short = 'c', long)]
    pub(crate) no_create: bool,

    /// What to change or make: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Write {
    /// Add to the end
    #[arg(short, long)]
    pub(crate) append: bool,

    /// Permissions, as chmod takes them
    #[arg(short, long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// Owner and group, as chown takes them
    #[arg(long, value_name = "USER:GROUP", visible_alias = "owner", value_parser = Owners::parse)]
    pub(crate) chown: Option<Owners>,

    /// What standard input becomes: IMAGE[@PART]:/PATH
    pub(crate) path: OsString,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Fstrim {
    /// Say how much
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Images: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckLog {
    /// Don't read the contents of files
    #[arg(long)]
    pub(crate) metadata_only: bool,

    /// Images: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tree {
    /// Show names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Directories only
    #[arg(short, long)]
    pub(crate) directories: bool,

    /// How deep to go
    #[arg(short = 'L', long, value_name = "N")]
    pub(crate) level: Option<usize>,

    /// What to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Stat {
    /// What to print, with a newline: %n name, %N with link target, %s size,
    /// %b blocks of %B bytes, %o best transfer size, %a mode in octal, %A as in
    /// ls, %f raw in hex, %F type, %u %U owner, %g %G group, %i inode, %h links,
    /// %t %T device numbers in hex, %x %y %z %w times (read, modified, changed,
    /// made), %X %Y %Z %W in seconds, %C SELinux context, %m mount point
    #[arg(short = 'c', long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// The same with escapes like \n, and no newline
    #[arg(long, value_name = "FORMAT", conflicts_with = "format")]
    pub(crate) printf: Option<String>,

    /// Follow symbolic links
    #[arg(short = 'L', long)]
    pub(crate) dereference: bool,

    /// What to tell of: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Df {
    /// Sizes like 1.5K and 12M instead of blocks of 1024 bytes
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// Inodes instead of bytes
    #[arg(short, long)]
    pub(crate) inodes: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Images: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Du {
    /// Only the total of each argument
    #[arg(short, long, conflicts_with_all = ["all", "max_depth"])]
    pub(crate) summarize: bool,

    /// Files too, not just directories
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Sizes like 1.5K and 12M instead of blocks of 1024 bytes
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// Bytes, and those of the contents, not those occupied
    #[arg(short, long)]
    pub(crate) bytes: bool,

    /// A total of all arguments
    #[arg(short = 'c', long)]
    pub(crate) total: bool,

    /// Only directories down to this depth
    #[arg(short = 'd', long, value_name = "N")]
    pub(crate) max_depth: Option<usize>,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// What to add up: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Find {
    /// Paths, IMAGE[@PART][:/PATH], then an expression: -name -iname -path
    /// -type -size -mtime -newer -perm -user -group -uid -gid -links -inum -empty
    /// -maxdepth -mindepth -prune -print -print0 -delete, with ! -a -o ( )
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
