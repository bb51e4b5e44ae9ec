//! Options of the commands about extended attributes, ACLs, flags and capabilities.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use drupe_tree::acl::Entries;

/// How `drupe getfattr` prints values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// As text in quotes
    Text,
    /// In hexadecimal, behind 0x
    Hex,
    /// In base64, behind 0s
    Base64,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Getfattr {
    /// Print the attribute NAME with its value
    #[arg(short, long, value_name = "NAME", conflicts_with = "dump")]
    pub(crate) name: Option<OsString>,

    /// Print the values of all attributes that are shown
    #[arg(short, long)]
    pub(crate) dump: bool,

    /// Print values in this encoding
    ///
    /// Defaults to text for values that are mostly text, and base64 for others.
    #[arg(short, long, value_name = "ENCODING")]
    pub(crate) encoding: Option<Encoding>,

    /// Show attributes whose names match this regular expression; - for all
    #[arg(
        short = 'm',
        long = "match",
        value_name = "PATTERN",
        default_value = "^user\\."
    )]
    pub(crate) pattern: String,

    /// Print values only, without names and line breaks
    #[arg(long)]
    pub(crate) only_values: bool,

    /// Show symbolic links themselves, not their targets
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Show files in directories too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Keep the slash at the beginning of paths
    #[arg(long)]
    pub(crate) absolute_names: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// File to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Setfattr {
    /// Set the attribute NAME
    #[arg(short, long, value_name = "NAME", required_unless_present = "remove")]
    pub(crate) name: Option<OsString>,

    /// Value of the attribute; defaults to an empty one
    ///
    /// 0x and hexadecimal digits, 0s and base64, text in double quotes with escapes as
    /// getfattr prints them, or any other text, as it is.
    #[arg(short, long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) value: Option<OsString>,

    /// Remove the attribute NAME
    #[arg(short = 'x', long, value_name = "NAME", conflicts_with_all = ["name", "value"])]
    pub(crate) remove: Option<OsString>,

    /// Change symbolic links themselves, not their targets
    #[arg(short = 'h', long)]
    pub(crate) no_dereference: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// File to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Getfacl {
    /// Show the access ACL only
    #[arg(short, long, conflicts_with = "default")]
    pub(crate) access: bool,

    /// Show the default ACL only
    #[arg(short, long)]
    pub(crate) default: bool,

    /// Print no lines with name, owner and group
    #[arg(short = 'c', long)]
    pub(crate) omit_header: bool,

    /// Print numbers of users and groups instead of names
    #[arg(short, long)]
    pub(crate) numeric: bool,

    /// Leave out files whose mode says everything
    #[arg(short, long)]
    pub(crate) skip_base: bool,

    /// Show files in directories too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Keep the slash at the beginning of paths
    #[arg(short = 'p', long)]
    pub(crate) absolute_names: bool,

    /// File to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = true, id = "change", args = ["modify", "remove", "remove_all", "remove_default"])]
pub(crate) struct Setfacl {
    /// Set entries, such as `u:ann:rw,g:staff:rx,m:r`
    ///
    /// `u:USER:PERMS`, `g:GROUP:PERMS`, `m:PERMS` for the mask, `o:PERMS` for others;
    /// without USER or GROUP, the file's own. `d:` in front means the default ACL of a
    /// directory. PERMS are of rwxX- or a digit. Names are those of the image.
    #[arg(short, long, value_name = "ENTRIES", value_parser = Entries::parse)]
    pub(crate) modify: Option<Entries>,

    /// Remove entries, such as `u:ann,d:g:staff`
    #[arg(short = 'x', long, value_name = "ENTRIES", value_parser = Entries::parse_removed)]
    pub(crate) remove: Option<Entries>,

    /// Remove all entries that a mode does not have, and the default ACL
    #[arg(short = 'b', long)]
    pub(crate) remove_all: bool,

    /// Remove the default ACL
    #[arg(short = 'k', long)]
    pub(crate) remove_default: bool,

    /// Take all entries as those of the default ACL
    #[arg(short, long)]
    pub(crate) default: bool,

    /// Leave the mask as it is, or as it is given
    #[arg(short, long)]
    pub(crate) no_mask: bool,

    /// Change directories recursively, without following symbolic links
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// File to change: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Lsattr {
    /// Show names that begin with a dot
    #[arg(short)]
    pub(crate) all: bool,

    /// Show directories themselves, not their contents
    #[arg(short)]
    pub(crate) directory: bool,

    /// Print names of flags instead of letters
    #[arg(short)]
    pub(crate) long: bool,

    /// Print the project number of each file
    #[arg(short)]
    pub(crate) project: bool,

    /// Show files in subdirectories too
    #[arg(short = 'R')]
    pub(crate) recursive: bool,

    /// File or directory to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Chattr {
    /// Change directories recursively; symbolic links in them are left alone
    #[arg(short = 'R')]
    pub(crate) recursive: bool,

    /// Set the project number, which quotas count by
    #[arg(short, value_name = "PROJECT")]
    pub(crate) project: Option<u32>,

    /// Flags to add (+iA), to remove (-i) or to have alone (=a), then files
    ///
    /// The letters are those of chattr(1): a append only, i immutable, A no access times,
    /// C no copy on write, c compressed, d no dump, D and S synchronous, e extents, F
    /// casefold, j journaled data, m not compressed, P project hierarchy, s, t, T, u, x.
    /// Files are IMAGE[@PART]:/PATH.
    #[arg(
        required = true,
        value_name = "+-=FLAGS PATH",
        allow_hyphen_values = true
    )]
    pub(crate) words: Vec<OsString>,
}

impl Chattr {
    /// The flags, and the paths behind them.
    pub(crate) fn split(&self) -> (&[OsString], &[OsString]) {
        let is_flags = |word: &&OsString| matches!(word.as_bytes(), [b'+' | b'-' | b'=', ..]);
        self.words
            .split_at(self.words.iter().take_while(is_flags).count())
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Getcap {
    /// Show files in directories too
    #[arg(short, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Show the root user of the namespace that capabilities are for
    #[arg(short)]
    pub(crate) namespace: bool,

    /// File to show: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Setcap {
    /// Remove the capabilities of files
    #[arg(short)]
    pub(crate) remove: bool,

    /// Set capabilities that count in user namespaces with this root user only
    #[arg(short, value_name = "UID")]
    pub(crate) namespace: Option<u32>,

    /// Capabilities such as cap_net_raw=ep, then the file; or more of both
    ///
    /// With -r, files only. Files are IMAGE[@PART]:/PATH.
    #[arg(required = true, value_name = "CAPS PATH")]
    pub(crate) words: Vec<OsString>,
}

impl Setcap {
    /// The files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &OsStr> {
        let step = if self.remove { 1 } else { 2 };
        self.words
            .iter()
            .skip(step - 1)
            .step_by(step)
            .map(OsString::as_os_str)
    }
}
