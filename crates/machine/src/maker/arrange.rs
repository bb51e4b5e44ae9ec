//! How the pages of a snapshot come into a kernel's memory.

use super::compare::Page;
use crate::snapshot::format::{Body, Header, Table};
use crate::snapshot::{Copied, PAGE, Run};
use drupe_image::elf::Elf;
use drupe_image::embed;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Pages of a huge page.
const HUGE: usize = (2 << 20) / PAGE;

/// So many pages without addresses, and those between them, are mapped: fewer are
/// copied in less time than it takes to map them.
const MAPPED: usize = 16;

/// Decides how each page comes into a kernel's memory.
pub(super) fn arrange(elf: &Elf, pages: Vec<Page>, header: &mut Header, body: &mut Body) {
    let memory = header.memory as usize / PAGE;
    let copied = pages.iter().filter(|page| page.has_addresses());
    let copied: BTreeSet<usize> = copied.map(|page| page.number).collect();
    let file_end = (elf.data.address + elf.data.file_size) as usize / PAGE;
    // The image is mapped up to there.
    let dense = (elf.data.address as usize / PAGE..memory - HUGE)
        .filter(|start| start + HUGE > file_end)
        .max_by_key(|&start| (copied.range(start..start + HUGE).count(), Reverse(start)))
        .unwrap_or_default();
    header.dense = dense as u64;
    let used: Vec<Page> = pages
        .into_iter()
        .filter(|page| page.has_addresses() || !is_as_loaded(elf, dense, page))
        .collect();
    header.unused = unused(&used, memory);

    let alike = |a: &Page, b: &Page| a.number + 1 == b.number;
    for run in used.chunk_by(alike) {
        let clean = run.iter().filter(|page| !page.has_addresses()).count();
        let place = body.pages.len();
        let beyond = dense + HUGE..memory;
        let mapped = clean >= MAPPED && beyond.contains(&run[0].number);
        if mapped {
            body.runs.push(Run {
                page: run[0].number,
                count: run.len(),
                place,
            });
        }
        for (index, page) in run.iter().enumerate() {
            body.pages.push(page.content.clone());
            if !mapped || page.has_addresses() {
                body.copies.push(Copied {
                    page: page.number,
                    place: place + index,
                    addresses: page.addresses,
                });
            }
        }
    }
}

/// The longest range of pages without any of `used`, below `end`.
fn unused(used: &[Page], end: usize) -> Table {
    let numbers = used
        .iter()
        .map(|page| page.number)
        .filter(|&number| number < end);
    let numbers: Vec<usize> = numbers.chain([end]).collect();
    let gaps = numbers.windows(2).map(|pair| (pair[0] + 1, pair[1]));
    let (start, end) = gaps
        .max_by_key(|(start, end)| end - start)
        .unwrap_or_default();
    Table {
        start: start as u64,
        count: end as u64,
    }
}

/// Whether a page is what a kernel has there anyway: the image's if it comes before
/// `dense`, or zeroes.
fn is_as_loaded(elf: &Elf, dense: usize, page: &Page) -> bool {
    let data = &elf.data;
    let mut loaded = [0u8; PAGE];
    let start = (page.number * PAGE) as u64;
    let skew = start.saturating_sub(data.address);
    if page.number < dense && skew < data.file_size {
        let len = (data.file_size - skew).min(PAGE as u64) as usize;
        let from = (data.offset + skew) as usize;
        loaded[..len].copy_from_slice(&embed::bytes()[from..from + len]);
    }
    let words = loaded.chunks_exact(8).zip(page.content.iter());
    words
        .into_iter()
        .all(|(bytes, word)| bytes == word.to_le_bytes())
}
