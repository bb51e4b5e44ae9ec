//! [`DockerArchive`]: images in an archive of `docker save`.
//!
//! Its `manifest.json` names the files of each image. Before Docker 25 they were called
//! `ID/layer.tar`, with symbolic links among them; since then the archive is an OCI layout
//! too, and they are blobs of that.

use std::path::Path;

use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::manifest;
use crate::source::{Blob, Source};
use crate::verify::{self, Stream};

const MANIFEST: &str = "manifest.json";

/// An archive.
#[derive(Debug)]
pub(crate) struct DockerArchive {
    files: Files,
    images: Vec<Entry>,
}

/// An image in `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// The parts of an image.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Blob>,
}

impl DockerArchive {
    pub(crate) fn open(path: &Path) -> Result<DockerArchive> {
        let files = Files::archive(path)?;
        if !files.has(MANIFEST) {
            let problem = match () {
                () if files.has("oci-layout") => {
                    "it is an OCI layout; write oci-archive: before it"
                }
                () if files.has("repositories") => {
                    "it is an archive of Docker before version 1.10, which is not supported"
                }
                () => "it is no archive of docker save: it has no file manifest.json",
            };
            return Err(Error::not_found(path.display().to_string(), problem));
        }
        let shown = files.shown(MANIFEST);
        let bytes = verify::limited(files.open(MANIFEST)?.0, &shown)?;
        let images = manifest::parse(&shown, &bytes)?;
        Ok(DockerArchive { files, images })
    }

    /// The parts of an image with a name and tag, or of the only one.
    pub(crate) fn find(&self, shown: &str, name: Option<&str>) -> Result<Parts> {
        let tags = |image: &Entry| image.repo_tags.clone().unwrap_or_default();
        let full = |tag: &str| format!("docker://{tag}").parse::<crate::Reference>();
        let is_named = |tag: &String, name: &str| {
            tag == name
                || full(tag).is_ok_and(|full| full.to_string() == format!("docker://{name}"))
        };
        let found = match name {
            Some(name) => self
                .images
                .iter()
                .find(|image| tags(image).iter().any(|tag| is_named(tag, name))),
            None => self.images.first().filter(|_| self.images.len() == 1),
        };
        let Some(image) = found else {
            let there: Vec<String> = self.images.iter().flat_map(tags).collect();
            let problem = match (name, self.images.len()) {
                (_, 0) => "there is no image in it".to_owned(),
                (Some(name), _) => {
                    format!("there is no image {name}; it has {}", there.join(", "))
                }
                (None, _) => format!("it has several images: choose {}", there.join(", ")),
            };
            return Err(Error::not_found(shown, problem));
        };
        let (config, size) = self.files.open(&image.config)?;
        let name = self.files.shown(&image.config);
        // Its name is its digest, in both forms.
        let (_, file) = image.config.rsplit_once('/').unwrap_or(("", &image.config));
        let config = match Digest::sha256(file.strip_suffix(".json").unwrap_or(file)) {
            Some(digest) => verify::document(config, &name, size, &digest)?,
            None => verify::limited(config, &name)?,
        };
        let layers = image.layers.iter().flatten().map(|name| {
            let (_, size) = self.files.open(name)?;
            let name = name.clone();
            Ok(Blob::Member { name, size })
        });
        Ok(Parts {
            config,
            layers: layers.collect::<Result<_>>()?,
        })
    }
}

fn name(blob: &Blob) -> String {
    match blob {
        Blob::Member { name, .. } => name.clone(),
        Blob::Digest(blob) => blob.digest.to_string(),
    }
}

impl Source for DockerArchive {
    fn open(&self, blob: &Blob) -> Result<Stream> {
        Ok(self.files.open(&name(blob))?.0)
    }

    fn shown(&self, blob: &Blob) -> String {
        self.files.shown(&name(blob))
    }
}
