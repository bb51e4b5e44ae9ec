//! All volumes of some disks: encrypted and logical ones, arrays.

use std::ffi::{CString, c_char, c_void};

use drupe::{AttachedDisk, Kernel, Partition, Volume};
use zeroize::Zeroizing;

use crate::border::{Out, UserData};
use crate::failure::{self, Failure, Result};

/// Bytes of a passphrase, at most.
const PASSPHRASE: usize = 4096;

/// `drupe_passphrase_callback`.
type Ask = unsafe extern "C" fn(*mut c_void, *const c_char, u32, *mut c_char, usize) -> isize;

/// What is on some disks: `drupe_volumes` of C.
pub(crate) struct Volumes {
    all: drupe::Volumes,
    /// How many disks there were.
    disks: usize,
    ids: Vec<CString>,
}

handles! {
    Volumes => drupe_volumes_free;
}

impl crate::border::Argument for Option<Ask> {
    type C = Option<Ask>;

    unsafe fn from_c(value: Self, _: &'static str) -> Result<Self> {
        Ok(value)
    }
}

/// Asks the program for a passphrase.
fn ask(ask: Ask, data: UserData, volume: &Volume, wrong: usize) -> Option<Zeroizing<Vec<u8>>> {
    let id = CString::new(volume.id()).ok()?;
    let mut room = Zeroizing::new(vec![0_u8; PASSPHRASE]);
    let start: *mut c_char = room.as_mut_ptr().cast();
    let wrong = u32::try_from(wrong).unwrap_or(u32::MAX);
    // SAFETY: a function of the program's, with what it gave for it.
    let len = unsafe { ask(data.get(), id.as_ptr(), wrong, start, PASSPHRASE) };
    let len = usize::try_from(len).ok().filter(|&len| len <= PASSPHRASE)?;
    room.truncate(len);
    Some(room)
}

export! {
    fn drupe_volumes_find(
        kernel: &Kernel,
        disks: *const c_void,
        count: usize,
        passphrase: Option<Ask>,
        data: *mut c_void,
    ) -> handle<Volumes> {
        let start: *const *const AttachedDisk = disks.cast();
        if start.is_null() && count != 0 {
            return Err(Failure::null("disks"));
        }
        let mut disks = Vec::new();
        for index in 0..count {
            // SAFETY: `count` handles, as the header says.
            let disk = unsafe { start.add(index).read().as_ref() };
            let disk = disk.ok_or_else(|| Failure::null("disks[]"))?;
            if !disk.is_of(kernel) {
                let message = format!("`disks[{index}]` is a disk of another kernel");
                return Err(Failure::argument(message));
            }
            disks.push(disk.clone());
        }
        let data = UserData(data);
        let mut answer = |volume: &Volume, wrong| ask(passphrase?, data, volume, wrong);
        let all = kernel.volumes(&disks, &mut answer)?;
        let ids = all.iter().map(|volume| CString::new(volume.id()).unwrap_or_default());
        Ok(Volumes {
            ids: ids.collect(),
            disks: disks.len(),
            all,
        })
    }

    fn drupe_volumes_open(volumes: &Volumes, id: &str) -> handle<Partition> {
        let mut disks = 0..volumes.disks;
        let index = disks.find_map(|disk| volumes.all.find(disk, id));
        match index.and_then(|index| volumes.all.get(index)) {
            Some(volume) => Ok(volume.partition().clone()),
            None => {
                let message = format!("volume: there is no {id:?} on these disks");
                Err(Failure::new(failure::NO_PARTITION, message))
            }
        }
    }

    fn drupe_volumes_trouble(volumes: &Volumes, index: usize) -> status {
        let volume = volumes.all.get(index);
        match volume.ok_or_else(|| Failure::argument("there is no volume `index`"))?.trouble() {
            Some(trouble) => Err(trouble.into()),
            None => Ok(()),
        }
    }

    fn drupe_volumes_id(volumes: &Volumes, index: usize, id: Out<*const c_char>) -> status {
        let found = volumes.ids.get(index);
        let found = found.ok_or_else(|| Failure::argument("there is no volume `index`"))?;
        id.put(found.as_ptr());
        Ok(())
    }
}

/// How many volumes there are; 0 of NULL.
///
/// # Safety
/// `volumes` is NULL, or a handle that was not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn drupe_volumes_count(volumes: *const Volumes) -> usize {
    // SAFETY: the caller's.
    unsafe { volumes.as_ref() }.map_or(0, |volumes| volumes.ids.len())
}
