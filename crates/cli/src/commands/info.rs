//! `drupe info`: shows the partitions, volumes and filesystems of an image.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::anyhow;
use drupe::probe::Probe;
use drupe::{
    AttachedDisk, Cause, Format, Partition, PartitionInfo, Volume, VolumeError, VolumeKind,
};
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::Info;
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::json_list::{JsonList, bytes_of, text_of};
use crate::output::{Report, Stdout};
use crate::session::{self, Session, cut_short, no_driver};

/// An image; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Image {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_bytes: Option<Vec<u8>>,
    /// "raw", "qcow2", "nbd" and so on.
    format: Option<&'static str>,
    /// Of the disk, not of the file.
    size: u64,
    /// Of a logical block.
    block_size: u32,
    /// "gpt", "dos" or null.
    partition_table: Option<&'static str>,
    /// There is a table, and it cannot be read.
    #[serde(skip)]
    no_table: bool,
    /// Of the whole image.
    #[serde(flatten)]
    content: Content,
    partitions: Vec<Part>,
    /// What is made of them; empty without encryption, LVM and RAID.
    volumes: Vec<Made>,
}

/// A volume that is made of others.
#[derive(Serialize)]
struct Made {
    /// What it is called in `IMAGE@NAME`.
    name: String,
    /// "luks", "logical", "array" or "partition".
    kind: &'static str,
    /// What it is made of: names like its own, "0" for the whole image, with
    /// the image in front if it is another one.
    on: Vec<String>,
    /// The same, where one is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_bytes: Option<Vec<Vec<u8>>>,
    size: u64,
    #[serde(flatten)]
    content: Content,
}

/// A partition.
#[derive(Serialize)]
struct Part {
    number: u32,
    start: u64,
    size: u64,
    /// A UUID, or a number in hexadecimal.
    type_id: Option<String>,
    type_name: Option<&'static str>,
    name: Option<String>,
    partition_uuid: Option<String>,
    #[serde(flatten)]
    content: Content,
}

/// What an image or a partition holds.
#[derive(Serialize, Default)]
struct Content {
    /// blkid's name of the type, or null.
    filesystem: Option<&'static str>,
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_bytes: Option<Vec<u8>>,
    uuid: Option<String>,
    filesystem_size: Option<u64>,
}

impl From<Option<Probe>> for Content {
    fn from(found: Option<Probe>) -> Content {
        let Some(found) = found else {
            return Content::default();
        };
        Content {
            filesystem: Some(found.kind),
            label: found.label,
            label_bytes: found.label_bytes,
            uuid: found.uuid,
            filesystem_size: found.size,
        }
    }
}

pub(crate) fn run(context: &mut Context<'_>, command: &Info) -> Result<ExitCode, Failure> {
    let mut images = Vec::new();
    let mut failures = Vec::new();
    let mut report = Report::default();
    for image in &command.images {
        let inspected = inspect(&mut context.session, image);
        let Some((inspected, wrong)) = report.settle(inspected)? else {
            continue;
        };
        images.push(inspected);
        failures.extend(wrong);
    }
    let mut stdout = Stdout::lines();
    if let Some(mut json) = JsonList::new(&context.options) {
        for image in &images {
            json.push(&mut stdout, image)?;
        }
        json.finish(&mut stdout)?;
    } else {
        for (n, image) in images.iter().enumerate() {
            if n > 0 {
                writeln!(stdout)?;
            }
            print(&mut stdout, image)?;
        }
    }
    // What there is was shown; it is not all, or not to be used.
    for failure in failures {
        report.settle(Err::<(), _>(failure))?;
    }
    Ok(report.code())
}

