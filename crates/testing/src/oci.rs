//! Container images for tests: [`LayerTar`] makes a layer, [`Layout`] an OCI layout of
//! layers.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// The seconds of a member's time, of which the layer adds one for each member.
const TIME: u64 = 1_500_000_000;

/// The archive of a layer.
pub struct LayerTar {
    members: Builder<Vec<u8>>,
    time: u64,
}

/// A member of a layer.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its path, as it is: it may lead out.
    pub path: &'a str,
    /// Its type.
    pub kind: EntryType,
    /// Permissions.
    pub mode: u32,
    /// User and group.
    pub owner: (u64, u64),
    /// The target of a link.
    pub link: &'a str,
    /// Contents of a file.
    pub contents: &'a [u8],
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: &'a [(&'a str, &'a [u8])],
}

impl<'a> Member<'a> {
    /// A member of root's.
    pub fn new(path: &'a str, kind: EntryType, mode: u32) -> Member<'a> {
        Member {
            path,
            kind,
            mode,
            owner: (0, 0),
            link: "",
            contents: b"",
            device: (0, 0),
            xattrs: &[],
        }
    }
}

impl fmt::Debug for LayerTar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerTar").finish_non_exhaustive()
    }
}

impl Default for LayerTar {
    fn default() -> LayerTar {
        LayerTar {
            members: Builder::new(Vec::new()),
            time: TIME,
        }
    }
}

impl LayerTar {
    /// Adds a member.
    ///
    /// # Panics
    ///
    /// No archive can have it.
    #[must_use]
    pub fn member(mut self, member: Member<'_>) -> LayerTar {
        let mut header = Header::new_ustar();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_mtime(self.time);
        self.time += 1;
        header.set_size(member.contents.len() as u64);
        header
            .set_device_major(member.device.0)
            .and_then(|()| header.set_device_minor(member.device.1))
            .expect("a ustar header");
        // By the bytes: the crate refuses paths that lead out.
        let ustar = header.as_ustar_mut().expect("a ustar header");
        ustar.name[..member.path.len()].copy_from_slice(member.path.as_bytes());
        ustar.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        header.set_cksum();
        let xattrs: Vec<(String, &[u8])> = member
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value))
            .collect();
        if !xattrs.is_empty() {
            let records = xattrs.iter().map(|(name, value)| (name.as_str(), *value));
            self.members.append_pax_extensions(records).expect("memory");
        }
        self.members
            .append(&header, member.contents)
            .expect("memory");
        self
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, path: &str) -> LayerTar {
        self.member(Member::new(path, EntryType::Directory, 0o755))
    }

    /// Adds a file; a whiteout too.
    #[must_use]
    pub fn file(self, path: &str, contents: &str) -> LayerTar {
        self.member(Member {
            contents: contents.as_bytes(),
            ..Member::new(path, EntryType::Regular, 0o644)
        })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> LayerTar {
        self.member(Member {
            link: target,
            ..Member::new(path, EntryType::Symlink, 0o777)
        })
    }

    /// Adds a hard link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> LayerTar {
        self.member(Member {
            link: target,
            ..Member::new(path, EntryType::Link, 0o644)
        })
    }

    /// The archive.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn finish(self) -> Vec<u8> {
        self.members.into_inner().expect("memory")
    }
}

/// The digest of some bytes, with `sha256:` in front.
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Compresses with gzip.
///
/// # Panics
///
/// Never.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An OCI layout.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    images: Vec<Value>,
}

impl Layout {
    /// A new one, in a directory that is made.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn new(dir: &Path) -> io::Result<Layout> {
        fs::create_dir_all(dir.join("blobs/sha256"))?;
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Layout {
            dir: dir.to_owned(),
            images: Vec::new(),
        })
    }

    /// Where a blob is.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(digest.replace(':', "/"))
    }

    /// Writes a blob; its descriptor.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn add(&self, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
        let digest = digest(bytes);
        fs::write(self.blob(&digest), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    }

    /// Adds an image for a processor, of layers that are compressed with gzip if their
    /// place in the list is even. Returns the descriptor of its manifest.
    ///
    /// # Errors
    ///
    /// A blob cannot be written.
    pub fn image(&self, architecture: &str, layers: &[Vec<u8>]) -> io::Result<Value> {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.add(
            "application/vnd.oci.image.config.v1+json",
            config.to_string().as_bytes(),
        )?;
        let mut descriptors = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            const TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
            descriptors.push(match number % 2 {
                0 => self.add(&format!("{TYPE}+gzip"), &gzip(layer))?,
                _ => self.add(TYPE, layer)?,
            });
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": descriptors,
        });
        self.add(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        )
    }

    /// Names an image, and writes `index.json`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn tag(&mut self, mut image: Value, tag: &str) -> io::Result<()> {
        image["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        self.images.push(image);
        let index = json!({ "schemaVersion": 2, "manifests": self.images });
        fs::write(self.dir.join("index.json"), index.to_string())
    }
}
