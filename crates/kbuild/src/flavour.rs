//! [`Flavour`]: the configurations in which the kernel can be built.

use crate::error::{Error, Result};

/// A kernel to build: a name and the configuration fragments it is made of
/// (files of `arch/drupe/configs`, without their `.config`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flavour {
    name: &'static str,
    fragments: &'static [&'static str],
    /// About how many files a build from nothing compiles, for the progress line.
    objects: usize,
}

impl Flavour {
    /// The kernel that drupe uses: page tables, all filesystems, networking.
    pub const MMU: Flavour = Flavour {
        name: "mmu",
        fragments: &[
            "base",
            "off",
            "mmu",
            "syscalls",
            "block",
            "partitions",
            "loop",
            "dm",
            "md",
            "fs-pseudo",
            "fs-tmpfs",
            "fs-features",
            "fs-ext4",
            "fs-xfs",
            "fs-btrfs",
            "fs-f2fs",
            "fs-fat",
            "fs-ntfs3",
            "fs-optical",
            "fs-squashfs",
            "fs-erofs",
            "fs-overlay",
            "quota",
            "nls",
            "crypto",
            "net",
            "net-devices",
            "net-sched",
            "net-filter",
        ],
        objects: 2100,
    };
    /// A small kernel without page tables: ext4, tmpfs and proc.
    pub const NOMMU: Flavour = Flavour {
        name: "nommu",
        fragments: &[
            "base",
            "off",
            "nommu",
            "syscalls",
            "block",
            "partitions",
            "fs-pseudo",
            "fs-ext4",
        ],
        objects: 900,
    };
    /// All of them.
    pub const ALL: [Flavour; 2] = [Flavour::MMU, Flavour::NOMMU];

    /// Looks a flavour up by its name.
    pub fn named(name: &str) -> Result<Flavour> {
        Flavour::ALL
            .into_iter()
            .find(|flavour| flavour.name == name)
            .ok_or_else(|| Error::NoFlavour {
                name: name.to_owned(),
                known: Flavour::ALL.map(|flavour| flavour.name).join(", "),
            })
    }

    /// The flavour that `DRUPE_FLAVOUR` names, else [`Flavour::MMU`].
    pub fn from_env() -> Result<Flavour> {
        match std::env::var("DRUPE_FLAVOUR") {
            Ok(name) if !name.is_empty() => Flavour::named(&name),
            _ => Ok(Flavour::MMU),
        }
    }

    /// Its name: `mmu`, `nommu`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The names of its fragments, in the order in which they are read.
    pub fn fragments(&self) -> &'static [&'static str] {
        self.fragments
    }

    pub(crate) fn objects(&self) -> usize {
        self.objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_name_or_refused_with_the_list() {
        assert_eq!(Flavour::named("nommu").unwrap(), Flavour::NOMMU);
        let message = Flavour::named("smp").unwrap_err().to_string();
        assert!(
            message.contains("smp") && message.contains("mmu, nommu"),
            "{message}"
        );
    }
}