/// What is on an image, and what of it is not all there or not to be used.
fn inspect(session: &mut Session<'_>, image: &Path) -> Result<(Image, Vec<Failure>), Failure> {
    let disk = session.disk(image)?;
    let cut = match cut_short(image, &disk) {
        Ok(cut) => cut,
        Err(failure) => return without_table(image, &disk, failure),
    };
    let (volumes, mut wrong) = made(session, image)?;
    let failed = |error| Failure::new(ExitCode::Image, error);
    // What can be damaged and read is a GPT.
    let damage = disk.table_damage().map_err(failed)?;
    if let Some(damage) = damage.as_ref().filter(|_| cut.is_none()) {
        // All that is shown can be used.
        let error = anyhow!("{}: {damage}", image.display());
        let failure = Failure::new(ExitCode::Failed, error);
        wrong.push(match session::remedy(image, damage) {
            Some(remedy) => failure.with_hint(remedy),
            None => failure,
        });
    }
    let mut table = damage.map(|_| "gpt");
    let mut partitions = Vec::new();
    for partition in disk.partitions().map_err(failed)? {
        let info = partition.info().map_err(failed)?;
        table = table.or(info.as_ref().map(|info| info.table));
        partitions.push(part(&partition, info).map_err(failed)?);
    }
    wrong.extend(cut);
    wrong.extend(no_driver(image, &disk)?);
    let found = Image {
        image: text_of(image),
        image_bytes: bytes_of(image),
        format: disk.format().map(Format::name),
        size: disk.size(),
        block_size: disk.block_size(),
        partition_table: table,
        no_table: false,
        content: disk.whole().probe().map_err(failed)?.into(),
        partitions,
        volumes,
    };
    Ok((found, wrong))
}

/// What is known of an image whose partition table is damaged beyond reading.
fn without_table(
    image: &Path,
    disk: &AttachedDisk,
    failure: Failure,
) -> Result<(Image, Vec<Failure>), Failure> {
    let is_damaged = disk.partitions().is_err_and(|error| {
        matches!(
            error.cause(),
            Cause::Volume(VolumeError::Damaged { what: "GPT", .. })
        )
    });
    if !is_damaged {
        return Err(failure);
    }
    let failed = |error| Failure::new(ExitCode::Image, error);
    let found = Image {
        image: text_of(image),
        image_bytes: bytes_of(image),
        format: disk.format().map(Format::name),
        size: disk.size(),
        block_size: disk.block_size(),
        partition_table: Some("gpt"),
        no_table: true,
        content: disk.whole().probe().map_err(failed)?.into(),
        partitions: Vec::new(),
        volumes: Vec::new(),
    };
    Ok((found, vec![failure]))
}

/// What is made of the partitions. A volume that could not be made is told of. It is a
/// failure too if its headers are damaged or the passphrase is wrong; that it is locked,
/// or has parts on other images, is nothing wrong.
fn made(session: &mut Session<'_>, image: &Path) -> Result<(Vec<Made>, Vec<Failure>), Failure> {
    let disk = session.disk(image)?;
    let failed = |error| Failure::new(ExitCode::Image, error);
    let mut parts = disk.partitions().map_err(failed)?;
    parts.push(disk.whole());
    let mut any = false;
    for part in &parts {
        let found = part.probe().map_err(failed)?;
        any |= found.is_some_and(|found| session::is_container(found.kind));
    }
    if !any {
        return Ok((Vec::new(), Vec::new()));
    }
    let others = session.together(image)?[1..].to_vec();
    let volumes = session.volumes(image, false)?;
    let name = |volume: &Volume| match volume.disk().checked_sub(1) {
        Some(other) => crate::location::Volume {
            image: others[other].clone(),
            part: Some(volume.id().to_owned()),
            options: None,
        }
        .name(),
        None => volume.id().into(),
    };
    let mut all = Vec::new();
    let mut wrong = Vec::new();
    for volume in volumes.iter() {
        if let Some(trouble) = volume.trouble() {
            let image = match volume.disk().checked_sub(1) {
                Some(other) => &others[other],
                None => image,
            };
            let which = format!("{}@{}", image.display(), volume.id());
            let text = format!("{which}: {}", trouble.cause());
            match trouble.cause() {
                Cause::Volume(VolumeError::WrongPassphrase) => {
                    let failure = Failure::new(ExitCode::Image, anyhow!(text));
                    wrong.push(failure.with_hint("check --key-file or DRUPE_PASSPHRASE"));
                }
                Cause::Locked | Cause::Volume(VolumeError::Missing(_)) => {
                    crate::output::error(&text);
                }
                // It needs --replay.
                Cause::Volume(VolumeError::ReadOnly(_)) => crate::output::error(&text),
                _ => wrong.push(Failure::new(ExitCode::Image, anyhow!(text))),
            }
        }
        let kind = match volume.kind() {
            VolumeKind::Luks => "luks",
            VolumeKind::Logical => "logical",
            VolumeKind::Array => "array",
            // Of an array; those of the disk are listed already.
            VolumeKind::Partition if volume.id().contains('/') => "partition",
            _ => continue,
        };
        let on = volume.parents().iter().filter_map(|&n| volumes.get(n));
        let on: Vec<OsString> = on.map(name).collect();
        let is_text = on.iter().all(|name| name.to_str().is_some());
        all.push(Made {
            name: volume.id().to_owned(),
            kind,
            on_bytes: (!is_text).then(|| on.iter().map(|name| name.as_bytes().into()).collect()),
            on: on.iter().map(text_of).collect(),
            size: volume.partition().size(),
            content: volume.found().cloned().into(),
        });
    }
    Ok((all, wrong))
}

