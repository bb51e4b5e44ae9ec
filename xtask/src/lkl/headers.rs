//! The kernel's headers for user programs with a prefix before every name that they
//! define: `lkl/linux/stat.h` has `struct lkl_stat` and `LKL_S_IFREG`. So a program can
//! include them and those of its system.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::calls::calls;
use super::words::{Names, Piece, included, pieces};

/// Headers that programs include, beside those that these include.
const ROOTS: [&str; 5] = [
    "asm/syscalls.h",
    "asm/host_ops.h",
    "linux/mman.h",
    "linux/uhid.h",
    "linux/input-event-codes.h",
];

/// Where headers come from.
pub(crate) struct Sources {
    /// The kernel's, as `make headers` leaves them.
    pub(crate) kernel: PathBuf,
    /// Those of `crates/lkl/uapi`, which go before.
    pub(crate) own: PathBuf,
    /// The kernel's source.
    pub(crate) tree: PathBuf,
}

/// The headers, by their paths below `lkl/`.
pub(crate) fn headers(sources: &Sources) -> Result<BTreeMap<String, String>> {
    let numbers = read(&sources.kernel.join("asm/unistd_64.h"))?;
    let table = read(&sources.tree.join("scripts/syscall.tbl"))?;
    let prototypes = read(&sources.tree.join("include/linux/syscalls.h"))?;
    let calls = calls(&numbers, &table, &prototypes);
    let compat = read(&sources.kernel.join("linux/libc-compat.h"))?;
    let made = BTreeMap::from([
        ("asm/syscall_defs.h", calls.text),
        ("linux/libc-compat.h", everything_defined(&compat)),
    ]);

    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut wanted: Vec<String> = ROOTS.map(str::to_owned).into();
    while let Some(path) = wanted.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let text = match made.get(&*path) {
            Some(text) => text.clone(),
            None => match [&sources.own, &sources.kernel]
                .map(|dir| dir.join(&path))
                .iter()
                .find(|file| file.exists())
            {
                Some(file) => read(file)?,
                // A header of the compiler's.
                None if !ROOTS.contains(&&*path) => continue,
                None => bail!("the kernel has no header {path}"),
            },
        };
        wanted.extend(pieces(&text).iter().filter_map(|piece| match piece {
            Piece::Include(line) => included(line).map(str::to_owned),
            _ => None,
        }));
        found.insert(path, text);
    }

    let mut names = Names::default();
    found.values().for_each(|text| names.collect(text));
    calls.tags.iter().for_each(|tag| names.add_tag(tag));
    let paths: BTreeSet<String> = found.keys().cloned().collect();
    Ok(found
        .into_iter()
        .map(|(path, text)| {
            let text = names.prefixed(&text, |path| paths.contains(path));
            (path, text)
        })
        .collect())
}

/// The kernel's headers leave out what the C library has; with a prefix, nothing is there
/// twice.
fn everything_defined(compat: &str) -> String {
    let pieces = pieces(compat);
    let switches: BTreeSet<&str> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Word(word) if word.starts_with("__UAPI_DEF_") => Some(*word),
            _ => None,
        })
        .collect();
    let mut text = String::from("#ifndef _LIBC_COMPAT_H\n#define _LIBC_COMPAT_H\n\n");
    for switch in switches {
        let _ = writeln!(text, "#define {switch} 1");
    }
    text.push_str("\n#endif\n");
    text
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
