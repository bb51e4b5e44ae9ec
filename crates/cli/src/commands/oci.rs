//! `drupe oci`: container images unpacked into filesystems, and filesystems packed as
//! images. Finding, fetching and checking them is `drupe_oci`'s.

use std::io::Write;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use drupe_oci::{Image, LayoutWriter, NewConfig, Options, Platform, Reference, Transport};
use drupe_tree::{ArchiveOptions, ExtractOptions, Outcome, Umask};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::args::{Choice, Oci, OciCommand, OciInspect, Pack, Unpack};
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::json_list::JsonList;
use crate::output::Stdout;

pub(crate) fn run(context: &mut Context<'_>, command: &Oci) -> Result<ExitCode, Failure> {
    context.heed_signals()?;
    match &command.command {
        OciCommand::Unpack(command) => unpack(context, command),
        OciCommand::Inspect(command) => inspect(context, command),
        OciCommand::Pack(command) => pack(context, command),
    }
}

fn open(context: &Context<'_>, source: &Reference, choice: &Choice) -> Result<Image, Failure> {
    let mut options = Options::default();
    options.platform = choice.platform.clone();
    options.credentials = choice.creds.clone();
    options.transport = match (choice.plain_http, choice.tls_verify) {
        (true, _) => Transport::Plain,
        (false, true) => Transport::Secure,
        (false, false) => Transport::Unverified,
    };
    options.stop = context.signals.interrupt().flag();
    Ok(Image::open(source, &options)?)
}

fn unpack(context: &mut Context<'_>, command: &Unpack) -> Result<ExitCode, Failure> {
    let dest = context.target(&command.path)?;
    let shown = command.path.display().to_string();
    // Before anything is written: there may be no such image.
    let image = open(context, &command.source, &command.choice)?;
    context.open_for_writing(&dest.volume.image)?;
    let dest = context.locate_image(dest)?;
    let options = ExtractOptions {
        exclude: command.exclude.clone(),
        whiteouts: true,
        epoch: epoch::get()?,
        ..ExtractOptions::default()
    };
    let umask = Umask::take();
    let mut begun = false;
    let unpacked = context.work(command.verbose, |work| {
        let mut errors = 0;
        for (number, layer) in image.layers().iter().enumerate() {
            let name = format!("layer {} of {}", number + 1, command.source);
            let reader = image.open_layer(layer);
            let reader =
                reader.map_err(|error| drupe_tree::Error::new("read", error.to_string()))?;
            begun = true;
            let (interrupt, progress) = (work.interrupt, work.progress);
            let done =
                drupe_tree::extract(reader, &name, &dest, &options, &umask, interrupt, progress)?;
            errors += done.errors;
        }
        Ok(Outcome { errors })
    });
    unpacked.map_err(|failure| match begun && failure.hint.is_none() {
        true => failure.with_hint(format!("{shown} has only a part of the image")),
        false => failure,
    })
}

/// What `inspect` prints.
#[derive(Serialize)]
struct Json {
    name: String,
    digest: Option<String>,
    platform: String,
    layers: Vec<JsonLayer>,
    manifest: Option<Value>,
    config: Value,
}

#[derive(Serialize)]
struct JsonLayer {
    digest: String,
    diff_id: String,
    size: u64,
}

fn inspect(context: &mut Context<'_>, command: &OciInspect) -> Result<ExitCode, Failure> {
    let image = open(context, &command.source, &command.choice)?;
    let layers = image.layers().iter().map(|layer| JsonLayer {
        digest: layer.digest().to_string(),
        diff_id: layer.diff_id().to_string(),
        size: layer.size(),
    });
    let json = Json {
        name: command.source.to_string(),
        digest: image.digest().map(ToString::to_string),
        platform: image.platform().to_string(),
        layers: layers.collect(),
        manifest: image.manifest(),
        config: image.config(),
    };
    let mut out = Stdout::buffered();
    match JsonList::new(&context.options) {
        Some(mut list) => {
            list.push(&mut out, &json)?;
            list.finish(&mut out)?;
        }
        None => {
            serde_json::to_writer_pretty(&mut out, &json).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(ExitCode::Success)
}

/// What `pack` prints.
#[derive(Serialize)]
struct Packed {
    digest: String,
}

fn pack(context: &mut Context<'_>, command: &Pack) -> Result<ExitCode, Failure> {
    let Reference::Layout { dir, tag } = &command.dest else {
        let message = format!("{}: images are packed as oci:DIR[:TAG]", command.dest);
        return Err(Failure::usage(message));
    };
    let tag = match (&command.tag, tag) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("there are two tags, {one} and {other}");
            return Err(Failure::usage(message));
        }
        (Some(tag), _) | (None, Some(tag)) => Some(tag.as_str()),
        (None, None) => None,
    };
    let source = context.path(&command.path)?;
    let epoch = epoch::get()?;
    let mut config = NewConfig::default();
    let created = match epoch {
        Some(epoch) => epoch
            .system()
            .ok_or_else(|| anyhow!("there is no such time"))?,
        None => SystemTime::now(),
    };
    let created = Timestamp::try_from(created).context("there is no such time")?;
    config.created = Some(created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    config.user = command.user.clone();
    config.env = words(&command.env);
    config.entrypoint = command.entrypoint.clone();
    config.cmd = command.cmd.clone();
    config.workdir = command.workdir.clone();
    config.labels = command.label.iter().cloned().collect();
    config.ports = command.port.clone();
    config.volumes = command.volume.clone();
    config.stop_signal = command.stop_signal.clone();
    let mut exclude = command.exclude.clone();
    exclude.push(".wh.*".into());
    let options = ArchiveOptions {
        numeric_owner: true,
        exclude,
        epoch,
        ..ArchiveOptions::default()
    };
    let source = context.locate_image(source)?;
    let layout = LayoutWriter::open(dir)?;
    let mut layer = layout.layer(command.compress.into())?;
    let name = dir.display().to_string();
    let code = context.work(command.verbose, |work| {
        let (interrupt, progress) = (work.interrupt, work.progress);
        let archived =
            drupe_tree::archive(&source, &options, &mut layer, &name, interrupt, progress)?;
        Ok(archived.unwrap_or(Outcome { errors: 1 }))
    })?;
    if code != ExitCode::Success {
        let failure = anyhow!("{name}: no image was made of a directory that can't be read whole");
        return Err(failure.into());
    }
    context.check()?;
    let layer = layer.finish()?;
    let platform = command.platform.clone().unwrap_or_else(Platform::host);
    let digest = layout.commit(&platform, &config, &[layer], tag)?;
    let mut out = Stdout::lines();
    match JsonList::new(&context.options) {
        Some(mut list) => {
            let digest = digest.to_string();
            list.push(&mut out, &Packed { digest })?;
            list.finish(&mut out)?;
        }
        None if context.options.quiet => {}
        None => writeln!(out, "{digest}")?,
    }
    Ok(ExitCode::Success)
}

fn words(pairs: &[(String, String)]) -> Vec<String> {
    let word = |(name, value): &(String, String)| format!("{name}={value}");
    pairs.iter().map(word).collect()
}
