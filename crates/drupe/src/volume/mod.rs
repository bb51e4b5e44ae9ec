//! Volumes: block devices that the kernel makes of other devices (LUKS, LVM, md).
//! [`Volumes`] finds them; [`dm`] and [`md`] make and remove them.

mod dm;
mod lvm;
mod md;
mod stack;

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use drupe_abi::Errno;
use drupe_machine::{Error as MachineError, without_deadline};
use drupe_ondisk::luks::{Area, Luks};
use drupe_ondisk::part::seek;
use drupe_ondisk::{Error as VolumeError, Target};

use crate::device::{Backing, Device, ReadSeek};
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::partition::Partition;
use crate::sys::{self, AT_FDCWD, OwnedFd};
use crate::sysfs;
pub use stack::{Passphrases, Volume, VolumeKind, Volumes};

/// A block device that the kernel has made of other devices.
///
/// # Invariants The device `name` exists, and only this value removes it.
pub(crate) struct Mapped {
    pub(crate) kernel: Arc<KernelInner>,
    /// "dm-0", "md1".
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) read_only: bool,
    teardown: Teardown,
    /// The devices that it is made of, released after it is removed.
    _below: Vec<Partition>,
}

/// How to remove a device.
enum Teardown {
    /// Through the device mapper, by its name there.
    Dm(String),
    Md,
}

impl Backing for Mapped {
    fn kernel(&self) -> &Arc<KernelInner> {
        &self.kernel
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn reader<'a>(&'a self, device: &Device) -> sys::Result<Box<dyn ReadSeek + 'a>> {
        let path = self.kernel.device(&device.name)?;
        let file = self.kernel.sys.openat(AT_FDCWD, &path, libc::O_RDONLY, 0)?;
        Ok(Box::new(Reader {
            file,
            size: device.size,
            position: 0,
        }))
    }
}

impl Mapped {
    /// The device as a [`Partition`], which can be mounted.
    fn into_partition(self) -> Partition {
        let (name, size) = (self.name.clone(), self.size);
        Partition(Device::whole(Arc::new(self), &name, size))
    }

    fn remove(&self) -> sys::Result<()> {
        match &self.teardown {
            Teardown::Dm(dm_name) => dm::remove(&self.kernel, dm_name),
            Teardown::Md => md::stop(&self.kernel, &self.name),
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Not mounted any more: a mount is a handle. A kernel that has halted
        // or died has let go of it already.
        let _ = without_deadline(|| self.remove());
    }
}

/// Reads a block device through the kernel.
struct Reader {
    file: OwnedFd,
    size: u64,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self
            .file
            .sys()
            .pread(self.file.raw(), bytes, self.position)
            .map_err(|error| io::Error::from(Error::new("read", error)))?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek(to, self.position, self.size)?;
        Ok(self.position)
    }
}

impl Partition {
    /// Opens the LUKS volume on it with a passphrase (cryptsetup(8)). The volume's header
    /// determines how much time and memory this takes: about two seconds and 1 GiB with
    /// cryptsetup's defaults.
    ///
    /// # Errors
    ///
    /// [`Cause::Volume`]: wrong passphrase, damaged header, or a cipher that this kernel
    /// lacks.
    pub fn unlock(&self, passphrase: &[u8]) -> Result<Partition> {
        self.unlock_until(passphrase, None)
    }

    /// The same; when `given_up` is set, the key is no longer waited for.
    fn unlock_until(&self, passphrase: &[u8], given_up: Option<&AtomicBool>) -> Result<Partition> {
        self.unlock_as(passphrase, given_up)
            .map_err(|cause| Error::at("unlock", self.name(), cause))
    }

    fn unlock_as(
        &self,
        passphrase: &[u8],
        given_up: Option<&AtomicBool>,
    ) -> Result<Partition, Cause> {
        let luks = Luks::read(&mut self.0.reader()?)?;
        let device = self.dev()?;
        let decrypt = |area: &Area, key: &[u8]| self.decrypted(&device, area, key);
        let key = luks.unlock(passphrase, given_up, decrypt)?;
        let table = luks.table(&key, &device, self.size())?;
        Ok(self.mapped(&table, self.is_read_only())?)
    }

    /// Decrypts an area of a LUKS header with dm-crypt, which has all ciphers.
    fn decrypted(&self, device: &str, area: &Area, key: &[u8]) -> Result<Vec<u8>, Cause> {
        let mapped = self.mapped(&area.table(key, device), true);
        let mapped = mapped.map_err(|error| match error {
            MachineError::Errno(Errno::NOENT | Errno::INVAL) => {
                let what = format!("the cipher {:?}", area.cipher);
                VolumeError::Unsupported(what).into()
            }
            error => Cause::from(error),
        })?;
        let mut bytes = vec![0; area.len as usize];
        mapped.0.reader()?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes a device from `table` on top of this one.
    fn mapped(&self, table: &[Target], read_only: bool) -> sys::Result<Partition> {
        let below = vec![self.clone()];
        let mapped = dm::create(self.kernel(), table, read_only, below)?;
        Ok(mapped.into_partition())
    }

    /// Its device number as in device mapper tables: "254:1".
    fn dev(&self) -> sys::Result<String> {
        let (major, minor) = sysfs::dev_number(self.kernel(), self.name())?;
        Ok(format!("{major}:{minor}"))
    }
}
