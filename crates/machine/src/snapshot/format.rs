//! The file format of a snapshot: its header and tables.
//!
//! ```text
//!   header │ runs │ copies │ negated │ area │ secrets │ stacks │ log │ (to a page) │ pages …
//! ```
//!
//! Numbers are little-endian. The same image on the same kind of processor gives the same
//! bytes.

use super::{Copied, MappedRun, PAGE, Run};

/// The first bytes; the last one is the format's version.
const MAGIC: u64 = u64::from_le_bytes(*b"drupsna\x01");

/// The number of 64-bit numbers in a header.
const HEADER: usize = 1 + 4 + 8 + 2 + 2 + 7 + 2 * 7;

/// A table: its start, and its number of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) start: u64,
    pub(crate) count: u64,
}

/// The header of a snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// SHA-256 of the image.
    pub(crate) image_id: [u8; 32],
    /// The features of the processor that the kernel booted on; see
    /// [`processor`](super::processor).
    pub(crate) processor: u64,
    /// Bytes of image and RAM.
    pub(crate) memory: u64,
    /// Bytes of the vmalloc area.
    pub(crate) vmalloc: u64,
    /// Pages from the base to the end of the stacks.
    pub(crate) pages: u64,
    pub(crate) cpu_count: u64,
    pub(crate) deadline: u64,
    pub(crate) init_task: u64,
    /// [`Snapshot::dense_page`](super::Snapshot::dense_page).
    pub(crate) dense: u64,
    /// The pages that the kernel has not used yet: the first one's number, and how many.
    pub(crate) unused: Table,
    /// Start and end of the code, as offsets from the base.
    pub(crate) text: Table,
    /// Offsets: `cpus`, `enter`, `extable`, `extable_end`, `fault`, `abandon`,
    /// `boot`.
    pub(crate) image: [u64; 7],
    pub(crate) runs: Table,
    pub(crate) copies: Table,
    pub(crate) negated: Table,
    pub(crate) area: Table,
    pub(crate) secrets: Table,
    pub(crate) stacks: Table,
    /// In bytes.
    pub(crate) log: Table,
}

/// Reads numbers one after the other.
///
/// # Panics
///
/// At the end of the bytes; [`Header::read`] has checked all tables.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn at(bytes: &'a [u8], table: Table) -> Reader<'a> {
        Reader(&bytes[table.start as usize..])
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().expect("inside the snapshot");
        self.0 = rest;
        *first
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn table(&mut self) -> Table {
        Table {
            start: self.u64(),
            count: self.u64(),
        }
    }
}

