//! Logical volumes, activated as `vgchange -ay` does.

use std::collections::HashMap;
use std::sync::Arc;

use drupe_ondisk::lvm::{Group, Part};
use drupe_ondisk::{Error as VolumeError, Target};

use super::dm;
use crate::error::Cause;
use crate::kernel::KernelInner;
use crate::partition::Partition;

/// The deepest nesting of volumes that are made of other volumes.
const MAX_DEPTH: usize = 16;

/// Finds physical volumes by their UUIDs.
type Physical<'a> = dyn Fn(&str) -> Option<Partition> + 'a;

/// Activates all visible volumes of a group. Returns also the first error, if some could
/// not be activated.
pub(super) fn activate(
    kernel: &Arc<KernelInner>,
    group: &Group,
    physical: &Physical<'_>,
) -> (Vec<(String, Partition)>, Option<Cause>) {
    let listed = match group.logical_volumes() {
        Ok(listed) => listed,
        Err(error) => return (Vec::new(), Some(error.into())),
    };
    let present = group.physical_volumes().filter_map(physical);
    let mut activation = Activation {
        kernel,
        group,
        physical,
        read_only: present.into_iter().any(|part| part.is_read_only()),
        made: HashMap::new(),
    };
    let mut volumes = Vec::new();
    let mut trouble = None;
    // What has a snapshot that could not be: that would not keep what is overwritten.
    let mut without = Vec::new();
    for volume in listed {
        match activation.logical(&volume.name, 0) {
            Ok(partition) => volumes.push((volume.name, partition)),
            Err(cause) => {
                without.extend(group.origin_of(&volume.name));
                trouble = trouble.or(Some(cause));
            }
        }
    }
    if !activation.read_only {
        volumes.retain(|(name, _)| !without.contains(&&**name));
    }
    (volumes, trouble)
}

struct Activation<'a> {
    kernel: &'a Arc<KernelInner>,
    group: &'a Group,
    physical: &'a Physical<'a>,
    read_only: bool,
    /// The devices made so far, by name, and whether it is the volume as if there were no
    /// snapshots.
    made: HashMap<(String, bool), Partition>,
}

impl Activation<'_> {
    fn logical(&mut self, name: &str, depth: usize) -> Result<Partition, Cause> {
        let group = self.group;
        let writable = !self.read_only;
        self.made((name, false), depth, |devices| {
            group.table(name, writable, devices)
        })
    }

    fn plain(&mut self, name: &str, depth: usize) -> Result<Partition, Cause> {
        let group = self.group;
        let writable = !self.read_only;
        self.made((name, true), depth, |devices| {
            group.plain_table(name, writable, devices)
        })
    }

    /// Returns the device of a volume, which is made if need be.
    fn made(
        &mut self,
        (name, plain): (&str, bool),
        depth: usize,
        table: impl FnOnce(&mut Devices<'_>) -> drupe_ondisk::Result<Vec<Target>>,
    ) -> Result<Partition, Cause> {
        let key = (name.to_owned(), plain);
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        if depth > MAX_DEPTH {
            let why = format!("{name} is made of itself");
            let what = "LVM metadata";
            return Err(VolumeError::Damaged { what, why }.into());
        }
        let mut below: Vec<Partition> = Vec::new();
        // What a part's own parts have to say is more than this error can.
        let mut failed = None;
        let mut device = |part: Part<'_>| {
            let device = self.part(part, depth).and_then(|part| {
                let dev = part.dev()?;
                below.push(part);
                Ok(dev)
            });
            device.map_err(|cause| {
                failed = Some(cause);
                VolumeError::Missing(format!("a part of {name}"))
            })
        };
        let table = table(&mut device);
        let table = match failed {
            Some(cause) => return Err(cause),
            None => table?,
        };
        let mapped = dm::create(self.kernel, &table, self.read_only, below)?;
        let made = mapped.into_partition();
        self.made.insert(key, made.clone());
        Ok(made)
    }

    fn part(&mut self, part: Part<'_>, depth: usize) -> Result<Partition, Cause> {
        match part {
            Part::Logical(name) => self.logical(name, depth + 1),
            Part::Plain(name) => self.plain(name, depth + 1),
            Part::Physical(id) => (self.physical)(id).ok_or_else(|| {
                let (group, id) = (&self.group.name, with_dashes(id));
                VolumeError::Missing(format!("physical volume {id} of group {group}")).into()
            }),
        }
    }
}

/// The UUID of a physical volume as lvm2 prints it.
fn with_dashes(id: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = id;
    for len in [6, 4, 4, 4, 4, 4, 6] {
        let Some((part, behind)) = rest.split_at_checked(len) else {
            return id.to_owned();
        };
        parts.push(part);
        rest = behind;
    }
    parts.join("-") + rest
}

type Devices<'f> = dyn FnMut(Part<'_>) -> drupe_ondisk::Result<String> + 'f;
