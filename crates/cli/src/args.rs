//! The command line, defined once: parsing and help come from here.

mod files;
mod run;
mod shell;
pub(crate) mod size;
mod tar;

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use files::*;
pub(crate) use run::*;
pub(crate) use shell::*;
pub(crate) use tar::*;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::dates;
use drupe_tree::ModeChange;
use drupe_tree::Owners;
use drupe_tree::Time;

/// Look into disk images and copy files in and out, without root.
///
/// The real Linux kernel runs inside this program and reads and writes the
/// filesystems: ext4, XFS, btrfs, f2fs, vfat, exfat, ntfs, iso9660, udf,
/// squashfs, erofs and more.
#[derive(Debug, Parser)]
#[command(name = "drupe", version, after_long_help = NOTES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const NOTES: &str = "\
Paths in images:
  IMAGE:/PATH      the filesystem on IMAGE, or on its only partition that has one
  IMAGE@2:/PATH    the filesystem on partition 2, be it inside of an encrypted
                   volume; @0 is the whole of IMAGE
  IMAGE@VG/LV:/    the logical volume LV of group VG
  IMAGE@md/NAME:/  the RAID array of this name
  In place of IMAGE there may be a disk of an NBD server: nbd://HOST[:PORT]/EXPORT
  or nbd+unix:///EXPORT?socket=SOCKET
  An argument that names an existing file of the host is that file; any other
  with \":/\" in it is a path in an image. To create a host file whose name has
  \":/\" in it, change to its directory first.

Images may be raw, qcow2, vmdk or vhdx; raw, qcow2 and vmdk with flat extents
can be written to.

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
    /// All commands but shell, script, mount and run, as far as the host can
    Auto,
    /// The same; an error where the host cannot
    Always,
    /// Never
    Never,
}

/// Options of all commands.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Global {
    /// Never write to an image, whatever the command
    #[arg(long, global = true)]
    pub(crate) read_only: bool,

    /// Replay the journal of an image that is only read in memory; the image
    /// itself stays as it is
    #[arg(long, global = true)]
    pub(crate) replay: bool,

    /// More images that volumes lie on: LVM groups and RAID arrays of several
    /// disks
    #[arg(long, global = true, value_name = "IMAGE")]
    pub(crate) with: Vec<PathBuf>,

    /// The passphrase of encrypted volumes is what this file holds, every byte
    /// of it; "-" is the first line of standard input. Without it, the variable
    /// DRUPE_PASSPHRASE counts, then whoever sits at the terminal
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Confine the process before it looks into an image: to the files that the
    /// command names, the system calls it needs, and no network
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        env = "DRUPE_SANDBOX",
        hide_env_values = true
    )]
    pub(crate) sandbox: Sandbox,

    /// What the images are, instead of detection: raw, qcow2, vmdk or vhdx
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) image_format: Option<drupe::Format>,

    /// Open other files that an image names, such as backing files: only for
    /// images that you trust
    #[arg(long, global = true)]
    pub(crate) backing: bool,

    /// Bytes of a disk's blocks, 512 or 4096, instead of detection
    #[arg(long, global = true, value_name = "BYTES", value_parser = block_size)]
    pub(crate) block_size: Option<u32>,

    /// Mount options for filesystems in images, as mount(8) takes them, separated
    /// by commas
    #[arg(long, global = true, value_name = "OPTIONS")]
    pub(crate) mount_options: Vec<String>,

    /// Memory of the kernel, in bytes or with K, M or G: 64M, and 256M for run
    #[arg(long, global = true, value_name = "SIZE", value_parser = size::memory)]
    pub(crate) memory: Option<usize>,

    /// Show the kernel's log on standard error
    #[arg(long, global = true)]
    pub(crate) kernel_log: bool,

    /// No progress bar and no warnings; errors are still shown
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Print an array of JSON objects instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print a JSON object on each line instead of text
    #[arg(long, global = true, overrides_with = "json")]
    pub(crate) json_lines: bool,
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
    Cp(Cp),
    /// Show files as a tree
    Tree(Tree),
    /// Show all that is known of files
    Stat(Stat),
    /// Rename files
    Mv(Mv),
    /// Remove files
    Rm(Rm),
    /// Make directories
    Mkdir(Mkdir),
    /// Remove empty directories
    Rmdir(Rmdir),
    /// Make hard or symbolic links
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
    /// Make files as a manifest describes them: owners, modes, devices, labels
    Build(Build),
    /// Show how much room there is
    Df(Df),
    /// Show how much room files take
    Du(Du),
    /// Find files by what is known of them
    Find(Find),
    /// Give back room that is not in use: make it holes of the image
    Fstrim(Fstrim),
    /// Mount an image, read all of it, and show what the kernel complains of
    CheckLog(CheckLog),
    /// Run many of these commands, typed in, with the image kept open
    Shell(Shell),
    /// Run many of these commands from a file, with one kernel for all
    Script(Script),
    /// Print completions for a shell
    Completions(Completions),
    /// Print or write manual pages
    Man(Man),
    /// Mount a filesystem of an image on a directory, through FUSE
    #[command(long_about = MOUNT, after_long_help = MOUNT_NOTES)]
    Mount(Mount),
    /// Unmount what `mount` has mounted, and wait until the image is clean
    #[command(long_about = UMOUNT)]
    Umount(Umount),
    /// Run a program whose network is a kernel's in this process
    #[command(long_about = RUN, after_long_help = RUN_NOTES)]
    Run(Run),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Info {
    /// Disk images, block devices or network disks
    #[arg(required = true, value_name = "IMAGE")]
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

    /// List directories in directories too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// List directories themselves, not what is in them
    #[arg(short, long)]
    pub(crate) directory: bool,

    /// With -l, sizes like 1.5K and 12M
    #[arg(short = 'h', long = "human-readable")]
    pub(crate) human: bool,

    /// One name on each line, which is always so
    #[arg(short = '1', hide = true)]
    one: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,

    /// Show names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,

    /// What to list: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// What to print: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Cp {
    /// Copy directories with all that is in them; symbolic links stay links
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Like -r, and keep owners, permissions, times, hard links, extended
    /// attributes and ACLs; owners that an ordinary user can't set on the host
    /// are not an error
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// Leave alone what exists in the destination
    #[arg(short, long, overrides_with = "interactive")]
    pub(crate) no_clobber: bool,

    /// Ask before something in the destination is replaced
    #[arg(short, long, overrides_with = "no_clobber")]
    pub(crate) interactive: bool,

    /// Replace also a file of the host that is a disk image
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Keep what is replaced as NAME~, as --backup=existing does
    #[arg(short)]
    pub(crate) b: bool,

    /// Keep what is replaced: simple (NAME~), numbered (NAME.~1~), existing
    /// (numbered where there are such backups, else simple) or none
    #[arg(long, value_name = "CONTROL", num_args = 0..=1, require_equals = true, default_missing_value = "existing")]
    pub(crate) backup: Option<String>,

    /// In place of the ~ of simple backups
    #[arg(short = 'S', long, value_name = "SUFFIX", default_value = "~")]
    pub(crate) suffix: OsString,

    /// Print the path of each copy on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Owner and group of all that is copied, as chown takes them
    #[arg(long, value_name = "USER:GROUP", visible_alias = "owner", value_parser = Owners::parse)]
    pub(crate) chown: Option<Owners>,

    /// Permissions of all that is copied, as chmod takes them
    #[arg(long, value_parser = ModeChange::parse)]
    pub(crate) mode: Option<ModeChange>,

    /// When all that is copied was last changed: a date, as touch takes it
    #[arg(long, value_name = "DATE", value_parser = dates::parse)]
    pub(crate) mtime: Option<Time>,

    /// What to copy, then where to: IMAGE[@PART]:/PATH, or a path of the
    /// host; at least one of them is in an image
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
}

