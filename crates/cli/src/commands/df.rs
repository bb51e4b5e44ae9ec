//! `drupe df`: free space of filesystems.

use std::io::Write;

use drupe::StatFs;
use serde::Serialize;

use crate::args::Df;
use crate::context::Context;
use crate::describe::human;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::location::Volume;
use crate::output::{Report, Stdout};

/// A filesystem; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Json {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<Vec<u8>>,
    size: u64,
    used: u64,
    /// For others than root.
    available: u64,
    inodes: u64,
    inodes_used: u64,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Df) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut rows = Vec::new();
    for image in &command.images {
        let volume = context.path(image)?.volume;
        let mounted = context.session.mount(&volume);
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let room = mount.statfs().map_err(Into::into);
        if let Some(room) = report.accept(volume.label(), room) {
            rows.push((volume, room));
        }
    }
    let mut out = Stdout::lines();
    if let Some(mut list) = JsonList::new(&context.options) {
        for (volume, room) in rows {
            list.push(&mut out, &json(&volume, &room))?;
        }
        list.finish(&mut out)?;
        return Ok(report.code());
    }
    let head = match (command.inodes, command.human) {
        (true, _) => ["Inodes", "IUsed", "IFree", "IUse%"],
        (false, true) => ["Size", "Used", "Avail", "Use%"],
        (false, false) => ["1K-blocks", "Used", "Available", "Use%"],
    };
    if rows.is_empty() {
        return Ok(report.code());
    }
    let width = rows
        .iter()
        .map(|(volume, _)| volume.label().chars().count());
    let width = width.max().unwrap_or(0).max("Filesystem".len());
    let [total, used, free, share] = head;
    writeln!(
        out,
        "{:width$} {total:>10} {used:>10} {free:>10} {share:>5}",
        "Filesystem"
    )?;
    for (volume, room) in rows {
        let label = volume.label();
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
    Ok(report.code())
}

fn used_bytes(room: &StatFs) -> u64 {
    room.total().saturating_sub(room.free())
}

fn json(volume: &Volume, room: &StatFs) -> Json {
    let image = volume.name();
    Json {
        image: text_of(&image),
        image_bytes: bytes_of(&image),
        size: room.total(),
        used: used_bytes(room),
        available: room.available(),
        inodes: room.files(),
        inodes_used: room.files().saturating_sub(room.files_free()),
    }
}
