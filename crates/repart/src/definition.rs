//! Definitions of partitions: the files of `repart.d`.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::paths::{Excluded, Subvolume, absolute, add_excluded, add_paths, add_subvolumes};
use crate::settings::{self, Setting};
use crate::types::PartitionType;
use crate::value::{expand, parse_bool, parse_flags, parse_size};
use crate::verity::{self, Verity};

/// The most that `Weight=` and `PaddingWeight=` may be.
const MOST_WEIGHT: u32 = 1_000_000;
/// Characters of a label in a GUID partition table (UTF-16 units).
const LABEL: usize = 36;

/// One partition, as a file describes it. What is not said has systemd's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The file's name, for messages.
    pub file: String,
    /// `Type=`
    pub kind: PartitionType,
    /// `Label=`
    pub label: Option<String>,
    /// `UUID=`; the nil UUID is "null".
    pub uuid: Option<Uuid>,
    /// `Priority=`: partitions of a priority above 0 are left out when all do not fit,
    /// those with the highest first.
    pub priority: i32,
    /// `Weight=`, 0 to 1,000,000.
    pub weight: u32,
    /// `PaddingWeight=`, 0 to 1,000,000.
    pub padding_weight: u32,
    /// `SizeMinBytes=` and `SizeMaxBytes=`.
    pub size: Bounds,
    /// `PaddingMinBytes=` and `PaddingMaxBytes=`.
    pub padding: Bounds,
    /// `Format=`: the filesystem's name, or "swap".
    pub format: Option<String>,
    /// `CopyBlocks=`: a file whose bytes it begins with.
    pub copy_blocks: Option<PathBuf>,
    /// `CopyFiles=`, in their order.
    pub copy_files: Vec<CopyFiles>,
    /// `ExcludeFiles=`: paths of the sources that are not copied.
    pub exclude_files: Vec<Excluded>,
    /// `ExcludeFilesTarget=`: paths of the new filesystem that nothing is copied to.
    pub exclude_files_target: Vec<Excluded>,
    /// `MakeDirectories=`, in their order.
    pub make_directories: Vec<String>,
    /// `MakeSymlinks=`: path and target, in their order.
    pub make_symlinks: Vec<(String, String)>,
    /// `Subvolumes=`: of btrfs.
    pub subvolumes: Vec<Subvolume>,
    /// `DefaultSubvolume=`
    pub default_subvolume: Option<String>,
    /// `Encrypt=key-file`: LUKS2 around the filesystem.
    pub encrypt: bool,
    /// `Minimize=`
    pub minimize: Minimize,
    /// `Verity=` with the settings that go with it.
    pub verity: Option<Verity>,
    /// `Flags=` with `NoAuto=`, `ReadOnly=`, `GrowFileSystem=` and the defaults of the type.
    pub flags: u64,
    /// `FactoryReset=`
    pub factory_reset: bool,
    /// `SplitName=`: the suffix of the partition's own file, `-` for none.
    pub split_name: Option<String>,
}

/// Bytes, at least and at most; `None`: the default, which depends on what it bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

/// `Minimize=`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Minimize {
    /// The filesystem is as large as its partition.
    #[default]
    Off,
    /// The partition is at least as large as a filesystem that has room for the files.
    Guess,
    /// The partition is as large as the smallest filesystem that has room for the files.
    Best,
}

/// `CopyFiles=SOURCE:TARGET`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFiles {
    /// A path of the host's, or beneath `--root`.
    pub source: PathBuf,
    /// A path of the new filesystem.
    pub target: String,
}

/// Flags of a partition in a GUID partition table, as the Discoverable Partitions
/// Specification has them.
mod flag {
    pub(super) const GROW_FILE_SYSTEM: u64 = 1 << 59;
    pub(super) const READ_ONLY: u64 = 1 << 60;
    pub(super) const NO_AUTO: u64 = 1 << 63;
}

