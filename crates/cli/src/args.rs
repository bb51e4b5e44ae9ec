//! The command line, defined once: parsing and help come from here.

mod attributes;
mod contents;
mod definition;
mod disk;
mod files;
pub(crate) mod mistakes;
mod mount;
mod oci;
mod repart;
mod run;
mod shell;
pub(crate) mod size;
mod system;
mod tar;
mod whole;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use attributes::*;
pub(crate) use contents::*;
pub(crate) use definition::definition;
pub(crate) use disk::*;
pub(crate) use files::*;
pub(crate) use mount::*;
pub(crate) use oci::*;
pub(crate) use repart::*;
pub(crate) use run::*;
pub(crate) use shell::*;
pub(crate) use system::*;
pub(crate) use tar::*;
pub(crate) use whole::*;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::dates;
use crate::location;
use drupe_tree::ModeChange;
use drupe_tree::Owners;
use drupe_tree::Time;

/// Look into disk images and copy files in and out, without root.
///
/// The real Linux kernel runs inside this program and reads and writes the
/// filesystems: ext4, XFS, btrfs, f2fs, vfat, exfat, ntfs, iso9660, udf,
/// squashfs, erofs and more.
#[derive(Debug, Parser)]
#[command(name = "drupe", version = version(), after_long_help = NOTES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The version of the command, with that of its kernel.
fn version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    format!("{own} (Linux {})", drupe::LINUX_VERSION)
}

const NOTES: &str = "\
Paths in images:
  IMAGE:/PATH      the filesystem on IMAGE, or on its only partition that has one
  IMAGE@2:/PATH    the filesystem on partition 2, be it inside of an encrypted
                   volume; @0 is the whole of IMAGE
  IMAGE@VG/LV:/    the logical volume LV of group VG
  IMAGE@md/NAME:/  the RAID array of this name
  IMAGE@2,OPTIONS:/PATH
                   with mount options, such as subvol=home; IMAGE@,OPTIONS:/PATH
                   without a number
  In place of IMAGE there may be a disk of an NBD server: nbd://HOST[:PORT]/EXPORT
  or nbd+unix:///EXPORT?socket=SOCKET
  An argument that names an existing file of the host is that file; any other
  with \":/\" in it is a path in an image. To create a host file whose name has
  \":/\" in it, change to its directory first.

Images may be raw, qcow2, vmdk, vhdx, vhd or vdi; raw, qcow2 and vmdk with flat
extents can be written to.

Exit codes:
  0    all was done
  1    some file could not be read, written or found
  2    the command line makes no sense
  3    an image, a partition or its filesystem can't be used
  130  interrupted; the image is consistent, and a file half copied was removed

Commands that read open images read-only and never change them.";

/// When to confine the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sandbox {
    // What an empty DRUPE_SANDBOX says.
    #[value(alias = "")]
    /// All commands but shell, script, edit, fsck, run, repart, create, mkfs, part, and oci
    /// with a registry, as far as the host has the means; mount keeps a second process,
    /// which mounts and unmounts
    Auto,
    /// Like auto, but fail where the host lacks the means
    Always,
    /// No command
    Never,
}

/// The heading of options that say how images are opened.
const IMAGES: &str = "Image options";
/// The heading of options that say what is printed.
const OUTPUT: &str = "Output options";

