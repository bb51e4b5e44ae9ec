//! Makes `SOURCE.md`, which names the exact source of a kernel image, as version 2 of the
//! GPL requires.

use std::process::Command;

use anyhow::{Context, Result};
use drupe_kbuild::Source;

use super::{Dist, sha256};
use crate::demo::quietly;

/// The text for an image, whose port lies in `overlay` beside the text.
pub(super) fn text(dist: &Dist, overlay: &str) -> Result<String> {
    let origin = dist.kbuild.origin()?;
    let source = dist.kbuild.source();
    let (what, identity) = match source {
        Source::Tarball(path) => (package(path), format!("its SHA-256 is `{}`", sha256(path)?)),
        other => {
            let tree = format!("a source tree, {}", other.path().display());
            (tree, "a tree has no SHA-256".to_owned())
        }
    };
    let sum = sha256(&dist.image.image)?;
    let toolchain: String = lines(origin.toolchain.lines());
    let variables: String = lines(origin.variables.iter().copied());
    let (version, digest) = (&dist.version, origin.overlay);
    Ok(format!(
        "# The source of this kernel image

This is Linux, which is under version 2 of the GNU General Public License. The image \
belongs to drupe {version}; its SHA-256, uncompressed, is `{sum}`.

It is made of:

- Linux, unmodified: {what}; {identity}
- the architecture `drupe`, which is added to it: `{overlay}/arch/drupe`, whose digest is \
`{digest}`. Its configuration is in `{overlay}/arch/drupe/configs`; what Kconfig made of \
that is the file `config`
- compiled by
{toolchain}- with these variables of make:
{variables}
The same of all of these gives the same bytes. To make the image again, on a Debian \
system with that package:

```sh
apt-get install --no-install-recommends linux-source-6.12 make gcc libc6-dev flex bison bc xz-utils
DRUPE_BUILD_KERNEL=1 cargo build        # in a program that uses drupe
```

`DRUPE_LINUX_SOURCE` names another tree or tarball of Linux 6.12. Older versions of \
Debian's packages are at <https://snapshot.debian.org/package/linux/>.
"
    ))
}

/// The lines of a list within a list.
fn lines<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.map(|item| format!("  - `{item}`\n")).collect()
}

/// What Debian calls the package that a tarball is of.
fn package(tarball: &std::path::Path) -> String {
    let shown = tarball.display().to_string();
    let package = quietly(Command::new("dpkg").arg("--search").arg(tarball)).context("dpkg");
    let name = package
        .ok()
        .and_then(|line| Some(line.split_once(':')?.0.to_owned()));
    let described = name.and_then(|name| {
        let format = "Debian's package ${Package} ${Version}, of the source package \
                      ${source:Package} ${source:Version}";
        quietly(Command::new("dpkg-query").args(["--show", "--showformat", format, &name])).ok()
    });
    described.map_or(shown.clone(), |described| {
        format!("{described} (`{shown}`)")
    })
}
