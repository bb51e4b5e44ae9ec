//! Random operations on one file, compared with what the file must hold after
//! each: what fsx does, through the library's own calls. Buffered and direct,
//! with holes made and ranges moved, through syncs and unmounts.

use std::error::Error;

use drupe::{AttachedDisk, Buffer, Disk, Errno, File, Kernel, Mount, OpenOptions, nr};
use fastrand::Rng;

use crate::Outcome;
use crate::filesystems::{self as fs, Filesystem};

/// Bytes of the file, and of one operation, at most.
const MOST: usize = 256 << 10;
const MOST_AT_ONCE: usize = 64 << 10;
/// What direct I/O and moved ranges are multiples of.
const BLOCK: usize = 4096;

const PATH: &str = "/file";

const KEEP_SIZE: i32 = libc::FALLOC_FL_KEEP_SIZE;
const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;
const COLLAPSE: i32 = libc::FALLOC_FL_COLLAPSE_RANGE;
const INSERT: i32 = libc::FALLOC_FL_INSERT_RANGE;

/// The file, and what it must hold.
struct Fsx<'a> {
    filesystem: Filesystem,
    kernel: &'a Kernel,
    disk: &'a AttachedDisk,
    mount: Option<Mount>,
    file: Option<File>,
    buffer: Buffer,
    model: Vec<u8>,
    random: Rng,
}