/// What a file says, before the defaults that depend on several settings.
#[derive(Default)]
struct Draft {
    kind: Option<PartitionType>,
    flags: u64,
    no_auto: Option<bool>,
    read_only: Option<bool>,
    grow: Option<bool>,
    verity: verity::Draft,
}

impl Definition {
    /// A partition of this type, and nothing else said.
    pub fn new(file: &str, kind: PartitionType) -> Definition {
        Definition {
            file: file.to_owned(),
            flags: Draft::default().flags(&kind),
            kind,
            label: None,
            uuid: None,
            priority: 0,
            weight: 1000,
            padding_weight: 0,
            size: Bounds::default(),
            padding: Bounds::default(),
            format: None,
            copy_blocks: None,
            copy_files: Vec::new(),
            exclude_files: Vec::new(),
            exclude_files_target: Vec::new(),
            make_directories: Vec::new(),
            make_symlinks: Vec::new(),
            subvolumes: Vec::new(),
            default_subvolume: None,
            encrypt: false,
            minimize: Minimize::Off,
            verity: None,
            factory_reset: false,
            split_name: None,
        }
    }

    /// What the file `path` with the contents `text` says.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] with the line: settings that are not known, values that a
    /// setting cannot have, settings that exclude each other.
    pub fn parse(path: &Path, text: &str) -> Result<Definition> {
        let at = |line, reason| Error::Setting {
            file: path.to_owned(),
            line,
            reason,
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let generic = PartitionType::parse("linux-generic").expect("it is in the table");
        let mut definition = Definition::new(&name, generic);
        let mut draft = Draft::default();
        for setting in settings::parse(text).map_err(|(line, reason)| at(line, reason))? {
            if setting.section != "Partition" {
                let reason = format!(
                    "no section is called [{}], only [Partition]",
                    setting.section
                );
                return Err(at(setting.line, reason));
            }
            definition
                .set(&mut draft, &setting)
                .map_err(|reason| at(setting.line, reason))?;
        }
        if let Some(kind) = draft.kind.take() {
            definition.kind = kind;
        }
        definition.flags = draft.flags(&definition.kind);
        let verity = draft.verity.finish().map_err(|reason| at(0, reason))?;
        definition.verity = verity;
        definition.check().map_err(|reason| at(0, reason))?;
        Ok(definition)
    }

    fn set(&mut self, draft: &mut Draft, setting: &Setting) -> std::result::Result<(), String> {
        let Setting { key, value, .. } = setting;
        let wrong = |expected: &str| format!("{key}={value}: expected {expected}");
        let size = || match value.is_empty() {
            true => Ok(None),
            false => parse_size(value)
                .map(Some)
                .ok_or_else(|| wrong("bytes, with a suffix K, M, G or T for multiples of 1024")),
        };
        let boolean = || parse_bool(value).ok_or_else(|| wrong("yes or no"));
        let weight = || {
            value
                .parse()
                .ok()
                .filter(|&weight| weight <= MOST_WEIGHT)
                .ok_or_else(|| wrong("a number from 0 to 1000000"))
        };
        match &**key {
            "Type" => {
                let kind = PartitionType::parse(value);
                draft.kind = Some(kind.ok_or_else(|| {
                    wrong("a UUID, or an identifier such as root, esp, swap or linux-generic")
                })?);
            }
            "Label" => {
                let label = expand(value)?;
                if label.encode_utf16().count() > LABEL {
                    return Err(wrong("at most 36 characters"));
                }
                self.label = (!label.is_empty()).then_some(label);
            }
            "UUID" => {
                self.uuid = match &**value {
                    "" => None,
                    "null" => Some(Uuid::nil()),
                    _ => Some(Uuid::try_parse(value).map_err(|_| wrong("a UUID, or \"null\""))?),
                };
            }
            "Priority" => self.priority = value.parse().map_err(|_| wrong("a whole number"))?,
            "Weight" => self.weight = weight()?,
            "PaddingWeight" => self.padding_weight = weight()?,
            "SizeMinBytes" => self.size.min = size()?,
            "SizeMaxBytes" => self.size.max = size()?,
            "PaddingMinBytes" => self.padding.min = size()?,
            "PaddingMaxBytes" => self.padding.max = size()?,
            "FactoryReset" => self.factory_reset = boolean()?,
            "CopyBlocks" => self.set_copy_blocks(value)?,
            "Format" => self.format = (!value.is_empty()).then(|| value.clone()),
            "CopyFiles" => self.add_copy_files(value)?,
            "ExcludeFiles" => add_excluded(&mut self.exclude_files, value)?,
            "ExcludeFilesTarget" => add_excluded(&mut self.exclude_files_target, value)?,
            "MakeDirectories" => add_paths(&mut self.make_directories, value)?,
            "Subvolumes" => add_subvolumes(&mut self.subvolumes, value)?,
            "DefaultSubvolume" => {
                let path = (!value.is_empty()).then(|| absolute(&expand(value)?));
                self.default_subvolume = path.transpose()?;
            }
            "MakeSymlinks" => self.add_symlinks(value)?,
            "Encrypt" => {
                self.encrypt = match &**value {
                    "key-file" => true,
                    "tpm2" | "key-file+tpm2" => {
                        return Err(wrong("key-file: drupe has no TPM to enrol a key in"));
                    }
                    _ => parse_bool(value).ok_or_else(|| wrong("key-file or off"))?,
                };
            }
            "Minimize" => {
                self.minimize = match (&**value, parse_bool(value)) {
                    ("best", _) | (_, Some(true)) => Minimize::Best,
                    ("guess", _) => Minimize::Guess,
                    (_, Some(false)) => Minimize::Off,
                    _ => return Err(wrong("guess, best or off")),
                };
            }
            "Verity"
            | "VerityMatchKey"
            | "VerityDataBlockSizeBytes"
            | "VerityHashBlockSizeBytes" => draft.verity.set(key, value)?,
            "Flags" => {
                draft.flags = parse_flags(value).ok_or_else(|| wrong("a number of 64 bits"))?
            }
            "NoAuto" => draft.no_auto = Some(boolean()?),
            "ReadOnly" => draft.read_only = Some(boolean()?),
            "GrowFileSystem" => draft.grow = Some(boolean()?),
            "SplitName" => self.split_name = Some(value.clone()),
            "MountPoint"
            | "EncryptedVolume"
            | "Compression"
            | "CompressionLevel"
            | "SupplementFor"
            | "AddValidateFS"
            | "FileSystemSectorSize"
            | "CopyBlocksOffset"
            | "Integrity"
            | "IntegrityAlgorithm"
            | "KeyFile"
            | "TPM2PCRs" => {
                return Err(format!(
                    "drupe does not support {key}={value} yet; remove the setting"
                ));
            }
            _ => return Err(format!("no setting is called {key}; see repart.d(5)")),
        }
        Ok(())
    }

    fn set_copy_blocks(&mut self, value: &str) -> std::result::Result<(), String> {
        if value == "auto" {
            return Err(
                "CopyBlocks=auto copies from the running system; name a file instead".to_owned(),
            );
        }
        self.copy_blocks = match value.is_empty() {
            true => None,
            false => Some(absolute(&expand(value)?)?.into()),
        };
        Ok(())
    }

    fn add_copy_files(&mut self, value: &str) -> std::result::Result<(), String> {
        if value.is_empty() {
            self.copy_files.clear();
            return Ok(());
        }
        let value = expand(value)?;
        let (source, target) = value.split_once(':').unwrap_or((&value, &value));
        self.copy_files.push(CopyFiles {
            source: absolute(source)?.into(),
            target: absolute(target)?,
        });
        Ok(())
    }

    fn add_symlinks(&mut self, value: &str) -> std::result::Result<(), String> {
        for word in value.split_whitespace() {
            let word = expand(word)?;
            let (path, target) = word
                .split_once(':')
                .filter(|(_, target)| !target.is_empty())
                .ok_or_else(|| format!("{word}: expected PATH:TARGET"))?;
            self.make_symlinks
                .push((absolute(path)?, target.to_owned()));
        }
        Ok(())
    }

    /// What several settings say together; and `Format=`, where it is implied.
    fn check(&mut self) -> std::result::Result<(), String> {
        let Bounds { min, max } = self.size;
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            return Err(format!(
                "SizeMinBytes={min} is more than SizeMaxBytes={max}"
            ));
        }
        if let Bounds {
            min: Some(min),
            max: Some(max),
        } = self.padding
            && min > max
        {
            return Err(format!(
                "PaddingMinBytes={min} is more than PaddingMaxBytes={max}"
            ));
        }
        let has_contents = !self.copy_files.is_empty()
            || !self.make_directories.is_empty()
            || !self.make_symlinks.is_empty()
            || !self.subvolumes.is_empty();
        if self.copy_blocks.is_some() && (self.format.is_some() || has_contents) {
            return Err(
                "CopyBlocks= fills the partition; it cannot be combined with Format=, CopyFiles=, MakeDirectories=, MakeSymlinks= or Subvolumes="
                    .to_owned(),
            );
        }
        if let Some(verity) = &self.verity {
            verity.check(
                self.encrypt,
                has_contents || self.format.is_some() || self.copy_blocks.is_some(),
            )?;
        }
        if self.format.as_deref() == Some("swap") && has_contents {
            return Err("Format=swap has no room for files".to_owned());
        }
        let is_btrfs = self.format.as_deref() == Some("btrfs");
        if (!self.subvolumes.is_empty() || self.default_subvolume.is_some()) && !is_btrfs {
            return Err("Subvolumes= and DefaultSubvolume= are for Format=btrfs".to_owned());
        }
        if let Some(path) = &self.default_subvolume
            && path != "/"
            && !self.subvolumes.iter().any(|one| one.path == *path)
        {
            return Err(format!(
                "DefaultSubvolume={path}: it is not among those of Subvolumes="
            ));
        }
        if self.format.is_none() && (has_contents || (self.encrypt && self.copy_blocks.is_none())) {
            self.format = Some(
                if self.kind.name.as_deref() == Some("esp") {
                    "vfat"
                } else {
                    "ext4"
                }
                .to_owned(),
            );
        }
        if self.minimize != Minimize::Off && matches!(self.format.as_deref(), None | Some("swap")) {
            return Err("Minimize= is for partitions with a filesystem: set Format=".to_owned());
        }
        Ok(())
    }

