//! [`Image`]: an image that was found and chosen, with its configuration and layers.

use std::fmt;

use serde_json::Value;

use crate::digest::Digest;
use crate::docker_archive::DockerArchive;
use crate::error::{Error, Result};
use crate::layer::LayerReader;
use crate::layout::Layout;
use crate::manifest::{self, Config, Descriptor, Document, Index, Manifest};
use crate::options::Options;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Registry;
use crate::source::{Blob, Source};
use crate::verify::{self, Verified};

/// How deep indexes may be in each other.
const DEPTH: usize = 4;

/// An image.
///
/// Its manifest and configuration were read and checked. The layers are read and checked
/// one by one.
pub struct Image {
    source: Box<dyn Source>,
    /// The manifest's bytes and digest; an archive of `docker save` has none.
    manifest: Option<(Descriptor, Vec<u8>)>,
    config_bytes: Vec<u8>,
    config: Config,
    layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    blob: Blob,
    diff_id: Digest,
}

impl Layer {
    /// The digest of the blob; of an archive of `docker save`, that of its contents.
    pub fn digest(&self) -> &Digest {
        match &self.blob {
            Blob::Digest(blob) => &blob.digest,
            Blob::Member { .. } => &self.diff_id,
        }
    }

    /// The digest of its contents, not compressed.
    pub fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    /// The bytes of the blob, which may be compressed.
    pub fn size(&self) -> u64 {
        match &self.blob {
            Blob::Digest(blob) => blob.size,
            Blob::Member { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("manifest", &self.manifest.as_ref().map(|(of, _)| of))
            .field("config", &self.config)
            .field("layers", &self.layers)
            .finish_non_exhaustive()
    }
}

impl Image {
    /// Finds an image, and chooses the one for the platform.
    ///
    /// # Errors
    ///
    /// There is none, or something about it is wrong or not supported.
    pub fn open(reference: &Reference, options: &Options) -> Result<Image> {
        let name = reference.to_string();
        match reference {
            Reference::Layout { dir, tag } => {
                Image::of_layout(Layout::dir(dir)?, &name, tag.as_deref(), options)
            }
            Reference::LayoutArchive { file, tag } => {
                Image::of_layout(Layout::archive(file)?, &name, tag.as_deref(), options)
            }
            Reference::DockerArchive { file, name: tag } => {
                let archive = DockerArchive::open(file)?;
                let parts = archive.find(&name, tag.as_deref())?;
                let blobs = parts.layers;
                let mut image =
                    Image::new(Box::new(archive), &name, None, parts.config, blobs, options)?;
                image.manifest = None;
                Ok(image)
            }
            Reference::Registry(in_registry) => {
                let registry = Registry::open(in_registry, options)?;
                let (of, bytes) = registry.manifest()?;
                let document = Document::parse(&name, &of.media_type, &bytes)?;
                let of = Some((of, bytes));
                Image::of_document(Box::new(registry), &name, document, of, options)
            }
        }
    }

    fn of_layout(
        layout: Layout,
        name: &str,
        tag: Option<&str>,
        options: &Options,
    ) -> Result<Image> {
        let mut manifests = layout.find(name, tag)?;
        if let ([only], None) = (&mut manifests[..], &options.platform) {
            // There is no choice, whatever it is for.
            only.platform = None;
        }
        let found = Index { manifests };
        Image::of_document(
            Box::new(layout),
            name,
            Document::Index(found),
            None,
            options,
        )
    }

    /// Follows indexes to the manifest for the platform.
    fn of_document(
        source: Box<dyn Source>,
        name: &str,
        mut document: Document,
        mut of: Option<(Descriptor, Vec<u8>)>,
        options: &Options,
    ) -> Result<Image> {
        for _ in 0..=DEPTH {
            let index = match document {
                Document::Manifest(manifest) => {
                    return Image::of_manifest(source, name, manifest, of, options);
                }
                Document::Index(index) => index,
            };
            let chosen = choose(name, index, options)?;
            let shown = source.shown(&Blob::Digest(chosen.clone()));
            let stream = source.open_manifest(&chosen)?;
            let bytes = verify::document(stream, &shown, chosen.size, &chosen.digest)?;
            document = Document::parse(&shown, &chosen.media_type, &bytes)?;
            of = Some((chosen, bytes));
        }
        let problem = format!("it has indexes of indexes, more than {DEPTH}");
        Err(Error::unsupported(name, problem))
    }

    fn of_manifest(
        source: Box<dyn Source>,
        name: &str,
        manifest: Manifest,
        of: Option<(Descriptor, Vec<u8>)>,
        options: &Options,
    ) -> Result<Image> {
        manifest.check(name)?;
        let config = read(&*source, &manifest.config)?;
        let blobs = manifest.layers.into_iter().map(Blob::Digest).collect();
        Image::new(source, name, of, config, blobs, options)
    }

    fn new(
        source: Box<dyn Source>,
        name: &str,
        manifest: Option<(Descriptor, Vec<u8>)>,
        config_bytes: Vec<u8>,
        blobs: Vec<Blob>,
        options: &Options,
    ) -> Result<Image> {
        let config: Config =
            manifest::parse(&format!("the configuration of {name}"), &config_bytes)?;
        if let Some(wanted) = &options.platform
            && wanted.fit(&config.platform).is_none()
        {
            let problem = format!("it is for {}, not for {wanted}", config.platform);
            return Err(Error::not_found(name, problem));
        }
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != blobs.len() {
            let problem = format!(
                "it has {} layers, and its configuration {}",
                blobs.len(),
                diff_ids.len()
            );
            return Err(Error::invalid(name, problem));
        }
        let layers = blobs.into_iter().zip(diff_ids.iter().cloned());
        Ok(Image {
            layers: layers
                .map(|(blob, diff_id)| Layer { blob, diff_id })
                .collect(),
            source,
            manifest,
            config_bytes,
            config,
        })
    }

    /// The manifest's digest; `None`: it has none, being from an archive of `docker save`.
    pub fn digest(&self) -> Option<&Digest> {
        self.manifest.as_ref().map(|(of, _)| &of.digest)
    }

    /// The manifest as JSON.
    pub fn manifest(&self) -> Option<Value> {
        let (_, bytes) = self.manifest.as_ref()?;
        serde_json::from_slice(bytes).ok()
    }

    /// The configuration as JSON.
    pub fn config(&self) -> Value {
        // It was parsed before.
        serde_json::from_slice(&self.config_bytes).unwrap_or_default()
    }

    /// The platform that it is for.
    pub fn platform(&self) -> &Platform {
        &self.config.platform
    }

    /// The layers, from the lowest.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Opens a layer of this image.
    ///
    /// # Errors
    ///
    /// It is not there, or its first bytes cannot be read.
    pub fn open_layer(&self, layer: &Layer) -> Result<LayerReader> {
        let shown = self.source.shown(&layer.blob);
        let blob = self.source.open(&layer.blob)?;
        let digest = match &layer.blob {
            Blob::Digest(blob) => Some(blob.digest.clone()),
            // The digest of its contents is all that is known.
            Blob::Member { .. } => None,
        };
        let blob = Verified::new(blob, shown.clone(), layer.size(), digest);
        let reader = LayerReader::new(blob, shown.clone(), layer.diff_id.clone());
        reader.map_err(|error| {
            let text = error.to_string();
            match text.strip_prefix(&format!("{shown}: ")) {
                Some(problem) => Error::invalid(shown, problem),
                None => Error::file(shown, error),
            }
        })
    }
}

/// Reads a document of an image.
fn read(source: &dyn Source, of: &Descriptor) -> Result<Vec<u8>> {
    let blob = Blob::Digest(of.clone());
    let shown = source.shown(&blob);
    verify::document(source.open(&blob)?, &shown, of.size, &of.digest)
}

/// The image of an index for the platform.
fn choose(name: &str, index: Index, options: &Options) -> Result<Descriptor> {
    let host = Platform::host();
    let wanted = options.platform.as_ref().unwrap_or(&host);
    let mut all = index.manifests;
    // A layout's only image says nothing of its platform; its configuration does.
    if all.len() == 1 && all[0].platform.is_none() {
        return Ok(all.remove(0));
    }
    let there: Vec<String> = all
        .iter()
        .filter_map(|image| image.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(ToString::to_string)
        .collect();
    let fit = |image: &Descriptor| image.platform.as_ref().and_then(|p| wanted.fit(p));
    // The first of those that fit best.
    let best = all.iter().filter_map(fit).max();
    let best = best.and_then(|best| all.iter().position(|image| fit(image) == Some(best)));
    match best {
        Some(best) => Ok(all.swap_remove(best)),
        None => {
            let there = match there.is_empty() {
                true => "it says of no image which platform that is for".to_owned(),
                false => format!("it has {}", there.join(", ")),
            };
            let problem = format!("there is no image for {wanted}; {there}");
            Err(Error::not_found(name, problem))
        }
    }
}
