//! Paths in definitions: of the host, and of the new filesystem.

use crate::value::expand;

/// A path of `ExcludeFiles=` or `ExcludeFilesTarget=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// Without a slash at its end.
    pub path: String,
    /// It ended with a slash: a directory is copied, but nothing in it.
    pub contents_only: bool,
}

/// A path of `Subvolumes=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Where it is.
    pub path: String,
    /// It was followed by `:ro`.
    pub read_only: bool,
}

/// Checks a path of the new filesystem or of the host, and simplifies it.
pub(crate) fn absolute(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("{path}: the path must begin with \"/\""));
    }
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err(format!("{path}: the path must not contain \"..\""));
    }
    Ok(format!("/{}", parts.join("/")))
}

pub(crate) fn add_paths(paths: &mut Vec<String>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        paths.clear();
    }
    for word in value.split_whitespace() {
        paths.push(absolute(&expand(word)?)?);
    }
    Ok(())
}

pub(crate) fn add_excluded(excluded: &mut Vec<Excluded>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        excluded.clear();
    }
    for word in value.split_whitespace() {
        let word = expand(word)?;
        excluded.push(Excluded {
            path: absolute(&word)?,
            contents_only: word.ends_with('/'),
        });
    }
    Ok(())
}

pub(crate) fn add_subvolumes(subvolumes: &mut Vec<Subvolume>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        subvolumes.clear();
    }
    for word in value.split_whitespace() {
        let word = expand(word)?;
        let (path, flags) = word.split_once(':').unwrap_or((&word, ""));
        let read_only = match flags {
            "" => false,
            "ro" => true,
            _ => return Err(format!("{word}: the only flag of a subvolume is \":ro\"")),
        };
        let path = absolute(path)?;
        if path == "/" {
            return Err("Subvolumes=/: the root is a subvolume in any case".to_owned());
        }
        subvolumes.push(Subvolume { path, read_only });
    }
    Ok(())
}
