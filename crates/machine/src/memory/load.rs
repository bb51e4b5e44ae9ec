//! Maps and relocates the kernel image.

use super::layout::PAGE;
use super::mapping::{Access, Reservation};
use drupe_image::elf::{Elf, Relocation, Segment};
use drupe_image::embed::Backing;
use rustix::io::Errno;

/// Maps the first `end` bytes of the image at the beginning of `space`: all of
/// its file part, or the text and some of the data.
pub(super) fn map(
    space: &Reservation,
    elf: &Elf,
    end: usize,
    backing: &Backing,
) -> Result<(), Errno> {
    map_segment(space, &elf.text, Access::Execute, backing)?;
    let start = elf.data.address as usize;
    let data = Segment {
        file_size: elf.data.file_size.min((end - start) as u64),
        ..elf.data
    };
    if data.file_size > 0 {
        map_segment(space, &data, Access::CopyOnWrite, backing)?;
    }
    let data_end = start + data.file_size as usize;
    // SAFETY: the rest of the data's last page, which was just mapped.
    unsafe { space.at(data_end).write_bytes(0, end - data_end) };
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

/// Applies the `relocations` to the mapped image.
pub(super) fn relocate(space: &Reservation, relocations: &[Relocation]) {
    let base = space.base().addr() as u64;
    for relocation in relocations {
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
