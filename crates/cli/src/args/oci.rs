//! The arguments of `drupe oci`.

use std::ffi::OsString;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use drupe_oci::{Credentials, Platform, Reference};

pub(crate) const OCI: &str = "\
Unpack container images into filesystems, and pack filesystems as images

Images are those of OCI and Docker. Layers go straight from their source into the \
filesystem, with owners, permissions, times, extended attributes, devices and hard links; \
what they remove is removed. No root and no container program is needed.";

pub(crate) const OCI_NOTES: &str = "\
References to images:
  oci:DIR[:TAG]                    an OCI layout
  oci-archive:FILE[:TAG]           an OCI layout in a tar archive
  docker-archive:FILE[:NAME:TAG]   an archive of `docker save`
  docker://[HOST/]NAME[:TAG]       an image in a registry, by default Docker Hub's
Paths have no colons, as in skopeo. Without a tag or name, the place must have one image.

Users and passwords for registries come from --creds, or else from the file that
REGISTRY_AUTH_FILE names, or from those of podman (XDG_RUNTIME_DIR/containers/auth.json)
and Docker (~/.docker/config.json), or the program that the file names (credHelpers).";

#[derive(Debug, ClapArgs)]
pub(crate) struct Oci {
    #[command(subcommand)]
    pub(crate) command: OciCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OciCommand {
    /// Unpack an image into a directory of a filesystem
    #[command(after_long_help = OCI_NOTES)]
    Unpack(Unpack),
    /// Print the manifest and the configuration of an image as JSON
    #[command(after_long_help = OCI_NOTES)]
    Inspect(OciInspect),
    /// Pack a directory of a filesystem as an image with one layer
    Pack(Pack),
}

/// Which image of several, and how it is fetched.
#[derive(Debug, ClapArgs)]
pub(crate) struct Choice {
    /// Choose the image for PLATFORM, as linux/arm64 or linux/arm/v7
    ///
    /// Defaults to Linux on the processor of this host.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,

    /// Log in to the registry as USER
    ///
    /// Other users of the host may see the password in the list of processes; a file with
    /// credentials does not show it.
    #[arg(long, value_name = "USER:PASSWORD", value_parser = creds)]
    pub(crate) creds: Option<Credentials>,

    /// Require TLS and a valid certificate of the registry
    ///
    /// With `false`, any certificate will do, and no TLS. A registry on this host may always
    /// do without TLS.
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "true",
        value_parser = clap::builder::BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    pub(crate) tls_verify: bool,

    /// Talk to the registry without TLS
    #[arg(long)]
    pub(crate) plain_http: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Unpack {
    #[command(flatten)]
    pub(crate) choice: Choice,

    /// Exclude files whose name or path in the image matches PATTERN (can be repeated)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// List the files on standard error as they are unpacked
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Image to unpack: docker://NAME[:TAG], oci:DIR[:TAG] or the like
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Reference,

    /// Directory to unpack into: IMAGE[@PART]:/PATH
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct OciInspect {
    #[command(flatten)]
    pub(crate) choice: Choice,

    /// Image to look into: docker://NAME[:TAG], oci:DIR[:TAG] or the like
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Reference,
}

/// How the layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayerCompression {
    None,
    Gzip,
    Zstd,
}

impl From<LayerCompression> for drupe_oci::Compression {
    fn from(compression: LayerCompression) -> drupe_oci::Compression {
        match compression {
            LayerCompression::None => drupe_oci::Compression::None,
            LayerCompression::Gzip => drupe_oci::Compression::Gzip,
            LayerCompression::Zstd => drupe_oci::Compression::Zstd,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Pack {
    /// Give the image this tag, instead of one behind DIR
    #[arg(long, value_name = "TAG", value_parser = tag)]
    pub(crate) tag: Option<String>,

    /// Say that the image is for PLATFORM, as linux/arm64
    ///
    /// Defaults to Linux on the processor of this host.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,

    /// Compress the layer with FORMAT
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "gzip")]
    pub(crate) compress: LayerCompression,

    /// Exclude files whose name or path in the directory matches PATTERN (can be repeated)
    ///
    /// Files whose names begin with `.wh.` are always left out: in an image they would
    /// stand for the removal of files.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,

    /// Set the program that the image runs (repeat for its arguments)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) entrypoint: Vec<String>,

    /// Set arguments of the program, which whoever runs it may replace (can be repeated)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) cmd: Vec<String>,

    /// Set a variable of the environment (can be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,

    /// Set the directory that the program begins in
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// Set the user that the program runs as: a name or number, and :GROUP
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Set a label (can be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) label: Vec<(String, String)>,

    /// Declare a port that the program listens on, as 80/tcp (can be repeated)
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Vec<String>,

    /// Declare a directory for data (can be repeated)
    #[arg(long, value_name = "DIR")]
    pub(crate) volume: Vec<String>,

    /// Set the signal that ends the program, as SIGINT
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,

    /// List the files on standard error as they are packed
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Directory to pack: IMAGE[@PART]:/PATH
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,

    /// OCI layout to add the image to: oci:DIR[:TAG]
    ///
    /// DIR is made if it is not there. An image that has the tag loses it.
    #[arg(value_name = "DEST")]
    pub(crate) dest: Reference,
}

fn tag(text: &str) -> Result<String, String> {
    match drupe_oci::is_tag(text) {
        true => Ok(text.to_owned()),
        false => Err("a tag is at most 128 letters, digits, _, . and -".to_owned()),
    }
}

fn creds(text: &str) -> Result<Credentials, String> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => Ok(Credentials::new(user, password)),
        _ => Err("give USER:PASSWORD".to_owned()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("give NAME=VALUE".to_owned()),
    }
}
