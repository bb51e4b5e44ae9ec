//! The JSON documents of an image: [`Index`], [`Manifest`], [`Config`], and the
//! [`Descriptor`]s by which they name blobs.
//!
//! Fields that this crate does not use are not here. Who wants to see them has the
//! documents' bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;

/// The largest document that is read: what registries take at most.
pub(crate) const LIMIT: u64 = 4 << 20;

/// Media types of OCI that this crate writes.
pub(crate) mod media {
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub(crate) const DOCKER_INDEX: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
}

/// The annotation that has the tag of an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same by containerd and buildx, with the whole name.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Names a blob: its type, digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What the blob is.
    #[serde(default)]
    pub(crate) media_type: String,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) size: u64,
    /// In an index: the platform that the image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    /// Remarks, such as the tag in a layout.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Tags of this image in a layout.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &str> {
        [REF_NAME, CONTAINERD_NAME]
            .into_iter()
            .filter_map(|name| self.annotations.get(name).map(String::as_str))
    }
}

/// A list of images: for several platforms, or those of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Index {
    /// The images.
    pub(crate) manifests: Vec<Descriptor>,
}

/// The parts of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Manifest {
    /// The configuration.
    pub(crate) config: Descriptor,
    /// The layers, from the lowest.
    pub(crate) layers: Vec<Descriptor>,
}

/// What a manifest's place may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Config {
    /// The platform that it is for.
    #[serde(flatten)]
    pub(crate) platform: Platform,
    /// The layers' contents.
    pub(crate) rootfs: RootFs,
}

/// The contents of an image's layers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RootFs {
    /// Digests of the layers when they are not compressed.
    #[serde(default)]
    pub(crate) diff_ids: Vec<Digest>,
}

/// Fields that tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
}

/// Parses a document; `name` is for the error.
pub(crate) fn parse<'a, T: Deserialize<'a>>(name: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(name, error.to_string()))
}

impl Document {
    /// Parses an index or a manifest. `media_type` is what its descriptor, or the registry,
    /// says of it; empty: nothing.
    pub(crate) fn parse(name: &str, media_type: &str, bytes: &[u8]) -> Result<Document> {
        let kind: Kind = parse(name, bytes)?;
        if kind.schema_version == Some(1) {
            let problem = "its manifest is of version 1, which Docker gave up in 2019; pull and \
                           push it with a current tool";
            return Err(Error::unsupported(name, problem));
        }
        if let Some(own) = &kind.media_type
            && !media_type.is_empty()
            && own != media_type
        {
            // A document that is read as two things by two programs.
            let problem = format!("its type is {media_type:?} outside, and {own:?} inside");
            return Err(Error::invalid(name, problem));
        }
        let kind = kind.media_type.unwrap_or_else(|| media_type.to_owned());
        match kind.as_str() {
            media::INDEX | media::DOCKER_INDEX => parse(name, bytes).map(Document::Index),
            media::MANIFEST | media::DOCKER_MANIFEST => parse(name, bytes).map(Document::Manifest),
            "" => {
                let value: serde_json::Value = parse(name, bytes)?;
                match (value.get("manifests"), value.get("layers")) {
                    (Some(_), None) => parse(name, bytes).map(Document::Index),
                    (None, Some(_)) => parse(name, bytes).map(Document::Manifest),
                    _ => Err(Error::invalid(
                        name,
                        "it is neither a manifest nor an index",
                    )),
                }
            }
            other => {
                let problem = format!("manifests of the type {other:?} are not supported");
                Err(Error::unsupported(name, problem))
            }
        }
    }
}

impl Manifest {
    /// Checks that it is one of an image whose layers can be read.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        match self.config.media_type.as_str() {
            "" | media::CONFIG | media::DOCKER_CONFIG => {}
            other => {
                let problem = format!("it is no container image, but an artifact ({other})");
                return Err(Error::unsupported(name, problem));
            }
        }
        for layer in &self.layers {
            let kind = layer.media_type.as_str();
            let base = ["+gzip", "+zstd", ".gzip", ".zstd"]
                .iter()
                .find_map(|suffix| kind.strip_suffix(suffix))
                .unwrap_or(kind);
            let digest = &layer.digest;
            match base {
                media::LAYER | "application/vnd.docker.image.rootfs.diff.tar" => {}
                "application/vnd.docker.image.rootfs.foreign.diff.tar"
                | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
                    let problem = format!(
                        "layer {digest} is a foreign one ({kind}), which is not in the image"
                    );
                    return Err(Error::unsupported(name, problem));
                }
                _ => {
                    let problem = format!("layer {digest} is of an unknown type ({kind:?})");
                    return Err(Error::unsupported(name, problem));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(layer: &str, config: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"sha256:{HEX}","size":0}},
                "layers":[{{"mediaType":"{layer}","digest":"sha256:{HEX}","size":0}}]}}"#
        )
    }

    #[test]
    fn a_type_is_one_type() {
        let bytes = format!(r#"{{"mediaType":"{}","manifests":[]}}"#, media::INDEX);
        let parsed = Document::parse("x", "", bytes.as_bytes()).expect("an index");
        assert!(matches!(parsed, Document::Index(_)));
        let error = Document::parse("x", media::MANIFEST, bytes.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
        let both = br#"{"manifests":[],"layers":[],"config":{}}"#;
        assert!(Document::parse("x", "", both).is_err());
        let old = br#"{"schemaVersion":1,"fsLayers":[]}"#;
        let error = Document::parse("x", "", old).unwrap_err();
        assert!(error.to_string().contains("version 1"), "{error}");
    }

    #[test]
    fn foreign_layers_are_named() {
        let check = |layer: &str, config: &str| {
            let bytes = manifest(layer, config);
            match Document::parse("x", media::MANIFEST, bytes.as_bytes()).expect("a manifest") {
                Document::Manifest(manifest) => manifest.check("x").map_err(|e| e.to_string()),
                Document::Index(_) => panic!("an index"),
            }
        };
        for layer in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ] {
            assert_eq!(check(layer, media::CONFIG), Ok(()), "{layer}");
        }
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let error = check(foreign, media::CONFIG).unwrap_err();
        assert!(error.contains(HEX) && error.contains("foreign"), "{error}");
        assert!(check("text/plain", media::CONFIG).is_err());
        let error = check(media::LAYER, "application/vnd.cncf.helm.config.v1+json").unwrap_err();
        assert!(error.contains("artifact"), "{error}");
    }
}
