//! The kinds of files and attributes that a filesystem can store. Others are neither put
//! into sample trees nor compared.

/// The least difference between two times, in nanoseconds.
pub(crate) const SECOND: i128 = 1_000_000_000;

/// What a filesystem can keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capabilities {
    pub(crate) modes: bool,
    pub(crate) owners: bool,
    pub(crate) hard_links: bool,
    pub(crate) symlinks: bool,
    /// Longest target of a symbolic link, in bytes.
    pub(crate) symlink_max: usize,
    /// Device nodes, fifos, sockets.
    pub(crate) nodes: bool,
    /// Device nodes keep their numbers.
    pub(crate) device_numbers: bool,
    /// The classes of extended attributes: "user.".
    pub(crate) xattrs: &'static [&'static str],
    /// Names are bytes; otherwise, they are Unicode without what Windows forbids.
    pub(crate) byte_names: bool,
    /// Longest name, in characters of one byte.
    pub(crate) name_max: usize,
    /// Times are multiples of this many nanoseconds.
    pub(crate) time_step: i128,
    /// First and last second that it can keep, relative to 1970.
    pub(crate) seconds: (i64, i64),
    /// Directories keep times of their own.
    pub(crate) directory_times: bool,
    /// A hole takes no room.
    pub(crate) holes: bool,
    /// What was deleted must be written out before its blocks are used again.
    pub(crate) settle_deletions: bool,
}

/// All that Linux has.
pub(crate) const ALL: Capabilities = Capabilities {
    modes: true,
    owners: true,
    hard_links: true,
    symlinks: true,
    symlink_max: 4000,
    nodes: true,
    device_numbers: true,
    xattrs: &["user.", "trusted.", "security.", "system.posix_acl"],
    byte_names: true,
    name_max: 255,
    time_step: 1,
    seconds: (i32::MIN as i64, 1 << 33),
    directory_times: true,
    holes: true,
    settle_deletions: false,
};

/// What Windows' filesystems lack.
pub(crate) const FAT: Capabilities = Capabilities {
    modes: false,
    owners: false,
    hard_links: false,
    symlinks: false,
    nodes: false,
    xattrs: &[],
    byte_names: false,
    // 1980 to 2107.
    seconds: (315_532_800, 4_354_819_199),
    time_step: 2 * SECOND,
    holes: false,
    ..ALL
};
