//! `--root`: the filesystems of an image as its own fstab(5) puts them together.
//!
//! What the fstab says chooses among the filesystems of the same image, and names
//! directories in them; nothing else is opened, and of the options only the subvolume
//! counts.

use std::path::Path;

use anyhow::anyhow;
use drupe::Mount;
use drupe_tree::inspect::{Fstab, fstab};

use super::{Failure, Session, failure};
use crate::location::Volume;
use crate::output;

/// A volume of an image, by all the names that an fstab may have for it.
struct Place {
    id: String,
    uuid: Option<String>,
    label: Option<String>,
    part_uuid: Option<String>,
    part_label: Option<String>,
}

impl Place {
    fn is(&self, device: &str) -> bool {
        let same = |name: &Option<String>, wanted: &str| {
            name.as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        };
        let tags = [
            ("UUID=", "/dev/disk/by-uuid/", &self.uuid),
            ("LABEL=", "/dev/disk/by-label/", &self.label),
            ("PARTUUID=", "/dev/disk/by-partuuid/", &self.part_uuid),
            ("PARTLABEL=", "/dev/disk/by-partlabel/", &self.part_label),
        ];
        for (tag, link, name) in tags {
            let value = device.strip_prefix(tag).or(device.strip_prefix(link));
            if let Some(value) = value {
                return same(name, value.trim_matches('"'));
            }
        }
        let Some(name) = device.strip_prefix("/dev/") else {
            return false;
        };
        if let Some(mapped) = name.strip_prefix("mapper/") {
            // A dash of a name is doubled there.
            return self.id.replace('-', "--").replace('/', "-") == mapped;
        }
        // The only disk, whatever it is called: sda2, vda2, nvme0n1p2, mmcblk0p2.
        let digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &name[digits.len()..];
        let is_disk = ["sd", "vd", "hd", "xvd"].iter().any(|kind| {
            let letters = digits.strip_prefix(kind);
            letters.is_some_and(|rest| rest == "a")
        });
        let is_disk = is_disk || matches!(digits, "nvme0n1p" | "mmcblk0p");
        name == self.id || is_disk && !number.is_empty() && number == self.id
    }
}

/// The mount option that chooses a subvolume, which is the only one that counts.
fn subvolume(options: &str) -> Option<String> {
    let mut options = options.split(',');
    options
        .find(|option| option.starts_with("subvol=") || option.starts_with("subvolid="))
        .map(String::from)
}