const MOUNT: &str = "\
Mount a filesystem of an image on a directory, through FUSE

Any program can use its files then. The real filesystem does the work; the \
host's kernel checks permissions and caches. Unmount with drupe umount DIR.";

const MOUNT_NOTES: &str = "\
SIGTERM, SIGINT and SIGHUP unmount too; files that are still open give ENOTCONN
then. `fusermount3 -u DIR` (or `umount DIR`, as root) returns before the image is
clean, and cannot tell what failed. What fsync has acknowledged survives a crash
of anything.

When the host refuses to write to the image, for want of room for example, every
change from then on is refused with that error, `drupe umount` fails, and the
system's log says why.

Files keep their owners: as an ordinary user, you can change what belongs to you
in the image. Other users, root included, see nothing without --allow-other.

Needs /dev/fuse, and fusermount3 (Debian: fuse3) unless you are root.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Mount {
    /// Stay in the foreground; otherwise the command returns when it is mounted
    #[arg(short, long)]
    pub(crate) foreground: bool,

    /// Let other users in, as far as permissions allow; always so for root, else
    /// it needs user_allow_other in /etc/fuse.conf
    #[arg(long)]
    pub(crate) allow_other: bool,

    /// Let the host gather small writes in its page cache: faster, but times of
    /// modification are then the host's, and a full disk shows late
    #[arg(long)]
    pub(crate) writeback: bool,

    /// Mount options, as mount(8) takes them, separated by commas: those of the
    /// filesystem (discard, data=journal) and ro, noatime, strictatime, sync and
    /// the like
    #[arg(short = 'o', long = "options", value_name = "OPTIONS")]
    pub(crate) options: Vec<String>,

    /// What to mount: IMAGE[@PARTITION]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,

    /// Where: an empty directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

const UMOUNT: &str = "\
Unmount what `mount` has mounted, and wait until the image is clean

Fails if something of what was written did not reach the image, and says why. A \
directory that is in use stays mounted.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Umount {
    /// Where it is mounted
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
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

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }
}