impl Fsx<'_> {
    fn file(&self) -> Result<&File, Box<dyn Error>> {
        Ok(self.file.as_ref().ok_or("it is closed")?)
    }

    /// An offset within `size`, and a length that does not reach beyond it.
    fn range(&mut self, size: usize) -> (usize, usize) {
        let at = self.random.usize(0..=size);
        let most = MOST_AT_ONCE.min(size - at);
        (at, self.random.usize(0..=most))
    }

    /// The same in whole blocks.
    fn blocks(&mut self, size: usize) -> (usize, usize) {
        let (at, len) = self.range(size / BLOCK * BLOCK);
        (at / BLOCK * BLOCK, len / BLOCK * BLOCK)
    }

    fn grow(&mut self, end: usize) {
        let end = end.max(self.model.len());
        self.model.resize(end, 0);
    }

    /// One operation; its name, for the message if it was wrong.
    fn step(&mut self) -> Result<&'static str, Box<dyn Error>> {
        Ok(match self.random.u32(0..1000) {
            0..300 => self.read()?,
            300..550 => self.write()?,
            550..650 => self.direct()?,
            650..750 => {
                let size = self.random.usize(0..=MOST);
                self.file()?.set_len(size as u64)?;
                self.model.resize(size, 0);
                "truncate"
            }
            750..810 => {
                let (at, len) = self.range(MOST);
                if len > 0 {
                    self.file()?.punch_hole(at as u64, len as u64)?;
                    self.fill(at, len);
                }
                "punch hole"
            }
            810..850 => {
                let (at, len) = self.range(MOST);
                if len > 0 {
                    self.file()?.allocate(at as u64, len as u64)?;
                    self.grow(at + len);
                }
                "allocate"
            }
            850..890 => {
                let (at, len) = self.range(MOST);
                if self.fallocate(ZERO | KEEP_SIZE, at, len)? {
                    self.fill(at, len);
                }
                "zero range"
            }
            890..910 => {
                let (at, len) = self.blocks(self.model.len());
                // What would leave nothing behind it is truncating.
                if at + len < self.model.len() && self.fallocate(COLLAPSE, at, len)? {
                    self.model.drain(at..at + len);
                }
                "collapse range"
            }
            910..930 => {
                let (at, len) = self.blocks(self.model.len());
                let fits = at < self.model.len() && self.model.len() + len <= MOST;
                if fits && self.fallocate(INSERT, at, len)? {
                    self.model.splice(at..at, vec![0; len]);
                }
                "insert range"
            }
            930..960 => self.copy()?,
            960..990 => {
                self.file()?.sync_data()?;
                "sync"
            }
            990..999 => {
                self.file = None;
                self.open()?;
                "close and open"
            }
            _ => {
                self.file = None;
                let mount = self.mount.take().ok_or("it is not mounted")?;
                mount.umount()?;
                self.open()?;
                "unmount and mount"
            }
        })
    }

    /// Zeroes a range as far as it is within the file.
    fn fill(&mut self, at: usize, len: usize) {
        let end = (at + len).min(self.model.len());
        self.model[at.min(end)..end].fill(0);
    }

    fn open(&mut self) -> Outcome {
        let mount = match self.mount.take() {
            Some(mount) => mount,
            None => self.disk.whole().mount(self.filesystem.options())?,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = mount.open_with(PATH, &options)?;
        self.file = Some(file);
        self.mount = Some(mount);
        let size = self.file()?.metadata()?.len();
        match size == self.model.len() as u64 {
            true => Ok(()),
            false => Err(format!("{size} bytes instead of {}", self.model.len()).into()),
        }
    }

    fn read(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let (at, len) = self.range(MOST);
        let mut bytes = vec![0; len];
        let read = self.file()?.read_at(&mut bytes, at as u64)?;
        self.compare("read", at, &bytes[..read], len)?;
        Ok("read")
    }

    /// What was read must be all that was asked for, up to the end.
    fn compare(&self, how: &str, at: usize, found: &[u8], len: usize) -> Outcome {
        let end = (at + len).min(self.model.len());
        let expected = &self.model[at.min(end)..end];
        if found.len() != expected.len() {
            let (found, expected) = (found.len(), expected.len());
            return Err(format!("{how} of {len} at {at}: {found} bytes, not {expected}").into());
        }
        match found.iter().zip(expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(n) => {
                let (found, expected) = (found[n], expected[n]);
                Err(format!("{how}: byte {} is {found}, not {expected}", at + n).into())
            }
        }
    }

    fn write(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let (at, len) = self.range(MOST);
        let bytes: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..))
            .take(len)
            .collect();
        self.file()?.write_all_at(&bytes, at as u64)?;
        if len > 0 {
            self.grow(at + len);
            self.model[at..at + len].copy_from_slice(&bytes);
        }
        Ok("write")
    }

    /// Reads or writes past the cache.
    fn direct(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let (at, len) = self.blocks(MOST);
        if len == 0 || !self.file()?.set_direct(true)? {
            return Ok("no direct I/O");
        }
        let name = match self.random.bool() {
            true => {
                self.random.fill(&mut self.buffer[..len]);
                let file = self.file.as_ref().ok_or("it is closed")?;
                file.write_buffer_at(&self.buffer, 0..len, at as u64)?;
                self.grow(at + len);
                self.model[at..at + len].copy_from_slice(&self.buffer[..len]);
                "direct write"
            }
            false => {
                // XFS says EIO to a direct read that reaches into what it has
                // reserved beyond the end: fs/iomap/direct-io.c takes it for a
                // write that is under way.
                let end = self.model.len().next_multiple_of(BLOCK);
                let len = match self.filesystem.make == fs::XFS.make {
                    true => (at + len).min(end).saturating_sub(at),
                    false => len,
                };
                let file = self.file.as_ref().ok_or("it is closed")?;
                let read = file.read_buffer_at(&mut self.buffer, 0..len, at as u64)?;
                self.compare("direct read", at, &self.buffer[..read], len)?;
                "direct read"
            }
        };
        self.file()?.set_direct(false)?;
        Ok(name)
    }

    /// fallocate(2); whether the filesystem can do that.
    fn fallocate(&self, mode: i32, at: usize, len: usize) -> Result<bool, Box<dyn Error>> {
        if len == 0 {
            return Ok(false);
        }
        let fd = self.file()?.raw_fd() as usize;
        // SAFETY: no pointers, and the descriptor stays open.
        let done = unsafe {
            self.kernel
                .syscall(nr::FALLOCATE, [fd, mode as usize, at, len, 0, 0])
        };
        match done {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// copy_file_range(2) within the file.
    fn copy(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let (from, len) = self.range(self.model.len());
        let to = self.random.usize(0..=MOST - len);
        if len == 0 || from.abs_diff(to) < len {
            return Ok("no copy");
        }
        let fd = self.file()?.raw_fd() as usize;
        let (mut source, mut target) = (from as u64, to as u64);
        let mut left = len;
        while left > 0 {
            let pointers = [&raw mut source as usize, &raw mut target as usize];
            let args = [fd, pointers[0], fd, pointers[1], left, 0];
            // SAFETY: reads and writes two 64-bit numbers.
            match unsafe { self.kernel.syscall(nr::COPY_FILE_RANGE, args) }? {
                0 => return Err("copied nothing".into()),
                copied => left -= copied,
            }
        }
        self.grow(to + len);
        self.model.copy_within(from..from + len, to);
        Ok("copy")
    }
}

fn fsx(filesystem: Filesystem, operations: u64) -> Outcome {
    let image = filesystem.image()?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mut fsx = Fsx {
        filesystem,
        buffer: kernel.buffer(MOST_AT_ONCE)?,
        kernel: &kernel,
        disk: &disk,
        mount: None,
        file: None,
        model: Vec::new(),
        random: Rng::with_seed(1),
    };
    fsx.open()?;
    let mut last = "nothing";
    for n in 0..operations {
        match fsx.step() {
            Ok(name) => last = name,
            Err(error) => {
                let log = kernel.log();
                return Err(format!("operation {n}, after {last}: {error}\n{log}").into());
            }
        }
    }
    let mut bytes = vec![0; MOST];
    let read = fsx.file()?.read_at(&mut bytes, 0)?;
    fsx.compare("at the end", 0, &bytes[..read], MOST)?;
    fsx.file = None;
    fsx.mount.take().ok_or("it is not mounted")?.umount()?;
    drop(fsx);
    disk.remove()?;
    kernel.halt()?;
    filesystem.check(image.path())
}

/// Operations in each run of the tests, and in the soak.
const FEW: u64 = 5_000;
const MANY: u64 = 1_000_000;

#[test]
fn ext4() -> Outcome {
    fsx(fs::EXT4, FEW)
}

#[test]
fn xfs() -> Outcome {
    fsx(fs::XFS, FEW)
}

#[test]
fn btrfs() -> Outcome {
    fsx(fs::BTRFS, FEW)
}

#[test]
fn f2fs() -> Outcome {
    fsx(fs::F2FS, FEW)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn a_million_on_ext4() -> Outcome {
    fsx(fs::EXT4, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn a_million_on_xfs() -> Outcome {
    fsx(fs::XFS, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn a_million_on_btrfs() -> Outcome {
    fsx(fs::BTRFS, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn a_million_on_f2fs() -> Outcome {
    fsx(fs::F2FS, MANY)
}
