//! Decides for each page of a snapshot whether kernels map it or copy it.

use super::compare::Page;
use crate::snapshot::format::{Body, Header, Table};
use crate::snapshot::{Copied, PAGE, Run};
use drupe_image::elf::Elf;
use drupe_image::embed;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Pages of a huge page.
const HUGE: usize = (2 << 20) / PAGE;

/// The shortest run of pages that is mapped. Copying fewer takes less time than mapping
/// them.
const MAPPED: usize = 16;

/// Decides for each page whether it is mapped, copied or left out.
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

/// Whether a page is as the loader leaves it, so that the snapshot need not have it: the
/// image's own before `dense`, zeroes behind it.
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
