//! [`LayoutWriter`]: adds an image to an OCI layout.
//!
//! A blob gets its name, which is its digest, when it is complete; `index.json` names the
//! image last. So a layout is one at any moment.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::layout::VERSION;
use crate::manifest::{self, Descriptor, REF_NAME, media};
use crate::platform::Platform;
use crate::verify;

/// How the layer of a new image is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, which every tool reads.
    #[default]
    Gzip,
    /// zstd.
    Zstd,
}

/// The configuration of a new image.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NewConfig {
    /// When it was made, as RFC 3339.
    pub created: Option<String>,
    /// The user that its processes begin with: a name or number, and a group behind a colon.
    pub user: Option<String>,
    /// Variables of the environment, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// The program, and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that whoever runs it may replace.
    pub cmd: Vec<String>,
    /// The directory that it begins in.
    pub workdir: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Ports that it listens on, as `80/tcp`.
    pub ports: Vec<String>,
    /// Directories for data that is no part of the image.
    pub volumes: Vec<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
}

/// A layout that an image is being added to.
#[derive(Debug)]
pub struct LayoutWriter {
    dir: PathBuf,
    /// Directories that this writer has made, which go with it unless it commits.
    made: Vec<PathBuf>,
}

/// A blob that has no name yet.
struct NewBlob {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    size: u64,
    kept: bool,
}

/// A layer that is being written, as a tar archive that is not compressed.
pub struct LayerWriter {
    encoder: Encoder,
    contents: Hasher,
    media_type: String,
    dir: PathBuf,
}

impl fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerWriter")
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

enum Encoder {
    Plain(NewBlob),
    Gzip(flate2::write::GzEncoder<NewBlob>),
    Zstd(zstd::Encoder<'static, NewBlob>),
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    descriptor: Descriptor,
    diff_id: Digest,
}

impl LayoutWriter {
    /// Opens a layout, or begins a new one in a directory that is empty or not there.
    ///
    /// # Errors
    ///
    /// The directory holds something else, or cannot be made.
    pub fn open(dir: &Path) -> Result<LayoutWriter> {
        let mut writer = LayoutWriter {
            dir: dir.to_owned(),
            made: Vec::new(),
        };
        if !dir.join("oci-layout").exists() && has_entries(dir)? {
            let name = dir.display().to_string();
            let problem = "it is neither an OCI layout nor an empty directory";
            return Err(Error::unsupported(name, problem));
        }
        for path in [dir.to_owned(), dir.join("blobs"), dir.join("blobs/sha256")] {
            match fs::create_dir(&path) {
                Ok(()) => writer.made.push(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file(path.display().to_string(), error)),
            }
        }
        Ok(writer)
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    /// Begins a layer.
    ///
    /// # Errors
    ///
    /// The file of the blob cannot be made.
    pub fn layer(&self, compression: Compression) -> Result<LayerWriter> {
        let blob = NewBlob::new(&self.blobs())?;
        let (encoder, suffix) = match compression {
            Compression::None => (Encoder::Plain(blob), ""),
            Compression::Gzip => {
                // No name and no time: the same contents make the same blob.
                let level = flate2::Compression::new(6);
                let encoder = flate2::GzBuilder::new().write(blob, level);
                (Encoder::Gzip(encoder), "+gzip")
            }
            Compression::Zstd => {
                let name = blob.path.display().to_string();
                let encoder = zstd::Encoder::new(blob, 3);
                let encoder = encoder.map_err(|error| Error::file(name, error))?;
                (Encoder::Zstd(encoder), "+zstd")
            }
        };
        Ok(LayerWriter {
            encoder,
            contents: Hasher::new(),
            media_type: format!("{}{suffix}", media::LAYER),
            dir: self.blobs(),
        })
    }

    /// Adds the image with these layers, and gives it the tag. An image that had the tag
    /// loses it. Without a tag, it replaces the one without a tag. Returns the digest of
    /// its manifest.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or the index that is there cannot be read.
    pub fn commit(
        mut self,
        platform: &Platform,
        config: &NewConfig,
        layers: &[NewLayer],
        tag: Option<&str>,
    ) -> Result<Digest> {
        let config = self.document(media::CONFIG, &config.document(platform, layers))?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media::MANIFEST,
            "config": config,
            "layers": layers.iter().map(|layer| &layer.descriptor).collect::<Vec<_>>(),
        });
        let mut of = self.document(media::MANIFEST, &manifest)?;
        of.platform = Some(platform.clone());
        if let Some(tag) = tag {
            of.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        let index = self.index(&of, tag)?;
        self.replace("index.json", &index)?;
        // What makes it a layout: last.
        if !self.dir.join("oci-layout").exists() {
            self.replace("oci-layout", &json!({ "imageLayoutVersion": VERSION }))?;
        }
        self.made.clear();
        Ok(of.digest)
    }

    /// The index, with one more image.
    fn index(&self, of: &Descriptor, tag: Option<&str>) -> Result<Value> {
        let path = self.dir.join("index.json");
        let shown = path.display().to_string();
        let mut index = match File::open(&path) {
            Ok(file) => manifest::parse(&shown, &verify::limited(file, &shown)?)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => json!({
                "schemaVersion": 2,
                "mediaType": media::INDEX,
                "manifests": [],
            }),
            Err(error) => return Err(Error::file(shown, error)),
        };
        let Some(images) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            return Err(Error::invalid(shown, "it has no list of manifests"));
        };
        images.retain(|image| {
            let known = &image["annotations"][REF_NAME];
            match tag {
                Some(tag) => known != tag,
                None => !known.is_null(),
            }
        });
        images.push(value(of)?);
        Ok(index)
    }

