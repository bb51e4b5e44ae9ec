//! [`ManifestDir`]: a manifest's tree as the source of a copy.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use drupe::{Buffer, Errno};

use super::digest;
use super::tree::{Contents, Node, Tree};
use crate::Interrupt;
use crate::copy::event::{Kind, Stat};
use crate::copy::host::HostFile;
use crate::copy::traits::{SourceDir, SourceFile, World, Xattrs};
use crate::error::{Error, Result, host};

/// A directory of a tree.
#[derive(Clone)]
pub(super) struct ManifestDir {
    pub(super) tree: Arc<Tree>,
    /// The directory with the contents.
    base: Arc<OwnedFd>,
    interrupt: Interrupt,
    at: usize,
}

/// A file of a tree.
pub(super) struct ManifestFile {
    stat: Stat,
    xattrs: Xattrs,
    data: Data,
}

enum Data {
    Inline { bytes: Vec<u8>, read: AtomicUsize },
    Host(HostFile),
}

impl ManifestDir {
    pub(super) fn root(tree: Arc<Tree>, base: &Path, interrupt: &Interrupt) -> Result<ManifestDir> {
        let base = host("open directory", File::open(base))?;
        Ok(ManifestDir {
            tree,
            base: Arc::new(base.into()),
            interrupt: interrupt.clone(),
            at: Tree::ROOT,
        })
    }

    fn node(&self) -> &Node {
        &self.tree.nodes[self.at]
    }

    /// Whether a file is optional and its contents are missing.
    fn is_left_out(&self, node: &Node) -> bool {
        let Contents::File(path, _) = &node.contents else {
            return false;
        };
        let opened = || HostFile::open_beneath(&*self.base, path, &self.interrupt);
        node.is_optional && opened().is_err_and(|error| error.errno() == Some(Errno::NOENT))
    }

    fn child(&self, name: &OsStr) -> Result<(usize, &Node)> {
        let index = self.node().children.get(name);
        let index = *index
            .ok_or(())
            .or_else(|()| host("find", Err(Errno::NOENT)))?;
        Ok((index, &self.tree.nodes[index]))
    }
}

impl SourceDir for ManifestDir {
    type File = ManifestFile;
    const WORLD: World = World::Host;

    fn entries(&self) -> Result<Vec<(OsString, Option<Kind>)>> {
        let children = self.node().children.iter();
        let children = children.map(|(name, &index)| (name, &self.tree.nodes[index]));
        let there = children.filter(|(_, node)| !self.is_left_out(node));
        let entries = there.map(|(name, node)| (name.clone(), Some(node.stat.kind())));
        Ok(entries.collect())
    }

    fn open_dir(&self, name: &OsStr) -> Result<ManifestDir> {
        let (at, _) = self.child(name)?;
        Ok(ManifestDir { at, ..self.clone() })
    }

    fn open(&self, name: &OsStr) -> Result<ManifestFile> {
        let (_, node) = self.child(name)?;
        let mut stat = node.stat.clone();
        let data = match &node.contents {
            Contents::File(path, size) => {
                let file = HostFile::open_beneath(&*self.base, path, &self.interrupt)?;
                let found = file.stat()?;
                if found.kind() != Kind::File {
                    return Err(Error::new("open", "its contents are not a regular file"));
                }
                if size.is_some_and(|size| size != found.size) {
                    let cause = "its contents are not of the size that the manifest says";
                    return Err(Error::new("open", cause));
                }
                if !node.digests.is_empty() {
                    digest::check(&node.digests, |into| {
                        self.interrupt.check("check")?;
                        file.read(into)
                    })?;
                    file.rewind()?;
                }
                (stat.size, stat.blocks) = (found.size, found.blocks);
                Data::Host(file)
            }
            Contents::Inline(bytes) => {
                let mut rest = &bytes[..];
                digest::check(&node.digests, |into| host("read", rest.read(into)))?;
                stat.size = bytes.len() as u64;
                stat.blocks = stat.size.div_ceil(512);
                Data::Inline {
                    bytes: bytes.clone(),
                    read: AtomicUsize::new(0),
                }
            }
            Contents::None | Contents::Link(_) => {
                return Err(Error::new("open", "it has no contents"));
            }
        };
        Ok(ManifestFile {
            stat,
            xattrs: node.xattrs.clone(),
            data,
        })
    }

    fn read_link(&self, name: &OsStr) -> Result<PathBuf> {
        match &self.child(name)?.1.contents {
            Contents::Link(target) => Ok(target.clone()),
            _ => Err(Error::new("read link", "it is no link")),
        }
    }

    fn stat_of(&self, name: &OsStr) -> Result<Stat> {
        Ok(self.child(name)?.1.stat.clone())
    }

    fn xattrs_of(&self, name: &OsStr) -> Result<Xattrs> {
        Ok(self.child(name)?.1.xattrs.clone())
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.node().stat.clone())
    }

    fn xattrs(&self) -> Result<Xattrs> {
        Ok(self.node().xattrs.clone())
    }
}

impl SourceFile for ManifestFile {
    fn stat(&self) -> Result<Stat> {
        Ok(self.stat.clone())
    }

    fn xattrs(&self) -> Result<Xattrs> {
        Ok(self.xattrs.clone())
    }

    fn read(&self, into: &mut [u8]) -> Result<usize> {
        match &self.data {
            Data::Host(file) => file.read(into),
            Data::Inline { bytes, read } => {
                let rest = bytes.get(read.load(Relaxed)..).unwrap_or_default();
                let len = rest.len().min(into.len());
                into[..len].copy_from_slice(&rest[..len]);
                read.fetch_add(len, Relaxed);
                Ok(len)
            }
        }
    }

    fn read_at(&self, buffer: &mut Buffer, range: Range<usize>, offset: u64) -> Result<usize> {
        match &self.data {
            Data::Host(file) => file.read_at(buffer, range, offset),
            Data::Inline { bytes, .. } => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let rest = bytes.get(start..).unwrap_or_default();
                let len = rest.len().min(range.len());
                buffer[range.start..][..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
        }
    }

    fn next_data(&self, offset: u64, size: u64) -> Result<Option<Range<u64>>> {
        match &self.data {
            Data::Host(file) => file.next_data(offset, size),
            Data::Inline { .. } => Ok(Some(offset..size)),
        }
    }

    fn set_direct(&self, _yes: bool) -> Result<bool> {
        Ok(false)
    }
}
