//! Filesystems made by their own tools, in a file of the host's without a name.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use uuid::Uuid;

use super::scratch;
use super::tools::{self, Run, STDIN, Tool};
use crate::exit::Failure;

/// What the filesystem is to have.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// `Format=`
    pub(crate) format: &'a str,
    pub(crate) label: &'a str,
    pub(crate) uuid: Uuid,
    /// Bytes.
    pub(crate) size: u64,
    /// `SOURCE_DATE_EPOCH`: seconds since 1970.
    pub(crate) epoch: Option<u64>,
    /// As in [`Run`].
    pub(crate) writes_zeroes: bool,
}

/// Whether a format is one of those that can be made.
pub(crate) fn is_known(format: &str) -> bool {
    let any = Wanted {
        format,
        label: "",
        uuid: Uuid::nil(),
        size: 0,
        epoch: None,
        writes_zeroes: false,
    };
    tool(&any).is_some()
}

fn tool(wanted: &Wanted<'_>) -> Option<Tool> {
    let Wanted {
        format,
        label,
        uuid,
        epoch,
        ..
    } = *wanted;
    let text = |arguments: &[&str]| arguments.iter().map(OsString::from).collect::<Vec<_>>();
    let uuid_text = uuid.hyphenated().to_string();
    // Filesystems with an ID of 32 bits have the first ones.
    let id = format!("{:08x}", uuid.as_fields().0);
    let (name, package, arguments) = match format {
        "ext2" | "ext3" | "ext4" => {
            let seed = format!("hash_seed={uuid_text},nodiscard,lazy_itable_init=1,root_owner=0:0");
            let size = ["-m", "0", "-b", "4096", "-I", "256"];
            let mut all = text(&["-q", "-F", "-t", format, "-T", "default", "-U", &uuid_text]);
            all.extend(text(&size));
            all.extend(text(&["-L", &cut(label, 16), "-E", &seed]));
            ("mke2fs", "e2fsprogs", all)
        }
        "vfat" => {
            let label = fat_label(label);
            let mut all = text(&["-F", "32", "-i", &id, "-n", &label]);
            if epoch.is_some() {
                // The time of the label is a constant then.
                all.extend(text(&["--invariant"]));
            }
            ("mkfs.fat", "dosfstools", all)
        }
        "xfs" => {
            let meta = format!("uuid={uuid_text}");
            let label = cut(label, 12);
            (
                "mkfs.xfs",
                "xfsprogs",
                text(&["-q", "-K", "-m", &meta, "-L", &label]),
            )
        }
        "btrfs" => {
            let label = cut(label, 255);
            (
                "mkfs.btrfs",
                "btrfs-progs",
                text(&["-q", "-K", "-U", &uuid_text, "-L", &label]),
            )
        }
        "f2fs" => {
            let mut all = text(&["-q", "-f", "-t", "0", "-R", "0:0", "-U", &uuid_text]);
            all.extend(text(&["-l", label]));
            if let Some(epoch) = epoch {
                all.extend(text(&["-r", "-T", &epoch.to_string()]));
            }
            ("mkfs.f2fs", "f2fs-tools", all)
        }
        // Its tool takes no UUID and no serial number.
        "exfat" => ("mkfs.exfat", "exfatprogs", text(&["-L", &cut(label, 11)])),
        "swap" => {
            let label = cut(label, 16);
            (
                "mkswap",
                "util-linux",
                text(&["-q", "-U", &uuid_text, "-L", &label]),
            )
        }
        _ => return None,
    };
    Some(Tool {
        name,
        package,
        arguments,
    })
}

/// At most so many bytes of a label, whole characters.
fn cut(label: &str, most: usize) -> String {
    label[..label.floor_char_boundary(most)].to_owned()
}

/// What FAT takes: eleven characters of ASCII, in capitals.
fn fat_label(label: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_ ".contains(c);
    let label: String = label.chars().filter(|&c| allowed(c)).take(11).collect();
    match label.trim() {
        "" => "NO NAME".to_owned(),
        label => label.to_ascii_uppercase(),
    }
}

/// Makes a filesystem in a new file without a name, in `dir`. `check` ends it early.
pub(crate) fn make(
    wanted: &Wanted<'_>,
    dir: &Path,
    check: &dyn Fn() -> Result<(), Failure>,
) -> Result<File, Failure> {
    let mut tool =
        tool(wanted).ok_or_else(|| anyhow!("Format={} is not supported", wanted.format))?;
    tool.arguments.push(STDIN.into());
    let mut file = scratch::sparse(dir, wanted.size)
        .with_context(|| format!("cannot make a file in {}", dir.display()))?;
    let run = Run {
        setting: format!("Format={}", wanted.format),
        file: &file,
        epoch: wanted.epoch,
        writes_zeroes: wanted.writes_zeroes,
    };
    tools::run(&tool, &run, check)?;
    let named = || format!("cannot read what {} has made", tool.name);
    let size = file.metadata().with_context(named)?.len();
    if size != wanted.size {
        let (name, wanted) = (tool.name, wanted.size);
        return Err(anyhow!("{name} made {size} bytes instead of {wanted}").into());
    }
    check_made(&mut file, wanted.format, tool.name)?;
    Ok(file)
}

/// Looks whether a tool has made what it was to make, whatever its exit code says.
pub(crate) fn check_made(file: &mut File, kind: &str, tool: &str) -> Result<(), Failure> {
    let found = drupe::probe::probe(file).with_context(|| format!("cannot read what {tool} made"));
    match found?.map(|found| found.kind) {
        Some(found) if found == kind => Ok(()),
        found => {
            let found = found.unwrap_or("nothing that is known");
            Err(anyhow!("{tool} did not fail, and made {found} instead of {kind}").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(fat_label("root-x86-64-verity"), "ROOT-X86-64");
        assert_eq!(fat_label("Größe"), "GRE");
        assert_eq!(fat_label("*"), "NO NAME");
        assert_eq!(cut("Größe", 3), "Gr");
        assert_eq!(cut("ab", 16), "ab");
    }
}
