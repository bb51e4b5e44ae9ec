//! [`Origin`]: tells whether two devices of the kernel are the same volume.
//!
//! A volume of several images is found from each of them, and again when one of them is
//! opened anew. Each time the kernel makes another device of it. Mounted twice, a
//! filesystem would be damaged, and a file would be copied onto itself.

use std::collections::HashSet;

use drupe::{Partition, VolumeKind, Volumes};

use super::ImageId;

/// What a volume is made of, whatever the kernel calls it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// "VG/LV", "md/NAME", "2/luks".
    name: String,
    /// The partitions and whole disks at the bottom of it.
    members: HashSet<(ImageId, String)>,
}

impl Origin {
    /// That of a device of `volumes`, which were found on `images`. `None`: it is a
    /// partition or a whole disk, of which the kernel has one device.
    pub(super) fn of(volumes: &Volumes, images: &[ImageId], device: &Partition) -> Option<Origin> {
        let index = volumes
            .iter()
            .position(|volume| volume.partition().name() == device.name())?;
        let mut members = HashSet::new();
        let mut pending = vec![index];
        while let Some(index) = pending.pop() {
            let volume = volumes.get(index)?;
            let is_made = match volume.kind() {
                VolumeKind::Disk => false,
                // That of an array has the array's name in its own.
                VolumeKind::Partition => volume.id().contains('/'),
                _ => true,
            };
            if is_made {
                pending.extend(volume.parents());
            } else {
                let image = images.get(volume.disk())?.clone();
                members.insert((image, volume.id().to_owned()));
            }
        }
        let name = volumes.get(index)?.id().to_owned();
        // One that is a member itself.
        let is_plain = members.len() == 1 && members.iter().all(|(_, id)| *id == name);
        (!is_plain).then_some(Origin { name, members })
    }

    /// Whether both are the same volume. A scan may have found more of its members than
    /// another one; no member is of two volumes of one name.
    pub(super) fn is(&self, other: &Origin) -> bool {
        self.name == other.name && !self.members.is_disjoint(&other.members)
    }
}