/// Bytes of an entry of each table.
const RUN: u64 = 12;
const COPIED: u64 = 8 + (PAGE / 64) as u64;
const NEGATED: u64 = 8;
const SHOWN: u64 = 12;
const SECRET: u64 = 4;
const STACK: u64 = 4;

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Result<Header, String> {
        if bytes.len() < HEADER * 8 || !bytes.len().is_multiple_of(PAGE) {
            return Err("there is no snapshot".to_owned());
        }
        let mut reader = Reader(bytes);
        if reader.u64() != MAGIC {
            return Err("the snapshot is of another version".to_owned());
        }
        let header = Header {
            image_id: reader.take(),
            processor: reader.u64(),
            memory: reader.u64(),
            vmalloc: reader.u64(),
            pages: reader.u64(),
            cpu_count: reader.u64(),
            deadline: reader.u64(),
            init_task: reader.u64(),
            dense: reader.u64(),
            unused: reader.table(),
            text: reader.table(),
            image: std::array::from_fn(|_| reader.u64()),
            runs: reader.table(),
            copies: reader.table(),
            negated: reader.table(),
            area: reader.table(),
            secrets: reader.table(),
            stacks: reader.table(),
            log: reader.table(),
        };
        let tables = [
            (header.runs, RUN),
            (header.copies, COPIED),
            (header.negated, NEGATED),
            (header.area, SHOWN),
            (header.secrets, SECRET),
            (header.stacks, STACK),
            (header.log, 1),
        ];
        for (table, size) in tables {
            let end = table.count.checked_mul(size);
            let end = end.and_then(|len| len.checked_add(table.start));
            if end.is_none_or(|end| end > bytes.len() as u64) {
                return Err("the snapshot is cut off".to_owned());
            }
        }
        Ok(header)
    }

    fn write(&self) -> Vec<u8> {
        let mut numbers = vec![MAGIC];
        let id = self.image_id.chunks_exact(8);
        numbers.extend(id.map(|c| u64::from_le_bytes(c.try_into().expect("eight bytes"))));
        numbers.extend([self.processor, self.memory, self.vmalloc, self.pages]);
        numbers.extend([self.cpu_count, self.deadline, self.init_task, self.dense]);
        numbers.extend([self.unused.start, self.unused.count]);
        numbers.extend([self.text.start, self.text.count]);
        numbers.extend(self.image);
        let tables = [self.runs, self.copies, self.negated];
        let rest = [self.area, self.secrets, self.stacks, self.log];
        let tables = tables.into_iter().chain(rest);
        numbers.extend(tables.flat_map(|table| [table.start, table.count]));
        debug_assert_eq!(numbers.len(), HEADER);
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

/// The tables and pages behind the header.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Places count from the first page.
    pub(crate) runs: Vec<Run>,
    /// As above.
    pub(crate) copies: Vec<Copied>,
    pub(crate) negated: Vec<u64>,
    pub(crate) area: Vec<MappedRun>,
    pub(crate) secrets: Vec<u32>,
    pub(crate) stacks: Vec<u32>,
    pub(crate) log: Vec<u8>,
    /// By their places.
    pub(crate) pages: Vec<Box<[u64; PAGE / 8]>>,
}

/// The snapshot as bytes. The tables of `header` are filled in here.
pub(crate) fn write(mut header: Header, body: &Body) -> Vec<u8> {
    let tables = body.runs.len() as u64 * RUN
        + body.copies.len() as u64 * COPIED
        + body.negated.len() as u64 * NEGATED
        + body.area.len() as u64 * SHOWN
        + body.secrets.len() as u64 * SECRET
        + body.stacks.len() as u64 * STACK
        + body.log.len() as u64;
    let first = (HEADER * 8 + tables as usize).div_ceil(PAGE);
    let place = |place: usize| ((first + place) as u32).to_le_bytes();
    let number = |number: usize| (number as u32).to_le_bytes();

    let mut out = vec![0; HEADER * 8];
    let begin = |out: &Vec<u8>, count: usize| Table {
        start: out.len() as u64,
        count: count as u64,
    };
    header.runs = begin(&out, body.runs.len());
    for run in &body.runs {
        out.extend([number(run.page), number(run.count), place(run.place)].as_flattened());
    }
    header.copies = begin(&out, body.copies.len());
    for copied in &body.copies {
        out.extend([number(copied.page), place(copied.place)].as_flattened());
        out.extend(copied.addresses.iter().flat_map(|bits| bits.to_le_bytes()));
    }
    header.negated = begin(&out, body.negated.len());
    out.extend(body.negated.iter().flat_map(|offset| offset.to_le_bytes()));
    header.area = begin(&out, body.area.len());
    for shown in &body.area {
        out.extend(
            [shown.at, shown.page, shown.count]
                .map(number)
                .as_flattened(),
        );
    }
    header.secrets = begin(&out, body.secrets.len());
    out.extend(body.secrets.iter().flat_map(|offset| offset.to_le_bytes()));
    header.stacks = begin(&out, body.stacks.len());
    out.extend(body.stacks.iter().flat_map(|number| number.to_le_bytes()));
    header.log = begin(&out, body.log.len());
    out.extend(&body.log);
    out.resize(first * PAGE, 0);
    out[..HEADER * 8].copy_from_slice(&header.write());
    for words in &body.pages {
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    out
}