fn part(partition: &Partition, info: Option<PartitionInfo>) -> drupe::Result<Part> {
    let info = info.unwrap_or_default();
    Ok(Part {
        number: partition.number().unwrap_or_default(),
        start: partition.start(),
        size: partition.size(),
        type_id: Some(info.kind).filter(|kind| !kind.is_empty()),
        type_name: info.kind_name,
        name: info.name,
        partition_uuid: info.uuid,
        content: partition.probe()?.into(),
    })
}

fn print(out: &mut impl Write, image: &Image) -> io::Result<()> {
    write!(out, "{}: {}", image.image, BinaryBytes(image.size))?;
    if let Some(format) = image.format.filter(|format| *format != "raw") {
        write!(out, ", {format}")?;
    }
    if image.block_size != 512 {
        write!(out, ", blocks of {} bytes", image.block_size)?;
    }
    if let Some(table) = image.partition_table {
        write!(out, ", {table} partition table")?;
    }
    if image.no_table && image.content.filesystem.is_none() {
        return writeln!(out, ", which is damaged");
    }
    if image.content.filesystem.is_none() && image.partitions.is_empty() {
        return match image.partition_table {
            Some(_) => writeln!(out, ", none of its partitions is all there"),
            None => writeln!(out, ", nothing known on it"),
        };
    }
    writeln!(out)?;

    let header = [
        "PART",
        "START",
        "SIZE",
        "TYPE",
        "NAME",
        "FILESYSTEM",
        "LABEL",
        "UUID",
        "FS SIZE",
        "PARTUUID",
    ];
    let mut rows = vec![header.map(String::from)];
    if image.content.filesystem.is_some() {
        let fields = [
            "-".into(),
            "0".into(),
            size(Some(image.size)),
            dash(None),
            dash(None),
        ];
        rows.push(row(fields, &image.content, None));
    }
    for part in &image.partitions {
        let kind = part.type_name.map(String::from).or(part.type_id.clone());
        let fields = [
            part.number.to_string(),
            size(Some(part.start)),
            size(Some(part.size)),
            dash(kind),
            dash(part.name.clone()),
        ];
        rows.push(row(fields, &part.content, part.partition_uuid.clone()));
    }
    for volume in &image.volumes {
        let fields = [
            volume.name.clone(),
            dash(None),
            size(Some(volume.size)),
            format!("{} on {}", volume.kind, volume.on.join(", ")),
            dash(None),
        ];
        rows.push(row(fields, &volume.content, None));
    }
    table(out, &rows)
}

fn row(fields: [String; 5], content: &Content, partition_uuid: Option<String>) -> [String; 10] {
    let [number, start, length, kind, name] = fields;
    [
        number,
        start,
        length,
        kind,
        name,
        dash(content.filesystem.map(String::from)),
        dash(content.label.clone()),
        dash(content.uuid.clone()),
        size(content.filesystem_size),
        dash(partition_uuid),
    ]
}

/// Names come from the image: control characters would reach the terminal.
fn dash(text: Option<String>) -> String {
    match text {
        Some(text) if text.contains(char::is_control) => text.escape_debug().to_string(),
        Some(text) => text,
        None => "-".into(),
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or("-".into(), |bytes| BinaryBytes(bytes).to_string())
}

/// Columns as wide as their widest field.
fn table<const N: usize>(out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    // The last column is left out where nothing has it.
    let is_empty = |column: usize| rows[1..].iter().all(|row| row[column] == "-");
    let columns = N - usize::from(is_empty(N - 1));
    for row in rows {
        let mut line = String::new();
        for (field, &width) in row.iter().zip(&widths).take(columns) {
            line.push_str(&format!("{field:width$}  "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