/// Options of all commands.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Global {
    /// Show no progress bar and no warnings
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// Print an array of JSON objects instead of text
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Print a JSON object on each line instead of text
    #[arg(long, global = true, help_heading = OUTPUT, overrides_with = "json")]
    pub(crate) json_lines: bool,

    /// Never write to an image
    ///
    /// Commands that would write are an error.
    #[arg(long, global = true, help_heading = IMAGES)]
    pub(crate) read_only: bool,

    /// Replay the journal of a dirty image in memory
    ///
    /// For commands that only read, and leave the image as it is: without this, one that
    /// was not unmounted cleanly is an error. Commands that write to an image replay its
    /// journal in it.
    #[arg(long, global = true, help_heading = IMAGES)]
    pub(crate) replay: bool,

    /// Additional image that holds part of an LVM group, RAID array or btrfs (can be
    /// repeated)
    #[arg(long, global = true, help_heading = IMAGES, value_name = "IMAGE")]
    pub(crate) with: Vec<PathBuf>,

    /// Read the passphrase of encrypted volumes from FILE
    ///
    /// Every byte of FILE counts, also a newline at its end. `-` reads the first line
    /// of standard input. Without this option, the passphrase is the value of
    /// DRUPE_PASSPHRASE, or the terminal is asked for it.
    #[arg(long, global = true, help_heading = IMAGES, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Confine the process before it reads an image: auto, always or never
    ///
    /// A confined process keeps the files that the command names and the system calls
    /// that it needs. It cannot start programs or open network connections. An empty
    /// DRUPE_SANDBOX counts as unset.
    #[arg(
        long,
        global = true,
        help_heading = IMAGES,
        value_name = "WHEN",
        default_value = "auto",
        env = "DRUPE_SANDBOX",
        hide_env_values = true
    )]
    pub(crate) sandbox: Sandbox,

    /// Treat images as FORMAT: raw, qcow2, vmdk, vhdx, vhd or vdi
    ///
    /// Defaults to what the first bytes of the image say. A vmdk that consists of
    /// several files needs `--image-format vmdk`.
    #[arg(long, global = true, help_heading = IMAGES, value_name = "FORMAT")]
    pub(crate) image_format: Option<drupe::Format>,

    /// Open other files that an image names, such as backing files
    ///
    /// Only for images that you trust: who made the image chooses the files.
    #[arg(long, global = true, help_heading = IMAGES)]
    pub(crate) backing: bool,

    /// Use disk sectors of BYTES, 512 or 4096
    ///
    /// Defaults to what the partition table and the format say.
    #[arg(long, global = true, help_heading = IMAGES, value_name = "BYTES", value_parser = block_size)]
    pub(crate) block_size: Option<u32>,

    /// Mount filesystems with OPTIONS, separated by commas
    ///
    /// As mount(8) takes them: `ro`, `noatime`, `sync` and the like, or options of the
    /// filesystem such as `subvol=home` and `data=journal`. For one filesystem of several,
    /// they stand in its path: IMAGE@PART,OPTIONS:/PATH.
    #[arg(
        short = 'o',
        long,
        alias = "options",
        global = true,
        help_heading = IMAGES,
        value_name = "OPTIONS"
    )]
    pub(crate) mount_options: Vec<String>,

    /// Take IMAGE as a system: with /boot and all else that its /etc/fstab mounts
    ///
    /// Stands in front of the command. Paths begin at the root filesystem, which need not be
    /// named. Filesystems that are not on the image are left out, and so are mount options
    /// other than subvolumes.
    // Not of all commands: repart has another one of this name.
    #[arg(long, help_heading = IMAGES)]
    pub(crate) root: bool,

    /// Give the kernel SIZE of memory
    ///
    /// In bytes, or with K, M or G. Defaults to 64M, and to 256M for `run`.
    #[arg(long, global = true, help_heading = IMAGES, value_name = "SIZE", value_parser = size::memory)]
    pub(crate) memory: Option<usize>,

    /// Show the kernel's log on standard error
    #[arg(long, global = true, help_heading = IMAGES)]
    pub(crate) kernel_log: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show partitions and filesystems: types, labels, UUIDs, sizes
    Info(Info),
    /// List files
    Ls(Ls),
    /// Print files
    Cat(Cat),
    /// Copy files into an image, out of one, or between two
    #[command(override_usage = "drupe cp [OPTIONS] SOURCE... DEST")]
    Cp(Cp),
    /// Show files as a tree
    Tree(Tree),
    /// Show the status of files: type, size, owner, times, attributes
    Stat(Stat),
    /// Rename files
    #[command(override_usage = "drupe mv [OPTIONS] SOURCE... DEST")]
    Mv(Mv),
    /// Remove files
    Rm(Rm),
    /// Make directories
    Mkdir(Mkdir),
    /// Remove empty directories
    Rmdir(Rmdir),
    /// Make hard or symbolic links
    #[command(override_usage = "drupe ln [OPTIONS] TARGET... LINK")]
    Ln(Ln),
    /// Change permissions
    Chmod(Chmod),
    /// Change owners
    Chown(Chown),
    /// Change the times of files, or make empty ones
    Touch(Touch),
    /// Change the sizes of files
    Truncate(Truncate),
    /// Write standard input to a file
    Write(Write),
    /// Write an archive of a directory
    Tar(Tar),
    /// Extract an archive into a directory
    Untar(Untar),
    /// Make the files that a manifest describes: owners, modes, devices, labels
    Build(Build),
    /// Make partitions and their filesystems from repart.d definitions
    #[command(long_about = REPART, after_long_help = REPART_NOTES)]
    Repart(Repart),
    /// Unpack container images into filesystems, and pack filesystems as images
    #[command(long_about = OCI)]
    Oci(Box<Oci>),
    /// Make an empty disk image
    #[command(long_about = CREATE)]
    Create(Create),
    /// Make an empty filesystem on an image or a partition
    #[command(long_about = MKFS)]
    Mkfs(Mkfs),
    /// List, add or delete partitions
    #[command(long_about = PART)]
    Part(Part),
    /// Show used and free space of filesystems
    Df(Df),
    /// Show how much space files use
    Du(Du),
    /// Find files by name, type, size, time, owner and more
    #[command(override_usage = "drupe find [OPTIONS] PATH... [EXPRESSION]")]
    Find(Find),
    /// Discard unused blocks, which become holes of the image file
    Fstrim(Fstrim),
    /// Read all of an image, and show the kernel's complaints about it
    CheckLog(CheckLog),
    /// List, make or remove subvolumes of a btrfs
    Subvolume(Subvolume),
    /// Make a snapshot of a subvolume of a btrfs
    Snapshot(Snapshot),
    /// Show or set the label of a filesystem
    Label(Label),
    /// Show or set the UUID of a filesystem
    Uuid(Uuid),
    /// Read all of a btrfs and compare its checksums
    Scrub(Scrub),
    /// Show extended attributes
    Getfattr(Getfattr),
    /// Set or remove extended attributes
    Setfattr(Setfattr),
    /// Show access control lists
    Getfacl(Getfacl),
    /// Change access control lists
    Setfacl(Setfacl),
    /// Show flags of files: immutable, append only and others
    Lsattr(Lsattr),
    /// Change flags of files
    Chattr(Chattr),
    /// Show capabilities of files
    Getcap(Getcap),
    /// Set or remove capabilities of files
    Setcap(Setcap),
    /// Make or check checksums of files
    Checksum(Checksum),
    /// Compare two images or directories: files, owners, modes, times, attributes
    Diff(Diff),
    /// Edit a file with $EDITOR
    Edit(Edit),
    /// Show the operating systems in an image: name, users, kernels, packages
    Inspect(Inspect),
    /// Grow a partition and its filesystem
    Resize(Resize),
    /// Make free space of a raw image holes of its file
    Sparsify(Sparsify),
    /// Check a filesystem with its own tool of the host
    Fsck(Fsck),
    /// Type several of these commands, with the image kept open
    #[command(after_long_help = shell::NOTES)]
    Shell(Shell),
    /// Run several of these commands from a file, with one kernel
    #[command(after_long_help = shell::NOTES)]
    Script(Script),
    /// Print shell completions
    Completions(Completions),
    /// Print or write manual pages
    Man(Man),
    /// Mount a filesystem of an image on a directory of the host, through FUSE
    #[command(long_about = MOUNT, after_long_help = MOUNT_NOTES)]
    Mount(Mount),
    /// Unmount what `mount` has mounted, and wait until the image is clean
    #[command(long_about = UMOUNT)]
    Umount(Umount),
    /// Run a program on a network of its own, by a kernel in this process
    #[command(long_about = RUN, after_long_help = RUN_NOTES)]
    Run(Run),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Info {
    /// Disk images, block devices or network disks
    #[arg(required = true, value_name = "IMAGE", value_parser = OsStringValueParser::new().map(location::image))]
    pub(crate) images: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(disable_help_flag = true)]
