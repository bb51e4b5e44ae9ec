//! What is told of the partitions: a table, or JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Write;

use drupe_repart::{Definition, Planned};
use serde::Serialize;

use super::verity::RootHash;
use crate::context::Context;
use crate::describe::human;
use crate::exit::Failure;
use crate::json_list::JsonList;
use crate::output::{Names, Stdout};

/// A partition; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: String,
    label: String,
    uuid: String,
    file: Option<&'a str>,
    number: u32,
    offset: u64,
    size: u64,
    old_size: Option<u64>,
    padding: u64,
    activity: &'static str,
    /// Of partitions with `Verity=`, if they are new.
    roothash: Option<String>,
}

/// Prints all partitions. `mbr`: the identifier of the table, if it is an MBR.
pub(crate) fn show(
    context: &Context<'_>,
    definitions: &[Definition],
    planned: &[Planned],
    roots: &BTreeMap<usize, RootHash>,
    mbr: Option<u32>,
) -> Result<(), Failure> {
    let list = JsonList::new(&context.options);
    // Of a table that somebody else has made.
    let names = Names::for_stdout();
    let shown = |label: &str| match list {
        Some(_) => label.to_owned(),
        None => String::from_utf8_lossy(&names.show(OsStr::new(label))).into_owned(),
    };
    let rows: Vec<_> = planned
        .iter()
        .map(|one| {
            let partition = &one.partition;
            let kind = drupe_repart::PartitionType::of(partition.kind);
            Json {
                kind: kind.name.unwrap_or_else(|| partition.kind.to_string()),
                label: match mbr {
                    None => shown(&partition.label),
                    Some(_) => String::new(),
                },
                uuid: match mbr {
                    None => partition.uuid.to_string(),
                    // As blkid's PARTUUID.
                    Some(id) => format!("{id:08x}-{:02x}", partition.number),
                },
                file: one.definition.map(|number| &*definitions[number].file),
                number: partition.number,
                offset: partition.start,
                size: partition.size,
                old_size: one.old_size,
                padding: one.padding,
                activity: match one.old_size {
                    None => "create",
                    Some(old) if old == partition.size => "unchanged",
                    Some(_) => "resize",
                },
                roothash: one
                    .definition
                    .and_then(|number| roots.get(&number))
                    .map(RootHash::to_string),
            }
        })
        .collect();
    let mut out = Stdout::lines();
    if let Some(mut list) = list {
        for row in &rows {
            list.push(&mut out, row)?;
        }
        list.finish(&mut out)?;
        return Ok(());
    }
    if context.options.quiet {
        return Ok(());
    }
    let width = |of: &dyn Fn(&Json<'_>) -> usize, head: &str| {
        rows.iter().map(of).max().unwrap_or(0).max(head.len())
    };
    let kind = width(&|row| row.kind.chars().count(), "TYPE");
    let label = width(&|row| row.label.chars().count(), "LABEL");
    let file = width(&|row| row.file.unwrap_or("-").chars().count(), "FILE");
    writeln!(
        out,
        "{:>3} {:kind$} {:label$} {:36} {:file$} {:>9} {:>9} ACTIVITY",
        "NR", "TYPE", "LABEL", "UUID", "FILE", "SIZE", "PADDING"
    )?;
    for row in &rows {
        writeln!(
            out,
            "{:>3} {:kind$} {:label$} {:36} {:file$} {:>9} {:>9} {}",
            row.number,
            row.kind,
            row.label,
            row.uuid,
            row.file.unwrap_or("-"),
            human(row.size),
            human(row.padding),
            row.activity
        )?;
    }
    let mut told = BTreeSet::new();
    for row in &rows {
        // That of the data and of its hashes is the same.
        if let Some(root) = row.roothash.as_ref().filter(|&root| told.insert(root)) {
            writeln!(out, "root hash of {}: {root}", row.file.unwrap_or("-"))?;
        }
    }
    Ok(())
}
