//! Makes and removes devices of the device mapper.
//!
//! `include/uapi/linux/dm-ioctl.h` and `drivers/md/dm-ioctl.c`.

use std::sync::Arc;

use drupe_ondisk::Target;
use zeroize::Zeroize;

use super::{Mapped, Teardown};
use crate::kernel::{KernelInner, Pseudo};
use crate::partition::Partition;
use crate::sys::{self, AT_FDCWD, DM_HEADER, OwnedFd};

const DEV_CREATE: usize = 3;
const DEV_REMOVE: usize = 4;
const DEV_SUSPEND: usize = 6;
const TABLE_LOAD: usize = 9;

const READONLY_FLAG: u32 = 1 << 0;
/// The kernel wipes its copies of the table, which may contain a key.
const SECURE_DATA_FLAG: u32 = 1 << 15;

// Offsets in struct dm_ioctl.
const VERSION: usize = 0;
const DATA_START: usize = 16;
const TARGET_COUNT: usize = 20;
const FLAGS: usize = 28;
const DEV: usize = 40;
const NAME: usize = 48;
/// Bytes of a name, its NUL included.
const NAME_LEN: usize = 128;

/// `struct dm_target_spec`.
const SPEC: usize = 40;
/// Bytes of a target's type, its NUL included.
const TYPE_LEN: usize = 16;

/// Makes a device from `table` on top of the devices `below`.
pub(super) fn create(
    kernel: &Arc<KernelInner>,
    table: &[Target],
    read_only: bool,
    below: Vec<Partition>,
) -> sys::Result<Mapped> {
    // Nothing but its number tells it from others; users never see it.
    let dm_name = format!("drupe{}", kernel.mount_number());
    let control = control(kernel)?;
    let mut created = header(&dm_name, 0);
    let ioctl = |number, buffer: &mut [u8]| kernel.sys.dm(control.raw(), number, buffer);
    ioctl(DEV_CREATE, &mut created)?;
    let minor = minor(&created);
    // From here on, dropping it removes the device.
    let mut mapped = Mapped {
        kernel: Arc::clone(kernel),
        name: format!("dm-{minor}"),
        size: 0,
        read_only,
        teardown: Teardown::Dm(dm_name.clone()),
        _below: below,
    };
    let flags = if read_only { READONLY_FLAG } else { 0 };
    // Room for all of it: growing would leave copies of a key behind.
    let room: usize = table.iter().map(room).sum();
    let mut load = Vec::with_capacity(DM_HEADER + room);
    load.extend(header(&dm_name, flags | SECURE_DATA_FLAG));
    put(&mut load, TARGET_COUNT, table.len() as u32);
    table.iter().for_each(|target| push(&mut load, target));
    let loaded = ioctl(TABLE_LOAD, &mut load);
    load.zeroize();
    loaded?;
    // Without the flag of that name, this resumes.
    ioctl(DEV_SUSPEND, &mut header(&dm_name, flags))?;
    let sectors: u64 = table.iter().map(|target| target.len).sum();
    mapped.size = sectors * drupe_ondisk::SECTOR;
    Ok(mapped)
}

pub(super) fn remove(kernel: &Arc<KernelInner>, dm_name: &str) -> sys::Result<()> {
    let control = control(kernel)?;
    let mut buffer = header(dm_name, 0);
    kernel.sys.dm(control.raw(), DEV_REMOVE, &mut buffer)
}

fn control(kernel: &Arc<KernelInner>) -> sys::Result<OwnedFd> {
    kernel.need(Pseudo::Dev)?;
    let path = c"/dev/mapper/control";
    kernel.sys.openat(AT_FDCWD, path, libc::O_RDWR, 0)
}

fn header(name: &str, flags: u32) -> Vec<u8> {
    let mut buffer = vec![0; DM_HEADER];
    put(&mut buffer, VERSION, 4);
    put(&mut buffer, DATA_START, DM_HEADER as u32);
    put(&mut buffer, FLAGS, flags);
    let name = &name.as_bytes()[..name.len().min(NAME_LEN - 1)];
    buffer[NAME..][..name.len()].copy_from_slice(name);
    buffer
}

fn put(buffer: &mut [u8], at: usize, value: u32) {
    buffer[at..][..4].copy_from_slice(&value.to_ne_bytes());
}

/// The minor number of a command's device, decoded from `huge_encode_dev()`.
fn minor(buffer: &[u8]) -> u32 {
    let dev = u64::from_ne_bytes(std::array::from_fn(|n| buffer[DEV + n]));
    (dev & 0xff | dev >> 12 & 0xf_ff00) as u32
}

/// Bytes of a target in the buffer.
fn room(target: &Target) -> usize {
    (SPEC + target.params.len() + 1).next_multiple_of(8)
}

/// Adds a target: its specification, its parameters, and zeroes up to the next.
fn push(buffer: &mut Vec<u8>, target: &Target) {
    let next = room(target);
    let start = buffer.len();
    buffer.extend(target.start.to_ne_bytes());
    buffer.extend(target.len.to_ne_bytes());
    buffer.extend(0u32.to_ne_bytes());
    buffer.extend((next as u32).to_ne_bytes());
    let mut kind = [0; TYPE_LEN];
    kind[..target.kind.len()].copy_from_slice(target.kind.as_bytes());
    buffer.extend(kind);
    buffer.extend(target.params.as_bytes());
    buffer.resize(start + next, 0);
}