pub(crate) struct Ls {
    /// Show type, permissions, links, owner, group, size and time
    #[arg(short = 'l')]
    pub(crate) long: bool,

    /// Like -l, with numbers of owners and groups instead of names
    #[arg(short = 'n', long = "numeric-uid-gid")]
    pub(crate) numeric: bool,

    /// Show the inode number of each file
    #[arg(short, long)]
    pub(crate) inode: bool,

    /// List subdirectories recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// List directories themselves, not their contents
    #[arg(short, long)]
    pub(crate) directory: bool,

    /// With -l, show sizes like 1.5K and 12M
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// One name on each line, which is always so
    #[arg(short = '1', hide = true)]
    one: bool,

    /// Show names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// File or directory to list: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// File to print: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Cp {
    /// Copy directories recursively, and symbolic links as links
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Like -r, and keep all attributes
    ///
    /// These are owners, permissions, times, hard links, extended attributes and ACLs.
    /// Owners that an ordinary user cannot set on the host are not an error.
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// Do not replace existing files
    #[arg(short, long, overrides_with = "interactive")]
    pub(crate) no_clobber: bool,

    /// Ask before replacing an existing file
    #[arg(short, long, overrides_with = "no_clobber")]
    pub(crate) interactive: bool,

    /// Replace a file of the host even if it is a disk image
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Like --backup=existing
    #[arg(short)]
    pub(crate) b: bool,

