//! `drupe df`: room in filesystems.

use std::io::Write;

use drupe::StatFs;
use serde::Serialize;

use crate::args::Df;
use crate::context::Context;
use crate::describe::human;
use crate::exit::{ExitCode, Failure};
use crate::json_list::JsonList;
use crate::output::Stdout;

/// A filesystem; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Json {
    image: String,
    size: u64,
    used: u64,
    /// For others than root.
    available: u64,
    inodes: u64,
    inodes_used: u64,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Df) -> Result<ExitCode, Failure> {
    let mut rows = Vec::new();
    for image in &command.images {
        let volume = context.path(image)?.volume;
        let room = context.session.mount(&volume)?.statfs()?;
        rows.push((volume.label(), room));
    }
    let mut out = Stdout::lines();
    if let Some(mut list) = JsonList::new(&context.options) {
        for row in rows {
            list.push(&mut out, &json(row))?;
        }
        list.finish(&mut out)?;
        return Ok(ExitCode::Success);
    }
    let head = match (command.inodes, command.human) {
        (true, _) => ["Inodes", "IUsed", "IFree", "IUse%"],
        (false, true) => ["Size", "Used", "Avail", "Use%"],
        (false, false) => ["1K-blocks", "Used", "Available", "Use%"],
    };
    let width = rows.iter().map(|(label, _)| label.chars().count());
    let width = width.max().unwrap_or(0).max("Filesystem".len());
    let [total, used, free, share] = head;
    writeln!(
        out,
        "{:width$} {total:>10} {used:>10} {free:>10} {share:>5}",
        "Filesystem"
    )?;
    for (label, room) in rows {
        let (total, used, free) = match command.inodes {
            true => (
                room.files(),
                room.files().saturating_sub(room.files_free()),
                room.files_free(),
            ),
            false => (room.total(), used_bytes(&room), room.available()),
        };
        let show = |number: u64| match (command.human, command.inodes) {
            (true, _) => human(number),
            (false, true) => number.to_string(),
            (false, false) => number.div_ceil(1024).to_string(),
        };
        let share = match used.saturating_add(free) {
            0 => "-".to_owned(),
            all => format!("{}%", (u128::from(used) * 100).div_ceil(u128::from(all))),
        };
        let (total, used, free) = (show(total), show(used), show(free));
        writeln!(
            out,
            "{label:width$} {total:>10} {used:>10} {free:>10} {share:>5}"
        )?;
    }
    Ok(ExitCode::Success)
}

fn used_bytes(room: &StatFs) -> u64 {
    room.total().saturating_sub(room.free())
}

fn json((image, room): (String, StatFs)) -> Json {
    Json {
        image,
        size: room.total(),
        used: used_bytes(&room),
        available: room.available(),
        inodes: room.files(),
        inodes_used: room.files().saturating_sub(room.files_free()),
    }
}
