//! [`Snapshot`]: the memory of a booted kernel, from which other kernels start.
//!
//! ```text
//!   when the program is built                      when a kernel starts
//!   ─────────────────────────                      ────────────────────
//!   boot, freeze ──▶ memory at base A ─┐
//!   boot, freeze ──▶ memory at base B ─┼▶ compare ──▶ pages, fixups ──▶ map, correct, thaw
//!   boot, freeze ──▶ memory at base C ─┘ (C verifies)
//! ```
//!
//! - This file: the pages, and which of their words are addresses.
//! - `format.rs`: the file format.
//! - `maker/`: makes a snapshot.
//! - `memory/snapshot.rs`: makes memory from one. `boot.rs`: starts a kernel in it.
//! - `kernel/arch/drupe/kernel/snapshot.c`: what the kernel does before and after.

pub(crate) mod format;

use drupe_abi as abi;
use drupe_image::elf::PAGE_SIZE;
use drupe_image::embed::{self, Backing};
use format::{Header, Reader};
use std::ffi::c_void;
use std::io;
use std::ops::Range;

/// The size of a page in bytes.
pub(crate) const PAGE: usize = PAGE_SIZE as usize;

/// Opens the file from which a snapshot's pages can be mapped.
type Open = fn() -> io::Result<Backing>;

/// The memory of a booted kernel, from which other kernels start.
///
/// # Invariants
///
/// All tables of the header are inside of `bytes`, and all pages lie between the end of
/// the image's text and the end of the stacks. [`make_snapshot`](crate::make_snapshot)
/// made it of the image whose hash it has, so its pages are all that the kernel may have
/// written to.
pub struct Snapshot {
    bytes: &'static [u8],
    header: Header,
    open: Open,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Pages that follow each other, in memory and in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first one's number, from the base.
    pub(crate) page: usize,
    /// How many.
    pub(crate) count: usize,
    /// The first one's place in the snapshot, in pages.
    pub(crate) place: usize,
}

/// A page that is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Its number, from the base.
    pub(crate) page: usize,
    /// Its place in the snapshot, in pages.
    pub(crate) place: usize,
    /// The words to which the base is to be added: a bit for each.
    pub(crate) addresses: [u64; PAGE / 8 / 64],
}

/// A run of pages of RAM that the kernel has mapped in the vmalloc area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MappedRun {
    /// The first one's number in the area.
    pub(crate) at: usize,
    /// Its number in RAM.
    pub(crate) page: usize,
    /// How many.
    pub(crate) count: usize,
}

impl Snapshot {
    /// Reads the snapshot that [`make_snapshot`](crate::make_snapshot) has written as
    /// `bytes`. `open` returns a file with the same bytes, to map them from.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes.
    pub fn new(
        bytes: &'static [u8],
        open: fn() -> io::Result<Backing>,
    ) -> Result<Snapshot, String> {
        let header = Header::read(bytes)?;
        let snapshot = Snapshot {
            bytes,
            header,
            open,
        };
        snapshot.check()?;
        Ok(snapshot)
    }

    fn check(&self) -> Result<(), String> {
        let header = &self.header;
        let places = self.bytes.len() / PAGE;
        let writable = (header.text.count as usize).div_ceil(PAGE)..header.pages as usize;
        let memory = header.memory as usize / PAGE;
        let vmalloc = header.vmalloc as usize / PAGE;
        let runs = self.runs().all(|run| {
            run.place + run.count <= places
                && writable.contains(&run.page)
                && run.page + run.count <= writable.end
        });
        let mut copies = self.copies();
        let copies = copies.all(|copy| copy.place < places && writable.contains(&copy.page));
        let negated = self
            .negated()
            .all(|offset| writable.contains(&(offset / PAGE)));
        let area = self
            .area()
            .all(|shown| shown.at + shown.count <= vmalloc && shown.page + shown.count <= memory);
        if runs && copies && negated && area {
            Ok(())
        } else {
            Err("the snapshot's pages are out of place".to_owned())
        }
    }

    /// Whether a kernel of this program's image, on this processor, with `memory` bytes
    /// can start from it.
    pub(crate) fn fits(&self, memory: usize) -> bool {
        let header = &self.header;
        memory as u64 == header.memory
            && &header.image_id == embed::id()
            && header.processor & !processor() == 0
    }

    /// Bytes of the vmalloc area.
    pub(crate) fn vmalloc_size(&self) -> usize {
        self.header.vmalloc as usize
    }

    /// The file from which the pages can be mapped.
    pub(crate) fn open(&self) -> io::Result<Backing> {
        (self.open)()
    }

    /// The first page of the huge page that has the most copied pages.
    pub(crate) fn dense_page(&self) -> usize {
        self.header.dense as usize
    }

    /// Numbers of the pages that the kernel has not used yet, which is most of its
    /// memory.
    pub(crate) fn unused(&self) -> Range<usize> {
        self.header.unused.start as usize..self.header.unused.count as usize
    }

