//! `ExcludeFiles=` and `ExcludeFilesTarget=`: what of one `CopyFiles=` is left out.

use std::path::{Path, PathBuf};

use drupe_repart::{CopyFiles, Definition};

use super::sources;

/// Paths, from where the files are copied to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Files, and directories with their contents.
    pub(crate) entirely: Vec<PathBuf>,
    /// Directories of which only the contents are left out.
    pub(crate) below: Vec<PathBuf>,
}

/// What of `files` is left out, whose source is `source` on the host; `None`: everything.
pub(crate) fn of(
    root: Option<&Path>,
    definition: &Definition,
    files: &CopyFiles,
    source: &Path,
) -> Option<LeftOut> {
    let mut left_out = LeftOut::default();
    for excluded in &definition.exclude_files {
        // What is not there is not copied either.
        if let Some(path) = on_host(root, Path::new(&excluded.path)) {
            left_out.add(&path, source, excluded.contents_only)?;
        }
    }
    for excluded in &definition.exclude_files_target {
        let path = Path::new(&excluded.path);
        left_out.add(path, Path::new(&files.target), excluded.contents_only)?;
    }
    Some(left_out)
}

/// Where a path beneath `root` is; if it is a symbolic link, the link itself.
fn on_host(root: Option<&Path>, path: &Path) -> Option<PathBuf> {
    let Some(name) = path.file_name() else {
        return sources::resolve(root, path).ok();
    };
    let above = sources::resolve(root, path.parent()?).ok()?;
    Some(above.join(name))
}

impl LeftOut {
    /// Adds a path, if it is within `top`; `None`: that leaves nothing of `top`.
    fn add(&mut self, path: &Path, top: &Path, contents_only: bool) -> Option<()> {
        match (path.strip_prefix(top), top.strip_prefix(path)) {
            (Ok(inside), _) if contents_only => self.below.push(inside.to_owned()),
            (Ok(inside), Err(_)) => self.entirely.push(inside.to_owned()),
            // It is `top`, or above it.
            (_, Ok(_)) => return None,
            (Err(_), Err(_)) => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let add = |path: &str, contents_only| {
            let mut left_out = LeftOut::default();
            let is_some = left_out.add(Path::new(path), Path::new("/usr/lib"), contents_only);
            let names =
                |paths: Vec<PathBuf>| paths.iter().map(|it| it.display().to_string()).collect();
            let (entirely, below): (Vec<String>, Vec<String>) =
                (names(left_out.entirely), names(left_out.below));
            is_some.map(|()| (entirely.concat(), below.concat()))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(add("/usr/lib/a/b", false), pair("a/b", ""));
        assert_eq!(add("/usr/lib/a", true), pair("", "a"));
        assert_eq!(add("/usr/lib", true), pair("", ""));
        assert_eq!(add("/usr/lib64", false), pair("", ""));
        assert_eq!(add("/usr/lib", false), None);
        assert_eq!(add("/usr", true), None);
        assert_eq!(add("/", false), None);
    }
}
