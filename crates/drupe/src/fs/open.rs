//! [`OpenOptions`]: how to open a file.

use drupe_abi::Errno;

/// How to open a file, as [`std::fs::OpenOptions`], for
/// [`Mount::open_with`](crate::Mount::open_with) and
/// [`Dir::open_with`](crate::Dir::open_with).
#[derive(Debug, Clone)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    custom_flags: i32,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

impl OpenOptions {
    /// All options off. A file that is created gets mode 0o644.
    pub fn new() -> OpenOptions {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o644,
            custom_flags: 0,
        }
    }

    /// Opens for reading.
    pub fn read(&mut self, yes: bool) -> &mut OpenOptions {
        self.read = yes;
        self
    }

    /// Opens for writing.
    pub fn write(&mut self, yes: bool) -> &mut OpenOptions {
        self.write = yes;
        self
    }

    /// Opens for appending.
    pub fn append(&mut self, yes: bool) -> &mut OpenOptions {
        self.append = yes;
        self
    }

    /// Truncates the file to length 0.
    pub fn truncate(&mut self, yes: bool) -> &mut OpenOptions {
        self.truncate = yes;
        self
    }

    /// Creates the file if it does not exist.
    pub fn create(&mut self, yes: bool) -> &mut OpenOptions {
        self.create = yes;
        self
    }

    /// Creates a new file; EEXIST if it exists.
    pub fn create_new(&mut self, yes: bool) -> &mut OpenOptions {
        self.create_new = yes;
        self
    }

    /// Sets the permissions of a file that is created. There is no umask.
    pub fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.mode = mode;
        self
    }

    /// Sets further flags of open(2), other than those for reading and writing.
    pub fn custom_flags(&mut self, flags: i32) -> &mut OpenOptions {
        self.custom_flags = flags;
        self
    }

    /// Flags and mode for openat2(2), by the rules of std: EINVAL for invalid
    /// combinations.
    pub(super) fn flags(&self) -> std::result::Result<(i32, u32), Errno> {
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return Err(Errno::INVAL),
        };
        let writes = self.write || self.append;
        if (self.create || self.create_new || self.truncate) && !writes
            || self.append && self.truncate && !self.create_new
        {
            return Err(Errno::INVAL);
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (true, true, false) => libc::O_CREAT | libc::O_TRUNC,
            (true, false, false) => libc::O_CREAT,
            (false, true, false) => libc::O_TRUNC,
            (false, false, false) => 0,
        };
        let custom = self.custom_flags & !libc::O_ACCMODE;
        let flags = access | creation | custom;
        // openat2 wants no mode where nothing is created.
        let mode = match flags & libc::O_CREAT {
            0 => 0,
            _ => self.mode & 0o7777,
        };
        Ok((flags, mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rules_of_std() {
        let mut options = OpenOptions::new();
        assert_eq!(options.flags(), Err(Errno::INVAL));
        assert_eq!(options.read(true).flags(), Ok((libc::O_RDONLY, 0)));
        assert_eq!(options.create(true).flags(), Err(Errno::INVAL));
        let created = libc::O_RDWR | libc::O_CREAT;
        assert_eq!(options.write(true).flags(), Ok((created, 0o644)));
        assert_eq!(
            options.append(true).truncate(true).flags(),
            Err(Errno::INVAL)
        );
        options.mode(0o4755).create_new(true).append(false);
        assert_eq!(options.flags(), Ok((created | libc::O_EXCL, 0o4755)));
    }
}
