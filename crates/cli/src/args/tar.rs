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
    /// Write an archive, which is all that this command does: as `tar -cf` has it
    #[arg(short = 'c', long, hide = true)]
    create: bool,

    /// Write the archive to FILE of the host instead of standard output
    ///
    /// It is compressed by its suffix: .gz, .tgz, .zst, .tzst, .xz, .txz. An existing
    /// file is replaced when the archive is complete.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Replace FILE even if it is a disk image
    #[arg(long)]
    pub(crate) force: bool,

    /// Compress the archive with gzip
    #[arg(short = 'z', long, conflicts_with_all = ["zstd", "xz", "compress"])]
    gzip: bool,

    /// Compress the archive with zstd
    #[arg(long, conflicts_with_all = ["xz", "compress"])]
    zstd: bool,

    /// Compress the archive with xz
    #[arg(short = 'J', long, conflicts_with = "compress")]
    xz: bool,

    /// Compress the archive with FORMAT
    ///
    /// Defaults to the suffix of `--file`.
    #[arg(long, value_name = "FORMAT", value_enum)]
    compress: Option<Compress>,

    /// Store owners as numbers only, without names
    ///
    /// Names are those of the image.
    #[arg(long)]
    pub(crate) numeric_owner: bool,

    /// Exclude files whose name or path in the archive matches PATTERN (can be
    /// repeated)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// List the members on standard error as they are written
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Directory to archive: IMAGE[@PART]:/PATH
    pub(crate) path: OsString,

    /// Files of the directory to archive, instead of all
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
    /// Extract an archive, which is all that this command does: as `tar -xf` has it
    #[arg(short = 'x', long, hide = true)]
    extract: bool,

    /// Read the archive from FILE of the host instead of standard input
    ///
    /// The compression (gzip, zstd, xz or none) is detected.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Set owners by name, where the image's /etc/passwd and /etc/group have it
    #[arg(long)]
    pub(crate) names: bool,

    /// Owners by number, which is so unless --names is given
    #[arg(long, conflicts_with = "names")]
    numeric_owner: bool,

    /// Strip N leading components from file names
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) strip_components: usize,

    /// Exclude files whose name or path in the archive matches PATTERN (can be
    /// repeated)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// Keep an existing symbolic link to a directory where a directory is extracted
    #[arg(long)]
    pub(crate) keep_directory_symlink: bool,

    /// Extract a layer of a container image: remove what its whiteouts name
    ///
    /// `.wh.NAME` removes NAME, and `.wh..wh..opq` all that was in its directory before.
    #[arg(long)]
    pub(crate) whiteouts: bool,

    /// List the members on standard error as they are extracted
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Directory to extract into: IMAGE[@PART]:/PATH
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
    /// Read the manifest from FILE: mtree(5), or a dump of composefs
    ///
    /// `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) manifest: PathBuf,

    /// Treat the manifest as FORMAT
    ///
    /// Defaults to what its first line looks like.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,

    /// Find the contents of files in DIR of the host
    ///
    /// By the paths of contents=, or of the files themselves.
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub(crate) source: PathBuf,

    /// Directory to build in: IMAGE[@PART]:/PATH
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
