//! The image is put where it belongs: mapped, relocated, not started.

use super::layout::{Layout, PAGE};
use super::mapping::{Access, Reservation};
use drupe_image::elf::{Elf, Segment};
use drupe_image::embed::Backing;
use rustix::io::Errno;

/// Maps the image's file part at the beginning of `space`, and relocates it.
pub(super) fn load(
    space: &Reservation,
    layout: &Layout,
    elf: &Elf,
    backing: &Backing,
) -> Result<(), Errno> {
    map_segment(space, &elf.text, Access::Execute, backing)?;
    map_segment(space, &elf.data, Access::CopyOnWrite, backing)?;
    let data_end = (elf.data.address + elf.data.file_size) as usize;
    let rest = layout.file_part().end - data_end;
    // SAFETY: the rest of the data's last page, which was just mapped.
    unsafe { space.at(data_end).write_bytes(0, rest) };
    relocate(space, elf);
    Ok(())
}

fn map_segment(
    space: &Reservation,
    segment: &Segment,
    access: Access,
    backing: &Backing,
) -> Result<(), Errno> {
    let start = segment.address as usize;
    let skew = start % PAGE;
    let end = start + segment.file_size as usize;
    let offset = backing.offset + segment.offset - skew as u64;
    // SAFETY: `Elf` checks that the segments are in order, the caller that they
    // fit: nothing else is there yet.
    unsafe {
        space.map_file(
            start - skew..end.next_multiple_of(PAGE),
            access,
            &backing.file,
            offset,
        )
    }
}

fn relocate(space: &Reservation, elf: &Elf) {
    let base = space.base().addr() as u64;
    for relocation in &elf.relocations {
        // SAFETY: `Elf` guarantees a place inside the data segment, which is
        // mapped writable and not yet in use.
        unsafe {
            space
                .at(relocation.place as usize)
                .cast::<u64>()
                .write_unaligned(base.wrapping_add(relocation.addend));
        }
    }
}
