//! `drupe build`: a tree as a manifest describes it.
//!
//! It is a command of its own, not an option of `cp`: here the manifest says
//! what there is, and the directory only has the contents. [`mtree`] and
//! [`composefs`] parse into a [`tree::Tree`]; that is a source of a copy
//! ([`source`]), so that everything else is done as by `cp -a`.

mod composefs;
mod digest;
mod mtree;
mod source;
mod tree;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::args::{Build, Format};
use crate::context::Context;
use crate::copy::image::ImageDir;
use crate::copy::keep::Wanted;
use crate::copy::replace::Replacing;
use crate::copy::walk::{Top, What};
use crate::copy::{transfer, with_job};
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::users::Names;
use source::ManifestDir;
use tree::Tree;

/// What a manifest is read with.
struct Known {
    users: Names,
    groups: Names,
}

pub(crate) fn run(context: &mut Context<'_>, command: &Build) -> Result<ExitCode, Failure> {
    let dest = context.target(&command.path)?;
    let shown = command.manifest.display().to_string();
    let text = match command.manifest == Path::new("-") {
        true => {
            context.own_stdin()?;
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map(|_| text)
        }
        false => fs::read(&command.manifest),
    };
    let text = text.with_context(|| format!("cannot read {shown}"))?;
    let mount = context.mount_for_writing(&dest.volume)?;
    let known = Known {
        users: Names::users(&mount)?,
        groups: Names::groups(&mount)?,
    };
    let format = command.format.unwrap_or_else(|| guess(&text));
    let parsed = match format {
        Format::Mtree => mtree::parse(&text, &known),
        Format::Composefs => composefs::parse(&text),
    };
    let tree = parsed.map_err(|(line, error)| anyhow::anyhow!("{shown}:{line}: {error}"))?;
    let base = &command.source;
    let source = ManifestDir::root(Arc::new(tree), base);
    let source = source.map_err(|failed| failed.at(base.display().to_string()))?;
    let tops = tops(&source);
    let wanted = Wanted {
        epoch: epoch::get()?,
        ..Wanted::default()
    };
    with_job(
        context,
        true,
        &wanted,
        &Replacing::default(),
        true,
        |_, job| {
            let base =
                ImageDir::open(&mount, &dest.path).map_err(|failed| failed.at(dest.label()))?;
            let label = format!("{shown}: ");
            transfer(job, &label, tops, base, Path::new(&dest.label()))
        },
    )
}

/// All of a tree; the directory built in keeps its attributes unless the
/// manifest has some.
fn tops(source: &ManifestDir) -> Vec<Top<ManifestDir>> {
    if source.tree.is_root_given {
        return vec![Top {
            what: What::Dir(source.clone()),
            target: OsString::new(),
            shown: "/".into(),
        }];
    }
    let names = source.tree.nodes[Tree::ROOT].children.keys();
    let tops = names.map(|name| Top {
        what: What::Entry(source.clone(), name.clone()),
        target: name.clone(),
        shown: Path::new("/").join(name),
    });
    tops.collect()
}

/// A dump has nothing but lines of absolute paths with numbers behind them.
fn guess(text: &[u8]) -> Format {
    let first = text
        .split(|&byte| byte == b'\n')
        .find(|line| !line.is_empty());
    let first = first.unwrap_or_default();
    let is_number = |field: Option<&[u8]>| {
        field.is_some_and(|field| !field.is_empty() && field.iter().all(u8::is_ascii_digit))
    };
    let mut fields = first.split(|&byte| byte == b' ');
    match fields.next() {
        Some([b'/', ..]) if is_number(fields.next()) => Format::Composefs,
        _ => Format::Mtree,
    }
}