    /// The pages that can be mapped: neither copied nor as in the image.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run> {
        let mut reader = Reader::at(self.bytes, self.header.runs);
        (0..self.header.runs.count).map(move |_| Run {
            page: reader.u32() as usize,
            count: reader.u32() as usize,
            place: reader.u32() as usize,
        })
    }

    /// The page at `place`, counted in pages.
    pub(crate) fn page(&self, place: usize) -> &[u8; PAGE] {
        let bytes = &self.bytes[place * PAGE..][..PAGE];
        bytes.try_into().expect("a page has that size")
    }

    /// The pages that are copied, in order.
    pub(crate) fn copies(&self) -> impl Iterator<Item = Copied> {
        let mut reader = Reader::at(self.bytes, self.header.copies);
        (0..self.header.copies.count).map(move |_| Copied {
            page: reader.u32() as usize,
            place: reader.u32() as usize,
            addresses: std::array::from_fn(|_| reader.u64()),
        })
    }

    /// Offsets of the words from which the base is to be subtracted.
    pub(crate) fn negated(&self) -> impl Iterator<Item = usize> {
        let mut reader = Reader::at(self.bytes, self.header.negated);
        (0..self.header.negated.count).map(move |_| reader.u64() as usize)
    }

    /// What the kernel has mapped in the vmalloc area.
    pub(crate) fn area(&self) -> impl Iterator<Item = MappedRun> {
        let mut reader = Reader::at(self.bytes, self.header.area);
        (0..self.header.area.count).map(move |_| MappedRun {
            at: reader.u32() as usize,
            page: reader.u32() as usize,
            count: reader.u32() as usize,
        })
    }

    /// Offsets of the secrets, 32 bits each, that each kernel must draw again.
    pub(crate) fn secrets(&self) -> Vec<u32> {
        let mut reader = Reader::at(self.bytes, self.header.secrets);
        (0..self.header.secrets.count)
            .map(|_| reader.u32())
            .collect()
    }

    /// Numbers of the stacks in use.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = usize> {
        let mut reader = Reader::at(self.bytes, self.header.stacks);
        (0..self.header.stacks.count).map(move |_| reader.u32() as usize)
    }

    /// The kernel's log.
    pub(crate) fn log(&self) -> &[u8] {
        let log = self.header.log;
        &self.bytes[log.start as usize..][..log.count as usize]
    }

    /// The deadline of the kernel's timer, in ns.
    pub(crate) fn deadline(&self) -> u64 {
        self.header.deadline
    }

    /// The address of process 1's task, from the base.
    pub(crate) fn init_task(&self) -> u64 {
        self.header.init_task
    }

    /// What the image tells about itself, with addresses for an image at `base`.
    pub(crate) fn image(&self, base: *mut u8) -> abi::Image {
        let header = &self.header;
        let at = |offset: u64| base.wrapping_add(offset as usize).cast::<c_void>();
        let [cpus, enter, extable, extable_end, fault, abandon, boot] = header.image.map(at);
        let address = |offset: u64| base.addr() as u64 + offset;
        // SAFETY: the image said that these offsets are those functions, and it is
        // the same image: `fits` compares its hash.
        let (enter, fault, abandon) = unsafe {
            (
                std::mem::transmute::<*mut c_void, Enter>(enter),
                std::mem::transmute::<*mut c_void, Fault>(fault),
                std::mem::transmute::<*mut c_void, Abandon>(abandon),
            )
        };
        abi::Image {
            abi_version: abi::ABI_VERSION,
            cpu_count: header.cpu_count as u32,
            cpus: cpus.cast(),
            enter,
            text_start: address(header.text.start),
            text_end: address(header.text.count),
            extable: extable.cast_const().cast(),
            extable_end: extable_end.cast_const().cast(),
            fault,
            abandon,
            boot: boot.cast(),
            // Those of this kernel are not compared with any other's.
            secrets: 0,
            secrets_end: 0,
        }
    }
}

/// The processor's features that a kernel may detect at boot, one bit each.
pub(crate) fn processor() -> u64 {
    macro_rules! features {
        ($($name:tt),*) => {
            [$(std::arch::is_x86_feature_detected!($name)),*]
        };
    }
    let features = features!(
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "pclmulqdq",
        "aes",
        "rdrand",
        "rdseed",
        "avx",
        "avx2",
        "fma",
        "bmi1",
        "bmi2",
        "lzcnt",
        "movbe",
        "adx",
        "sha",
        "gfni",
        "vaes",
        "vpclmulqdq",
        "avx512f",
        "avx512bw",
        "avx512cd",
        "avx512dq",
        "avx512vl",
        "avx512ifma",
        "avx512vbmi",
        "avx512vbmi2",
        "avx512vnni",
        "avx512bitalg",
        "avx512vpopcntdq"
    );
    let bits = features.into_iter().enumerate();
    bits.fold(0, |all, (bit, has)| all | u64::from(has) << bit)
}

type Enter = unsafe extern "C" fn(*mut abi::CpuState, *mut abi::Request) -> u32;
type Fault = unsafe extern "C" fn(*const abi::Fault);
type Abandon = unsafe extern "C" fn(*mut abi::CpuState);