    /// Whether its filesystem is one that is made with its files, and never written to.
    pub fn is_read_only_format(&self) -> bool {
        matches!(self.format.as_deref(), Some("squashfs" | "erofs"))
    }

    /// The label of the partition, where the definition has none: its type's
    /// name, or "linux".
    pub fn default_label(&self) -> String {
        let name = self.kind.name.clone();
        name.unwrap_or_else(|| "linux".to_owned())
    }
}

impl Draft {
    /// The flags in the table, with the defaults of the type.
    fn flags(&self, kind: &PartitionType) -> u64 {
        let read_only = self.read_only.or(kind.is_verity().then_some(true));
        let grow = match read_only {
            Some(true) => self.grow,
            _ => self.grow.or(kind.knows_grow_file_system().then_some(true)),
        };
        let mut flags = self.flags;
        for (flag, known, value) in [
            (flag::NO_AUTO, kind.knows_no_auto(), self.no_auto),
            (flag::READ_ONLY, kind.knows_read_only(), read_only),
            (flag::GROW_FILE_SYSTEM, kind.knows_grow_file_system(), grow),
        ] {
            match value {
                Some(true) if known => flags |= flag,
                Some(false) if known => flags &= !flag,
                // systemd-repart ignores it too.
                _ => {}
            }
        }
        flags
    }
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
