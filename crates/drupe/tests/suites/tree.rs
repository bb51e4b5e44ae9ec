//! [`Tree`]: the exact description of a tree of files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::capabilities::Capabilities;
use crate::contents::{Contents, digest};
use crate::manifest::{Facts, Manifest};

/// A time as the kernel has it: nanoseconds since 1970.
pub(crate) type Nanos = i128;

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Directory,
    File(Contents),
    Symlink(PathBuf),
    /// `S_IFCHR` and so on, and the device number.
    Special(u32, u64),
}

/// A file without its name.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Nanos,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// A tree of files: nodes, and the names that lead to them. Several names of
/// one node are hard links.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) capabilities: Capabilities,
    pub(crate) nodes: Vec<Node>,
    /// Indices in `nodes`; every directory comes before what is in it.
    pub(crate) names: BTreeMap<PathBuf, usize>,
}

impl Tree {
    pub(crate) fn new(capabilities: Capabilities) -> Tree {
        Tree {
            capabilities,
            nodes: Vec::new(),
            names: BTreeMap::new(),
        }
    }

    /// Adds a node, and the directories in front of it; to be adorned.
    pub(crate) fn add(&mut self, path: impl AsRef<Path>, kind: Kind) -> &mut Node {
        let path = path.as_ref();
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new(""))
            && !self.names.contains_key(parent)
        {
            self.add(parent, Kind::Directory);
        }
        let index = self.nodes.len();
        let mode = match kind {
            Kind::Directory => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        self.nodes.push(Node {
            kind,
            mode,
            uid: 0,
            gid: 0,
            // Each its own, in the range of every filesystem.
            modified: 1_000_000_000_123_456_789 + index as i128 * 86_399_987_654_321,
            xattrs: Vec::new(),
        });
        self.names.insert(path.to_owned(), index);
        &mut self.nodes[index]
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: impl AsRef<Path>, contents: Contents) -> &mut Node {
        self.add(path, Kind::File(contents))
    }

    /// Adds a file of `len` bytes.
    pub(crate) fn data(&mut self, path: impl AsRef<Path>, len: u64) -> &mut Node {
        let seed = self.nodes.len() as u64;
        self.file(path, Contents::full(seed, len))
    }

    /// Adds another name of a node.
    pub(crate) fn link(&mut self, original: impl AsRef<Path>, link: impl AsRef<Path>) {
        let node = self.names[original.as_ref()];
        self.names.insert(link.as_ref().to_owned(), node);
    }

    /// The node of a name.
    pub(crate) fn node(&self, path: &Path) -> &Node {
        &self.nodes[self.names[path]]
    }

    /// What must be found where the tree is.
    pub(crate) fn manifest(&self) -> Manifest {
        let mut first: BTreeMap<usize, &Path> = BTreeMap::new();
        let facts = self.names.iter().map(|(path, &index)| {
            let first = first.entry(index).or_insert(path);
            let facts = self.nodes[index].facts(first);
            (path.clone(), facts.reduced(path, &self.capabilities))
        });
        Manifest(facts.collect())
    }
}

impl Node {
    fn facts(&self, first_name: &Path) -> Facts {
        let mut facts = Facts {
            kind: libc::S_IFREG,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            modified: self.modified,
            len: 0,
            digest: 0,
            target: PathBuf::new(),
            device: 0,
            first_name: first_name.to_owned(),
            xattrs: self.xattrs.iter().cloned().collect(),
        };
        match &self.kind {
            Kind::Directory => facts.kind = libc::S_IFDIR,
            Kind::File(contents) => {
                facts.len = contents.len();
                facts.digest = digest(&contents.bytes());
            }
            Kind::Symlink(target) => {
                facts.kind = libc::S_IFLNK;
                facts.target = target.clone();
            }
            Kind::Special(kind, device) => (facts.kind, facts.device) = (*kind, *device),
        }
        facts
    }
}
