//! Makes the Debian package of the command, from the tarball's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Dist, begin, command, origin, pack, stage};
use crate::demo::quietly;
use crate::run::root;

/// Paths in the tarball, and the corresponding ones in Debian.
const PLACES: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("share/man", "usr/share/man"),
    ("share/bash-completion", "usr/share/bash-completion"),
    ("share/fish", "usr/share/fish"),
    (
        "share/zsh/site-functions",
        "usr/share/zsh/vendor-completions",
    ),
    ("licences.txt", "usr/share/doc/drupe/licences.txt"),
];

/// lintian's overrides, with reasons.
const OVERRIDES: &str = "\
# It runs on any x86-64 Linux, whatever its C library.
drupe: statically-linked-binary [usr/bin/drupe]
# A position-independent program without libraries looks like a library.
drupe: shared-library-lacks-prerequisites [usr/bin/drupe]
";

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: drupe
Comment: The program contains the Linux kernel. What it is made of is said in
 /usr/share/doc/drupe/SOURCE.md, the licences of the crates that are linked into
 it in /usr/share/doc/drupe/licences.txt.

Files: *
Copyright: 2026 The drupe contributors
 1991-2026 Linus Torvalds and the authors of Linux
License: GPL-2.0-only
 On Debian systems, the text of version 2 of the GNU General Public License is in
 /usr/share/common-licenses/GPL-2.
";

/// Makes the package from the `tarball`'s directory. Returns its path.
pub(super) fn make(dist: &Dist, tarball: &Path) -> Result<PathBuf> {
    let mut steps = begin("the Debian package");
    let name = format!("drupe_{}_amd64.deb", dist.version);
    let package = dist.out.join(&name);
    steps.time("pack", || {
        let top = dist.fresh("build/deb")?;
        fill(dist, tarball, &top)?;
        quietly(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Zxz", "--build"])
                .args([&top, &package])
                .env("SOURCE_DATE_EPOCH", &dist.epoch),
        )
    })?;
    let said = steps.output(
        Command::new("lintian")
            .args(["--fail-on=error,warning"])
            // `drupe inspect` reads dpkg's database in images, not the host's.
            .args(["--suppress-tags=uses-dpkg-database-directly"])
            .arg(&package),
    )?;
    if !said.trim().is_empty() {
        bail!("lintian: {said}");
    }
    Ok(package)
}

fn fill(dist: &Dist, tarball: &Path, top: &Path) -> Result<()> {
    for (from, to) in PLACES {
        let to = top.join(to);
        fs::create_dir_all(to.parent().context("a path of several names")?)?;
        quietly(Command::new("cp").arg("-r").arg(tarball.join(from)).arg(to))?;
    }
    let doc = top.join("usr/share/doc/drupe");
    fs::write(doc.join("copyright"), COPYRIGHT)?;
    fs::write(
        doc.join("SOURCE.md"),
        origin::text(dist, &pack::port(dist))?,
    )?;
    stage::copy(&root().join("README.md"), &doc.join("README.md"))?;
    let date = quietly(
        Command::new("date")
            .args(["--utc", "-R", "-d", &format!("@{}", dist.epoch)])
            .env("LC_ALL", "C"),
    )?;
    let changelog = format!(
        "drupe ({}) unstable; urgency=medium\n\n  * See the project's CHANGELOG.md.\n\n \
         -- The drupe contributors <drupe@example.com>  {date}",
        dist.version
    );
    fs::write(doc.join("changelog"), changelog)?;
    let overrides = top.join("usr/share/lintian/overrides");
    fs::create_dir_all(&overrides)?;
    fs::write(overrides.join("drupe"), OVERRIDES)?;
    compress(&doc.join("changelog"))?;
    compress(&doc.join("licences.txt"))?;
    for page in fs::read_dir(top.join("usr/share/man/man1"))? {
        compress(&page?.path())?;
    }
    control(dist, top)
}

/// Compresses a file in place, without a time stamp.
fn compress(file: &Path) -> Result<()> {
    quietly(Command::new("gzip").args(["-9", "--no-name"]).arg(file)).map(drop)
}

/// The package's own description, and the sums of its files.
fn control(dist: &Dist, top: &Path) -> Result<()> {
    command::modes(top)?;
    let sums = quietly(
        Command::new("sh")
            .args([
                "-c",
                "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
            ])
            .current_dir(top),
    )?;
    let size = quietly(Command::new("du").args(["-sk", "--apparent-size"]).arg(top))?;
    let size = size.split_whitespace().next().unwrap_or_default();
    let debian = top.join("DEBIAN");
    fs::create_dir(&debian)?;
    fs::write(debian.join("md5sums"), sums)?;
    let text = format!(
        "Package: drupe\nVersion: {}\nArchitecture: amd64\n\
         Maintainer: The drupe contributors <drupe@example.com>\nInstalled-Size: {size}\n\
         Suggests: fuse3, passt\nSection: admin\nPriority: optional\n\
         Description: look into disk images and copy files in and out, without root\n \
         The Linux kernel runs inside of this program, and reads and writes the\n \
         filesystems of disk images: ext4, XFS, btrfs, f2fs, vfat, ntfs and more, in\n \
         raw, qcow2, vmdk and vhdx images, on LUKS, LVM and RAID. There is no virtual\n \
         machine, and no root.\n",
        dist.version
    );
    fs::write(debian.join("control"), text)?;
    command::modes(&debian)
}
