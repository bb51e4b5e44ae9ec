//! Options of `tar` and `untar`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use drupe_tree::Compression;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Compress {
    None,
    Gzip,
    Zstd,
    Xz,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tar {
    /// Where to write the archive, a file of the host, instead of standard
    /// output; a suffix such as .gz compresses it. A file of that name is replaced when
    /// the archive is complete
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Replace FILE also if it is a disk image
    #[arg(long)]
    pub(crate) force: bool,

    /// Compress with gzip
    #[arg(short = 'z', long, conflicts_with_all = ["zstd", "xz", "compress"])]
    gzip: bool,

    /// Compress with zstd
    #[arg(long, conflicts_with_all = ["xz", "compress"])]
    zstd: bool,

    /// Compress with xz
    #[arg(short = 'J', long, conflicts_with = "compress")]
    xz: bool,

    /// Compress the archive with FORMAT
    ///
    /// Defaults to the suffix of `--file`.
    #[arg(long, value_name = "FORMAT", value_enum)]
    compress: Option<Compress>,

    /// Numbers of owners only, no names. Names are those of the image
    #[arg(long)]
    pub(crate) numeric_owner: bool,

    /// Leave out what matches, by its name or its path in the archive
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// List the members on standard error as they are written
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// The directory: IMAGE[@PART]:/PATH
    pub(crate) path: OsString,

    /// What of it, instead of all
    #[arg(value_name = "MEMBER")]
    pub(crate) members: Vec<OsString>,
}

impl Tar {
    /// What was asked for.
    pub(crate) fn compression(&self) -> Option<Compression> {
        match self {
            Tar { gzip: true, .. } => Some(Compression::Gzip),
            Tar { zstd: true, .. } => Some(Compression::Zstd),
            Tar { xz: true, .. } => Some(Compression::Xz),
            Tar { compress, .. } => compress.map(|compress| match compress {
                Compress::None => Compression::None,
                Compress::Gzip => Compression::Gzip,
                Compress::Zstd => Compression::Zstd,
                Compress::Xz => Compression::Xz,
            }),
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Untar {
    /// The archive, a file of the host, instead of standard input. How it is
    /// compressed (gzip, zstd, xz, not at all) is found out
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Owners by name, where the image's /etc/passwd and /etc/group have it
    #[arg(long)]
    pub(crate) names: bool,

    /// Owners by number, which is so unless --names is given
    #[arg(long, conflicts_with = "names")]
    numeric_owner: bool,

    /// Leave out so many names at the beginning of paths
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) strip_components: usize,

    /// Leave out what matches, by its name or its path in the archive
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// A symbolic link where a directory comes stays, if it leads to one
    #[arg(long)]
    pub(crate) keep_directory_symlink: bool,

    /// Show names as they are extracted
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// The directory to extract into: IMAGE[@PART]:/PATH
    pub(crate) path: OsString,
}

/// Formats of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Mtree,
    Composefs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Build {
    /// The manifest: mtree(5), or a dump file of composefs. - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) manifest: PathBuf,

    /// What the manifest is, if that is not clear from its first line
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// The directory of the host that contents are found in, by the paths of
    /// contents= or of the files themselves
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub(crate) source: PathBuf,

    /// The directory to build in: IMAGE[@PARTITION]:/PATH
    pub(crate) path: OsString,
}

impl From<Format> for drupe_tree::Format {
    fn from(format: Format) -> drupe_tree::Format {
        match format {
            Format::Mtree => drupe_tree::Format::Mtree,
            Format::Composefs => drupe_tree::Format::Composefs,
        }
    }
}