    /// Writes a document as a blob.
    fn document(&self, media_type: &str, document: &Value) -> Result<Descriptor> {
        let bytes = serde_json::to_vec(document).map_err(|error| internal(&error))?;
        let mut blob = NewBlob::new(&self.blobs())?;
        let name = blob.path.display().to_string();
        blob.write_all(&bytes)
            .map_err(|error| Error::file(name, error))?;
        let (digest, size) = blob.keep(&self.blobs())?;
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// Writes a file of the layout; an old one stays until it is complete.
    fn replace(&self, name: &str, document: &Value) -> Result<()> {
        let bytes = serde_json::to_vec(document).map_err(|error| internal(&error))?;
        let mut file = NewBlob::new(&self.dir)?;
        let shown = self.dir.join(name).display().to_string();
        let written = file
            .write_all(&bytes)
            .and_then(|()| file.file.sync_all())
            .and_then(|()| fs::rename(&file.path, self.dir.join(name)));
        written.map_err(|error| Error::file(shown, error))?;
        file.kept = true;
        Ok(())
    }
}

impl Drop for LayoutWriter {
    fn drop(&mut self) {
        // Those that are empty; the failure is told already.
        for path in self.made.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

impl NewConfig {
    fn document(&self, platform: &Platform, layers: &[NewLayer]) -> Value {
        let set = |names: &[String]| {
            let all = names.iter().map(|name| (name.clone(), json!({})));
            Value::Object(all.collect())
        };
        let mut config = serde_json::Map::new();
        let mut put = |name: &str, value: Value| {
            let empty = match &value {
                Value::Null => true,
                Value::Array(all) => all.is_empty(),
                Value::Object(all) => all.is_empty(),
                _ => false,
            };
            if !empty {
                config.insert(name.to_owned(), value);
            }
        };
        put("User", json!(self.user));
        put("ExposedPorts", set(&self.ports));
        put("Env", json!(self.env));
        put("Entrypoint", json!(self.entrypoint));
        put("Cmd", json!(self.cmd));
        put("Volumes", set(&self.volumes));
        put("WorkingDir", json!(self.workdir));
        put("Labels", json!(self.labels));
        put("StopSignal", json!(self.stop_signal));
        let mut document = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "config": config,
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
            },
        });
        let history: Vec<Value> = layers
            .iter()
            .map(|_| match &self.created {
                Some(created) => json!({ "created": created, "created_by": "drupe oci pack" }),
                None => json!({ "created_by": "drupe oci pack" }),
            })
            .collect();
        document["history"] = Value::Array(history);
        if let Some(variant) = &platform.variant {
            document["variant"] = json!(variant);
        }
        if let Some(created) = &self.created {
            document["created"] = json!(created);
        }
        document
    }
}

impl LayerWriter {
    /// Ends the layer. Until then, and if it is dropped, there is none.
    ///
    /// # Errors
    ///
    /// The rest of it could not be written.
    pub fn finish(self) -> Result<NewLayer> {
        let failed = |error| Error::file(self.dir.display().to_string(), error);
        let blob = match self.encoder {
            Encoder::Plain(blob) => blob,
            Encoder::Gzip(encoder) => encoder.finish().map_err(failed)?,
            Encoder::Zstd(encoder) => encoder.finish().map_err(failed)?,
        };
        let (digest, size) = blob.keep(&self.dir)?;
        Ok(NewLayer {
            descriptor: Descriptor::new(&self.media_type, digest, size),
            diff_id: self.contents.finish(),
        })
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.encoder {
            Encoder::Plain(blob) => blob.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }?;
        self.contents.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewBlob {
    fn new(dir: &Path) -> Result<NewBlob> {
        for number in 0..1000 {
            let path = dir.join(format!(".drupe-{number}"));
            match File::options().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file(path.display().to_string(), error)),
                Ok(file) => {
                    return Ok(NewBlob {
                        file,
                        path,
                        hasher: Hasher::new(),
                        size: 0,
                        kept: false,
                    });
                }
            }
        }
        let problem = "there are a thousand files .drupe-N: remove those that nobody writes";
        Err(Error::unsupported(dir.display().to_string(), problem))
    }

    /// Gives it the name of its digest.
    fn keep(mut self, dir: &Path) -> Result<(Digest, u64)> {
        let digest = std::mem::replace(&mut self.hasher, Hasher::new()).finish();
        let kept = self.file.sync_all();
        let kept = kept.and_then(|()| fs::rename(&self.path, dir.join(digest.hex())));
        kept.map_err(|error| Error::file(self.path.display().to_string(), error))?;
        self.kept = true;
        Ok((digest, self.size))
    }
}

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.kept {
            // The failure is told already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn has_entries(dir: &Path) -> Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file(dir.display().to_string(), error)),
    }
}

fn value(of: &impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|error| internal(&error))
}

fn internal(error: &serde_json::Error) -> Error {
    Error::invalid("the new image", error.to_string())
}