impl Session<'_> {
    /// The root of the system in an image, with what its fstab mounts in it.
    pub(super) fn assemble(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        let image = &volume.image;
        let root = match volume.part.is_some() || volume.options.is_some() {
            true => volume.clone(),
            false => self.find_root(image)?,
        };
        let mount = self.mount_alone(&root)?;
        if !self.assembled.insert((image.clone(), root.name())) {
            return Ok(mount);
        }
        let places = self.places(image)?;
        let mut lines = fstab(&mount)?;
        // What is mounted in another one comes later.
        lines.sort_by_key(|line| Path::new(&line.path).components().count());
        for line in lines {
            let path = Path::new(&line.path);
            if !path.is_absolute() || path.parent().is_none() {
                continue;
            }
            let Some(place) = places.iter().find(|place| place.is(&line.device)) else {
                continue;
            };
            let inner = Volume {
                image: image.clone(),
                part: Some(place.id.clone()),
                options: subvolume(&line.options),
            };
            if let Err(failed) = self.show(&mount, &line, &inner) {
                let text = format!("{}: {:#}", image.display(), failed.error);
                output::warning(self.options, &text);
            }
        }
        Ok(mount)
    }

    fn show(&mut self, root: &Mount, line: &Fstab, volume: &Volume) -> Result<(), Failure> {
        let path = line.path.escape_debug();
        let mounted = self.mount_alone(volume);
        let mounted =
            mounted.map_err(|failed| anyhow!("{path} of the fstab: {:#}", failed.error))?;
        let shown = root.show_at(&line.path, &mounted);
        shown.map_err(|error| anyhow!("{path} of the fstab: {error}").into())
    }

    /// What there is on an image.
    fn places(&mut self, image: &Path) -> Result<Vec<Place>, Failure> {
        let volumes = self.volumes(image, true)?;
        let mut places = Vec::new();
        for volume in volumes.iter() {
            let Some(found) = volume.found().filter(|found| found.driver.is_some()) else {
                continue;
            };
            if volume.disk() != 0 {
                continue;
            }
            let info = volume.partition().info()?;
            places.push(Place {
                id: volume.id().to_owned(),
                uuid: found.uuid.clone(),
                label: found.label.clone(),
                part_uuid: info.as_ref().and_then(|info| info.uuid.clone()),
                part_label: info.and_then(|info| info.name),
            });
        }
        Ok(places)
    }

    /// The filesystem of an image that has an fstab, and the subvolume of it.
    fn find_root(&mut self, image: &Path) -> Result<Volume, Failure> {
        let mut roots = Vec::new();
        let has_fstab = |mount: &Mount| -> Result<bool, Failure> {
            Ok(mount
                .metadata("/etc/fstab")
                .is_ok_and(|found| found.is_file()))
        };
        for place in self.places(image)? {
            let volume = Volume {
                image: image.to_owned(),
                part: Some(place.id),
                options: None,
            };
            let Ok(mount) = self.mount_alone(&volume) else {
                continue;
            };
            if has_fstab(&mount)? {
                roots.push(volume);
                continue;
            }
            for subvolume in mount.subvolumes().unwrap_or_default() {
                let path = subvolume.path.to_str().filter(|path| !path.contains(','));
                let Some(path) = path.filter(|_| !subvolume.read_only) else {
                    continue;
                };
                let inner = Volume {
                    options: Some(format!("subvol=/{path}")),
                    ..volume.clone()
                };
                if has_fstab(&self.mount_alone(&inner)?)? {
                    roots.push(inner);
                }
            }
        }
        match &roots[..] {
            [root] => Ok(root.clone()),
            [] => Err(failure(image, "no filesystem has an /etc/fstab".into())
                .with_hint("without --root, each filesystem is reached by itself")),
            several => {
                let names: Vec<String> = several.iter().map(Volume::label).collect();
                let message = format!(
                    "several filesystems have an /etc/fstab: {}",
                    names.join(", ")
                );
                Err(failure(image, message).with_hint("say which is the root"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        let text = |text: &str| Some(text.to_owned());
        let place = Place {
            id: "2".into(),
            uuid: text("1234-ABCD"),
            label: text("root"),
            part_uuid: text("aaaa-02"),
            part_label: text("my root"),
        };
        for device in [
            "UUID=1234-abcd",
            "LABEL=root",
            "LABEL=\"root\"",
            "PARTUUID=AAAA-02",
            "PARTLABEL=my root",
            "/dev/disk/by-uuid/1234-ABCD",
            "/dev/sda2",
            "/dev/vda2",
            "/dev/nvme0n1p2",
            "/dev/mmcblk0p2",
        ] {
            assert!(place.is(device), "{device}");
        }
        for device in [
            "UUID=",
            "LABEL=other",
            "/dev/sdb2",
            "/dev/sda",
            "/dev/sda22",
            "/etc",
            "2",
            "/dev/loop2",
            "tmpfs",
        ] {
            assert!(!place.is(device), "{device}");
        }
        let volume = Place {
            id: "my-vg/root".into(),
            ..place
        };
        assert!(volume.is("/dev/mapper/my--vg-root") && volume.is("/dev/my-vg/root"));
        assert_eq!(subvolume("rw,subvol=@,x"), text("subvol=@"));
        assert_eq!(subvolume("defaults"), None);
    }
}
