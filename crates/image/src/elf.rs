//! Parses the image, an ELF file. It is a self-contained, position-independent executable
//! with one text segment, one data segment and only relative relocations
//! (`kernel/arch/drupe/kernel/vmlinux.lds.S`).
//!
//! The `object` crate parses; this module checks what the loader relies on, and names
//! what it refuses.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, Rela};
use std::ops::Range;

/// Page size that segments are aligned to.
pub const PAGE_SIZE: u64 = 4096;

/// Why a file is not a kernel image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not ELF, or damaged.
    #[error("the kernel image is not a valid ELF file: {0}")]
    Malformed(#[from] object::Error),
    /// ELF, but not as the linker script makes it.
    #[error("the kernel image has {0}")]
    Unsupported(&'static str),
}

/// A loadable segment; addresses count from the base of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file; congruent to `address` modulo the page size.
    pub offset: u64,
    /// First address.
    pub address: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Bytes in memory; those behind `file_size` are zero.
    pub memory_size: u64,
}

/// A word of the data segment that holds an address. The loader stores the kernel's base
/// plus `addend` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// The word's offset from the base of the image.
    pub place: u64,
    /// The address, from the base of the image.
    pub addend: u64,
}

/// A checked image.
///
/// # Invariants
///
/// `text` starts at address 0, `data` behind it; neither overlaps the other's
/// pages, both are inside the file, and `entry` inside `text`. `relocations` is a
/// range of the file.
#[derive(Debug)]
pub struct Elf {
    /// Executable, never written.
    pub text: Segment,
    /// Writable.
    pub data: Segment,
    /// Entry point, from the base of the image.
    pub entry: u64,
    /// The range of the file that holds the relocations.
    relocations: Range<usize>,
}

fn segment<H: ProgramHeader<Endian = LE, Word = u64>>(
    header: &H,
    file_len: u64,
) -> Result<Segment, Error> {
    let (offset, file_size) = header.file_range(LE);
    let segment = Segment {
        offset,
        address: header.p_vaddr(LE),
        file_size,
        memory_size: header.p_memsz(LE),
    };
    let in_file = offset
        .checked_add(file_size)
        .is_some_and(|end| end <= file_len);
    if !in_file || segment.file_size > segment.memory_size {
        return Err(Error::Unsupported("a segment that is not in the file"));
    }
    if segment.memory_size >= 1 << 32 || segment.address >= 1 << 32 {
        return Err(Error::Unsupported("a segment beyond 4 GiB"));
    }
    if segment.offset % PAGE_SIZE != segment.address % PAGE_SIZE {
        return Err(Error::Unsupported("a segment that cannot be mapped"));
    }
    Ok(segment)
}

impl Elf {
    /// Parses and checks `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error`] when the file is damaged or is not a kernel image.
    pub fn parse(bytes: &[u8]) -> Result<Elf, Error> {
        let file = ElfFile64::<LE>::parse(bytes)?;
        let header = file.elf_header();
        let headers = header.program_headers(LE, bytes)?;
        let mut loads = headers.iter().filter(|h| h.p_type(LE) == elf::PT_LOAD);
        let (Some(text), Some(data), None) = (loads.next(), loads.next(), loads.next()) else {
            return Err(Error::Unsupported("not exactly two loadable segments"));
        };
        if text.p_flags(LE) != elf::PF_R | elf::PF_X || data.p_flags(LE) != elf::PF_R | elf::PF_W {
            return Err(Error::Unsupported("segments that are not text and data"));
        }
        let len = bytes.len() as u64;
        let (text, data) = (segment(text, len)?, segment(data, len)?);
        if text.address != 0 || text.memory_size.next_multiple_of(PAGE_SIZE) > data.address {
            return Err(Error::Unsupported("segments out of order"));
        }
        let entry = header.e_entry(LE);
        if entry >= text.file_size {
            return Err(Error::Unsupported("an entry point outside its text"));
        }
        Ok(Elf {
            text,
            data,
            entry,
            relocations: relocations(bytes, headers, &data)?,
        })
    }

    /// All relocations in file order. `bytes` must be those that were parsed. A kernel
    /// that starts from a snapshot needs no relocations.
    ///
    /// Each applies to a word of `data` that is in the file.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when one is of another kind or applies elsewhere.
    pub fn relocations(&self, bytes: &[u8]) -> Result<Vec<Relocation>, Error> {
        let table = bytes
            .get(self.relocations.clone())
            .ok_or(Error::Unsupported("relocations outside the file"))?;
        let (table, _) = object::pod::slice_from_bytes::<elf::Rela64<LE>>(table, table.len() / 24)
            .map_err(|()| Error::Unsupported("misaligned relocations"))?;
        let data = &self.data;
        let inside = |place: u64| {
            place >= data.address && place.saturating_add(8) <= data.address + data.file_size
        };
        table
            .iter()
            .map(|rela| {
                if rela.r_type(LE, false) != elf::R_X86_64_RELATIVE {
                    return Err(Error::Unsupported("a relocation that is not relative"));
                }
                let place = rela.r_offset(LE);
                if !inside(place) {
                    return Err(Error::Unsupported("a relocation outside its data"));
                }
                Ok(Relocation {
                    place,
                    addend: rela.r_addend(LE) as u64,
                })
            })
            .collect()
    }

    /// Bytes of memory from the base to the end of the last page.
    pub fn memory_size(&self) -> u64 {
        (self.data.address + self.data.memory_size).next_multiple_of(PAGE_SIZE)
    }
}

/// Finds the relocations in the file; an error if it needs anything else of a dynamic
/// linker.
fn relocations<H: ProgramHeader<Endian = LE, Word = u64>>(
    bytes: &[u8],
    headers: &[H],
    data: &Segment,
) -> Result<Range<usize>, Error> {
    let dynamic = headers
        .iter()
        .find_map(|h| h.dynamic(LE, bytes).transpose())
        .ok_or(Error::Unsupported("no dynamic section"))??;
    let (mut address, mut size) = (0, 0);
    for entry in dynamic {
        match entry.d_tag(LE) as u32 {
            elf::DT_RELA => address = entry.d_val(LE),
            elf::DT_RELASZ => size = entry.d_val(LE),
            elf::DT_NEEDED | elf::DT_JMPREL | elf::DT_TEXTREL | elf::DT_REL => {
                return Err(Error::Unsupported("imports or text relocations"));
            }
            _ => {}
        }
    }
    let start = address
        .checked_sub(data.address)
        .and_then(|offset| offset.checked_add(data.offset))
        .ok_or(Error::Unsupported("relocations outside its data"))?;
    let end = start
        .checked_add(size)
        .filter(|&end| end <= bytes.len() as u64);
    let end = end.ok_or(Error::Unsupported("relocations outside the file"))?;
    Ok(start as usize..end as usize)
}
