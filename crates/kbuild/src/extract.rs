//! Unpacks a tarball of the source into the cache.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{Lock, publish};
use crate::error::{Error, IoContext, Result};
use crate::progress::{Progress, Report};
use crate::source::Version;

/// A tar record in bytes, the unit in which GNU tar counts checkpoints.
const RECORD: u64 = 20 * 512;
/// Records between two progress reports: 20 MiB.
const CHECKPOINT: u64 = 2048;

/// Unpacks `archive` as the directory `tree`, unless that exists. `tree` appears when it
/// is complete and of the right version, or not at all.
pub(crate) fn extract(
    archive: &Path,
    tree: &Path,
    lock: &Lock,
    report: Report<'_>,
) -> Result<PathBuf> {
    if !tree.exists() {
        let scratch = lock.scratch("linux")?;
        unpack(archive, &scratch, report)?;
        let version = Version::of_tree(&scratch).map_err(|error| named(error, archive))?;
        debug_assert_eq!((version.version, version.patchlevel), (6, 12));
        publish(&scratch, tree)?;
    }
    Ok(tree.to_owned())
}

fn unpack(archive: &Path, directory: &Path, report: Report<'_>) -> Result<()> {
    fs::File::open(archive).on("open", archive)?;
    report(Progress::Extracting { archive, mib: 0 });
    let mut child = Command::new("tar")
        .args(["--extract", "--strip-components=1", "--no-same-owner"])
        .arg(format!("--checkpoint={CHECKPOINT}"))
        .arg("--checkpoint-action=echo=checkpoint %u")
        .arg("--directory")
        .arg(directory)
        .arg("--file")
        .arg(archive)
        .env("LC_ALL", "C")
        .stderr(Stdio::piped())
        .spawn()
        .on("run tar on", archive)?;
    let mut last = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.on("unpack", archive)?;
            match line
                .rsplit_once("checkpoint ")
                .and_then(|(_, number)| number.parse().ok())
            {
                Some(records) => {
                    let records: u64 = records;
                    let mib = records.saturating_mul(RECORD) >> 20;
                    report(Progress::Extracting { archive, mib });
                }
                None => last = line,
            }
        }
    }
    let status = child.wait().on("unpack", archive)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program: format!("unpacking {} with tar", archive.display()),
        status: status.to_string(),
        message: last,
    })
}

/// Changes an error about the unpacked tree to name the archive, which the user knows.
fn named(error: Error, archive: &Path) -> Error {
    let path = archive.to_owned();
    match error {
        Error::NotLinux { reason, .. } => Error::NotLinux { path, reason },
        Error::WrongVersion { version, .. } => Error::WrongVersion { path, version },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;

    fn pack(directory: &Path, sublevel: &str) -> PathBuf {
        let tree = directory.join("linux-6");
        fs::create_dir_all(tree.join("arch/x86")).unwrap();
        fs::write(tree.join("Kconfig"), "").unwrap();
        fs::write(
            tree.join("Makefile"),
            format!("VERSION = 6\n{sublevel}SUBLEVEL = 0\n"),
        )
        .unwrap();
        let archive = directory.join("linux.tar.gz");
        let tar = Command::new("tar")
            .args(["--create", "--gzip", "--directory"])
            .arg(directory)
            .arg("--file")
            .args([archive.as_path(), Path::new("linux-6")])
            .status();
        assert!(tar.unwrap().success());
        archive
    }

    fn try_extract(archive: &Path, directory: &Path) -> Result<PathBuf> {
        let cache = Cache::at(&directory.join("cache")).unwrap();
        let lock = cache.lock(&mut |_| {}).unwrap();
        extract(
            archive,
            &cache.root().join("linux/tree"),
            &lock,
            &mut |_| {},
        )
    }

    #[test]
    fn a_tarball_is_unpacked() {
        let directory = crate::cache::test_directory();
        let archive = pack(directory.path(), "PATCHLEVEL = 12\n");
        let tree = try_extract(&archive, directory.path()).unwrap();
        assert!(tree.join("arch/x86").is_dir());
    }

    #[test]
    fn the_wrong_version_leaves_nothing_and_names_the_archive() {
        let directory = crate::cache::test_directory();
        let archive = pack(directory.path(), "PATCHLEVEL = 6\n");
        let message = try_extract(&archive, directory.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("linux.tar.gz is Linux 6.6.0"), "{message}");
        assert!(!directory.path().join("cache/linux/tree").exists());
    }

    #[test]
    fn what_is_no_tarball_is_refused_with_tars_own_words() {
        let directory = crate::cache::test_directory();
        let archive = directory.path().join("text");
        fs::write(&archive, "no tarball\n".repeat(2000)).unwrap();
        let message = try_extract(&archive, directory.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("text with tar failed"), "{message}");
    }
}
