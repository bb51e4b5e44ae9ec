//! [`Layout`]: images in an OCI layout, which is a directory or an archive of one.

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files::Files;
use crate::manifest::{self, Descriptor, Index};
use crate::source::{Blob, Source};
use crate::verify::{self, Stream};

/// The version of layouts that there is.
pub(crate) const VERSION: &str = "1.0.0";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

/// A layout.
#[derive(Debug)]
pub(crate) struct Layout {
    files: Files,
}

impl Layout {
    pub(crate) fn dir(path: &Path) -> Result<Layout> {
        Layout::new(Files::dir(path), path)
    }

    pub(crate) fn archive(path: &Path) -> Result<Layout> {
        Layout::new(Files::archive(path)?, path)
    }

    fn new(files: Files, path: &Path) -> Result<Layout> {
        const FILE: &str = "oci-layout";
        if !files.has(FILE) {
            let name = path.display().to_string();
            let problem = match files.has("manifest.json") {
                true => "it is an archive of docker save; write docker-archive: before it",
                false => "it is no OCI layout: it has no file oci-layout",
            };
            return Err(Error::not_found(name, problem));
        }
        let shown = files.shown(FILE);
        let bytes = verify::limited(files.open(FILE)?.0, &shown)?;
        let layout: LayoutFile = manifest::parse(&shown, &bytes)?;
        if layout.image_layout_version != VERSION {
            let problem = format!(
                "layouts of version {:?} are not supported",
                layout.image_layout_version
            );
            return Err(Error::unsupported(shown, problem));
        }
        Ok(Layout { files })
    }

    /// What `index.json` says there is.
    pub(crate) fn index(&self) -> Result<Index> {
        const FILE: &str = "index.json";
        let shown = self.files.shown(FILE);
        let bytes = verify::limited(self.files.open(FILE)?.0, &shown)?;
        manifest::parse(&shown, &bytes)
    }

    /// The images with a tag, or all if none is asked for: several are for several
    /// platforms.
    pub(crate) fn find(&self, name: &str, tag: Option<&str>) -> Result<Vec<Descriptor>> {
        let all = self.index()?.manifests;
        let Some(tag) = tag else {
            let names: Vec<&str> = all.iter().filter_map(|found| found.tags().next()).collect();
            let one = names.windows(2).all(|pair| pair[0] == pair[1]);
            return match (all.len(), one) {
                (0, _) => Err(Error::not_found(name, "there is no image in it")),
                (_, true) => Ok(all),
                (_, false) => {
                    let problem = format!("it has several images: choose {}", names.join(", "));
                    Err(Error::not_found(name, problem))
                }
            };
        };
        let is_named = |found: &Descriptor| found.tags().any(|known| known == tag);
        let (found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_named);
        if !found.is_empty() {
            return Ok(found);
        }
        let others: Vec<&str> = others.iter().filter_map(|d| d.tags().next()).collect();
        let there = match others.is_empty() {
            true => "none has a tag".to_owned(),
            false => format!("it has {}", others.join(", ")),
        };
        let problem = format!("there is no image with the tag {tag:?}; {there}");
        Err(Error::not_found(name, problem))
    }
}

/// Where a blob is in a layout.
fn path(blob: &Blob) -> String {
    match blob {
        Blob::Digest(blob) => {
            let digest = &blob.digest;
            format!("blobs/{}/{}", digest.algorithm(), digest.hex())
        }
        Blob::Member { name, .. } => name.clone(),
    }
}

impl Source for Layout {
    fn open(&self, blob: &Blob) -> Result<Stream> {
        Ok(self.files.open(&path(blob))?.0)
    }

    fn shown(&self, blob: &Blob) -> String {
        self.files.shown(&path(blob))
    }
}