    /// Keep a backup of each replaced file
    ///
    /// CONTROL is `simple` (NAME~), `numbered` (NAME.~1~), `existing` (numbered if
    /// there are numbered backups, else simple) or `none`.
    #[arg(long, value_name = "CONTROL", num_args = 0..=1, require_equals = true, default_missing_value = "existing")]
    pub(crate) backup: Option<String>,

    /// Use SUFFIX instead of ~ for simple backups
    #[arg(short = 'S', long, value_name = "SUFFIX", default_value = "~")]
    pub(crate) suffix: OsString,

    /// Print the path of each copy on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Set the owner and group of everything copied
    ///
    /// Names are those of the image; see `drupe chown --help`.
    #[arg(long, value_name = "USER:GROUP", visible_alias = "owner", value_parser = Owners::parse)]
    pub(crate) chown: Option<Owners>,

    /// Set the permissions of everything copied, as chmod takes them
    #[arg(long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// Set the modification time of everything copied
    ///
    /// DATE is one that `drupe touch --date` takes.
    #[arg(long, value_name = "DATE", value_parser = dates::parse)]
    pub(crate) mtime: Option<Time>,

    /// Sources, then the destination: IMAGE[@PART]:/PATH, or a path of the host
    ///
    /// At least one side is in an image.
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
}

/// Parses "4096".
fn block_size(text: &str) -> Result<u32, String> {
    match text {
        "512" => Ok(512),
        "4096" => Ok(4096),
        _ => Err("blocks have 512 or 4096 bytes".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// A command's own options come first and image options last, with a line each.
    #[test]
    fn own_options_come_first() {
        let mut definition = definition();
        let names = definition.get_subcommands().map(clap::Command::get_name);
        let names: Vec<String> = names.map(String::from).collect();
        for name in names.iter().filter(|name| *name != "help") {
            let command = definition.find_subcommand_mut(name).expect("its name");
            let help = command.render_long_help().to_string();
            let own = help.find("\nOptions:").expect("at least --help");
            let output = help.find("\nOutput options:").expect("at least --quiet");
            assert!(own < output, "{name}: {help}");
            let own_help = help.find("--help\n").unwrap_or(own);
            assert!(own_help < output, "{name}: {help}");
            let Some(images) = help.find("\nImage options:") else {
                continue;
            };
            assert!(output < images, "{name}: {help}");
            assert!(help.contains(definition::MORE), "{name}: {help}");
            // Short: no explanation behind an empty line.
            assert!(
                !help.contains("Every byte of FILE counts"),
                "{name}: {help}"
            );
            assert!(
                !help.contains("Possible values:\n          - auto"),
                "{name}: {help}"
            );
        }
        let help = definition.render_long_help().to_string();
        assert!(help.contains("Every byte of FILE counts"), "{help}");
    }

    /// What changes nothing in a command is not shown, and no error.
    #[test]
    fn options_without_effect_are_hidden() {
        let mut definition = definition();
        for (name, absent) in [
            ("cat", "--json"),
            ("ls", "--read-only"),
            ("rm", "--replay"),
            ("umount", "--with"),
        ] {
            let command = definition.find_subcommand_mut(name).expect("its name");
            let help = command.render_long_help().to_string();
            assert!(!help.contains(absent), "{help}");
            let arguments = [name, absent, "x", "x"];
            let arguments = std::iter::once("drupe").chain(arguments);
            if name != "umount" {
                assert!(Args::try_parse_from(arguments).is_ok(), "{name} {absent}");
            }
        }
    }

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }

    /// What the first line of a help text is, on a terminal of 80 columns: STYLE is that
    /// it is a phrase of its own.
    #[test]
    fn help_begins_with_a_phrase() {
        let definition = definition();
        for command in definition.get_subcommands() {
            for option in command.get_arguments() {
                let Some(help) = option.get_help().map(ToString::to_string) else {
                    continue;
                };
                let name = format!("{} {}", command.get_name(), option.get_id());
                assert!(!help.ends_with('.'), "{name}: {help}");
                assert!(help.len() <= 90, "{name}: {help}");
            }
        }
    }

    #[test]
    fn options_of_images_are_where_images_are() {
        let definition = definition();
        let shown = |command: &str| {
            let command = definition.find_subcommand(command).expect("a command");
            let shown = command.get_arguments().filter(|option| {
                option.get_help_heading() == Some(IMAGES) && !option.is_hide_set()
            });
            shown.count()
        };
        assert!(shown("ls") > 8);
        assert_eq!(shown("run"), 2);
        assert_eq!(shown("umount") + shown("man") + shown("completions"), 0);
    }
}
