//! `drupe scrub`: reads everything in a btrfs and compares its checksums.

use std::io::Write;

use drupe::{Cause, Errno};
use drupe_tree::Error;
use serde::Serialize;

use crate::args::Scrub;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::output::{Report, Stdout};

/// A filesystem; the JSON output is an array of these.
#[derive(Serialize)]
struct Json {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<Vec<u8>>,
    data_read: u64,
    metadata_read: u64,
    read_errors: u64,
    checksum_errors: u64,
    verify_errors: u64,
    super_errors: u64,
    corrected_errors: u64,
    uncorrectable_errors: u64,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Scrub) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    let mut out = Stdout::lines();
    let mut json = JsonList::new(&context.options);
    for argument in &command.images {
        let volume = context.path(argument)?.volume;
        let mounted = match command.repair {
            true => context.mount_for_writing(&volume),
            false => context.session.mount(&volume),
        };
        let Some(mount) = report.settle(mounted)? else {
            continue;
        };
        let label = volume.label();
        let found = mount.scrub().map_err(|error| match error.cause() {
            Cause::Errno(Errno::NOTTY) => Error::new(
                "scrub",
                "only btrfs has checksums of everything; `drupe check-log` reads any filesystem",
            ),
            _ => error.into(),
        });
        let Some(found) = report.accept(&label, found) else {
            continue;
        };
        if !found.is_clean() {
            report.complained();
        }
        if let Some(json) = &mut json {
            let name = volume.name();
            let object = Json {
                image: text_of(&name),
                image_bytes: bytes_of(&name),
                data_read: found.data_bytes,
                metadata_read: found.tree_bytes,
                read_errors: found.read_errors,
                checksum_errors: found.checksum_errors,
                verify_errors: found.verify_errors,
                super_errors: found.super_errors,
                corrected_errors: found.corrected_errors,
                uncorrectable_errors: found.uncorrectable_errors,
            };
            json.push(&mut out, &object)?;
            continue;
        }
        let bytes = found.data_bytes.saturating_add(found.tree_bytes);
        match found.is_clean() {
            true => writeln!(out, "{label}: {bytes} bytes read, no errors")?,
            false => writeln!(
                out,
                "{label}: {bytes} bytes read, errors: read={} csum={} verify={} super={}, \
                 corrected={} uncorrectable={}",
                found.read_errors,
                found.checksum_errors,
                found.verify_errors,
                found.super_errors,
                found.corrected_errors,
                found.uncorrectable_errors
            )?,
        }
    }
    if let Some(json) = json {
        json.finish(&mut out)?;
    }
    Ok(report.code())
}
