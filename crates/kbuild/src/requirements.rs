//! Programs and headers that a kernel build needs, and the Debian packages that have
//! them.

use std::env;
use std::path::Path;

use crate::error::{Error, Result};
use crate::source::{DEBIAN_TARBALL, Source};

/// How to find out whether a requirement is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// A program of this name is in `PATH`, `/usr/sbin` or the like.
    Program(&'static str),
    /// This file exists.
    File(&'static str),
}

/// A program or file that the machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// The name of the program or set of headers.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    probe: Probe,
}

impl Requirement {
    /// A program in `PATH`.
    pub const fn program(name: &'static str, package: &'static str) -> Requirement {
        Requirement {
            name,
            package,
            probe: Probe::Program(name),
        }
    }

    /// A file.
    pub const fn file(
        name: &'static str,
        package: &'static str,
        path: &'static str,
    ) -> Requirement {
        Requirement {
            name,
            package,
            probe: Probe::File(path),
        }
    }

    /// Whether it is installed.
    pub fn present(&self) -> bool {
        match self.probe {
            Probe::Program(name) => {
                let path = env::var_os("PATH").unwrap_or_default();
                // The tools of administrators, which others have not in PATH.
                let more = ["/usr/sbin", "/sbin"].map(Into::into);
                env::split_paths(&path)
                    .chain(more)
                    .any(|dir| dir.join(name).is_file())
            }
            Probe::File(path) => Path::new(path).exists(),
        }
    }
}

/// Requirements of every build. perl, sed, grep and the like are left out: every Debian
/// has them. So are the headers of libelf and OpenSSL: most kernels need them for objtool
/// and signed modules, which this architecture does not have.
const TOOLS: [Requirement; 8] = [
    Requirement::program("make", "make"),
    Requirement::program("gcc", "gcc"),
    Requirement::program("ld", "binutils"),
    Requirement::program("flex", "flex"),
    Requirement::program("bison", "bison"),
    Requirement::program("bc", "bc"),
    Requirement::program("tar", "tar"),
    Requirement::file("C headers", "libc6-dev", "/usr/include/elf.h"),
];

/// All requirements of a build from `source`, installed or not.
pub fn all(source: &Source) -> Vec<Requirement> {
    let mut all = TOOLS.to_vec();
    if let Source::Tarball(path) = source {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => all.push(Requirement::program("xz", "xz-utils")),
            Some("gz" | "tgz") => all.push(Requirement::program("gzip", "gzip")),
            Some("zst") => all.push(Requirement::program("zstd", "zstd")),
            Some("bz2") => all.push(Requirement::program("bzip2", "bzip2")),
            _ => {}
        }
        if path == Path::new(DEBIAN_TARBALL) {
            let name = "the Linux 6.12 source";
            all.push(Requirement::file(name, "linux-source-6.12", DEBIAN_TARBALL));
        }
    }
    all
}

/// Those of `requirements` that are not installed.
pub fn missing(requirements: &[Requirement]) -> Vec<Requirement> {
    requirements
        .iter()
        .copied()
        .filter(|requirement| !requirement.present())
        .collect()
}

/// The arguments of `apt-get` that install `requirements`.
pub fn apt_get_arguments(requirements: &[Requirement]) -> Vec<&'static str> {
    let mut packages: Vec<_> = requirements
        .iter()
        .map(|requirement| requirement.package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    // Recommended packages would be many and are not needed.
    ["install", "--yes", "--no-install-recommends"]
        .into_iter()
        .chain(packages)
        .collect()
}

/// Fails with one error that names everything that is missing.
pub(crate) fn check(source: &Source) -> Result<()> {
    complain(&missing(&all(source)))
}

fn complain(missing: &[Requirement]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let what: Vec<_> = missing.iter().map(|requirement| requirement.name).collect();
    let mut command = format!("apt-get {}", apt_get_arguments(missing).join(" "));
    if missing
        .iter()
        .any(|requirement| requirement.package == "linux-source-6.12")
    {
        command += " (or name a Linux 6.12 tree or tarball in DRUPE_LINUX_SOURCE)";
    }
    Err(Error::Missing {
        what: what.join(", "),
        command,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: [Requirement; 3] = [
        Requirement::program("no-such-program", "no-such-package"),
        Requirement::file("no such headers", "a-package", "/no/such/header.h"),
        Requirement::file("no such library", "a-package", "/no/such/library.so"),
    ];

    #[test]
    fn what_is_there_is_not_missing() {
        assert!(Requirement::program("sh", "dash").present());
        let mut some = ABSENT.to_vec();
        some.push(Requirement::file("root", "base-files", "/"));
        assert_eq!(missing(&some), ABSENT);
    }

    #[test]
    fn one_line_names_all_and_the_command() {
        assert_eq!(
            complain(&ABSENT).unwrap_err().to_string(),
            "to build the kernel, this machine lacks no-such-program, no such headers, \
             no such library; run: apt-get install --yes --no-install-recommends \
             a-package no-such-package"
        );
        complain(&[]).unwrap();
    }

    #[test]
    fn a_tree_needs_no_decompressor() {
        let names = |source| all(&source).iter().map(|r| r.name).collect::<Vec<_>>();
        assert!(!names(Source::Tree("/tree".into())).contains(&"xz"));
        assert!(names(Source::Tarball(DEBIAN_TARBALL.into())).contains(&"xz"));
        assert!(names(Source::Tarball("/linux.tar.zst".into())).contains(&"zstd"));
    }
}
