//! Where partitions go, and how large they are: systemd-repart's algorithm.
//!
//! 1. Existing partitions keep their place, and are given the first definition of their
//!    type that no earlier one has. Those without a definition are left as they are.
//! 2. Each definition without a partition is put into the smallest gap that has room for
//!    its minimum. If there is none, the definitions with the highest priority above 0
//!    are left out, and this step is done again.
//! 3. In each gap, the room is shared by weight among the new partitions, the padding
//!    behind them, and the existing partition in front of it, which may grow. First, who
//!    needs more than its share gets its minimum; then, who wants less gets its maximum;
//!    what is left is shared by the others.
//! 4. What still is left goes to the existing partition in front, then to the new ones,
//!    as far as their maximum allows.
//!
//! Sizes are multiples of [`GRAIN`], but for those of existing partitions. Minima are
//! rounded down to that, maxima up: systemd-repart 252 does so, though its manual says
//! the opposite.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::definition::{Definition, Minimize};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::identity;
use crate::partition::Partition;

/// Places and sizes are multiples of this, in bytes.
pub const GRAIN: u64 = 4096;
/// The least size of a partition for which nothing else is said.
const DEFAULT_MIN: u64 = 10 << 20;
/// What a LUKS2 volume takes of its partition: header and key slots, in bytes.
pub const LUKS2_HEADER: u64 = 16 << 20;

/// A partition of the disk that is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// As it will be in the table.
    pub partition: Partition,
    /// Bytes left free behind it.
    pub padding: u64,
    /// Its definition, by number; `None`: it was there before, and none is for it.
    pub definition: Option<usize>,
    /// Its size before; `None`: it is new.
    pub old_size: Option<u64>,
}

/// What `definitions` make of `disk`: all partitions, in the order of their numbers.
/// `contents` has for each definition how many bytes are there already: those of
/// `CopyBlocks=`, or of a filesystem that was made before.
///
/// # Errors
///
/// [`Error::NoRoom`]
pub fn plan(
    definitions: &[Definition],
    contents: &[Option<u64>],
    disk: &Disk,
    seed: Uuid,
) -> Result<Vec<Planned>> {
    let mut plan = Plan::new(definitions, contents, disk);
    while let Err(failed) = plan.allocate() {
        if !plan.leave_out() {
            return Err(failed);
        }
    }
    for gap in 0..plan.gaps.len() {
        plan.share(gap);
    }
    plan.place()?;
    plan.name(seed);
    let planned = plan.finish();
    check(&planned, definitions, disk)?;
    Ok(planned)
}

/// The labels and UUIDs that [`plan`] gives the partitions that are new, by definition;
/// `None`: there is one already.
pub fn names(definitions: &[Definition], disk: &Disk, seed: Uuid) -> Vec<Option<(String, Uuid)>> {
    let mut plan = Plan::new(definitions, &[], disk);
    plan.name(seed);
    let mut names = vec![None; definitions.len()];
    for item in plan.items {
        if let (Some((number, _)), None) = (item.definition, item.existing) {
            names[number] = Some((item.label, item.uuid));
        }
    }
    names
}

/// The least size of a disk that has room for all of `definitions`, in bytes.
pub fn least_size(definitions: &[Definition], contents: &[Option<u64>]) -> u64 {
    let least = |(number, definition)| {
        let content = contents.get(number).copied().flatten();
        let item = Item::new(Some((number, definition)), content, None);
        item.min().saturating_add(item.min_padding())
    };
    let all = definitions.iter().enumerate().map(least);
    all.fold(up(TABLES), u64::saturating_add)
}

/// What both copies of a partition table take of a disk, with what is in front of the
/// first partition, in bytes.
const TABLES: u64 = 1044 << 10;

/// What must hold of any plan, before anything is done: partitions are on the disk, do
/// not overlap, and have UUIDs of their own.
fn check(planned: &[Planned], definitions: &[Definition], disk: &Disk) -> Result<()> {
    let file = |one: &Planned| match one.definition {
        Some(number) => definitions[number].file.clone(),
        None => format!("partition {}", one.partition.number),
    };
    let mut sorted: Vec<_> = planned.iter().collect();
    sorted.sort_by_key(|one| one.partition.start);
    let nexts = sorted.iter().skip(1).map(|one| one.partition.start);
    for (one, next) in sorted.iter().zip(nexts.chain([disk.usable.end])) {
        let end = one.partition.range().end.checked_add(one.padding);
        if end.is_none_or(|end| end > next) || one.partition.size == 0 {
            return Err(Error::NoRoom {
                file: file(one),
                needed: one.partition.size.saturating_add(one.padding),
            });
        }
    }
    let mut uuids = BTreeSet::new();
    for one in planned.iter().filter(|one| !one.partition.uuid.is_nil()) {
        if !uuids.insert(one.partition.uuid) {
            let (file, uuid) = (file(one), one.partition.uuid);
            return Err(Error::Disk(format!(
                "{file}: another partition has the UUID {uuid}"
            )));
        }
    }
    Ok(())
}

/// The least that a filesystem can have, in bytes, as systemd-repart and the tools that
/// make it have it.
pub fn least_size_of(format: &str) -> u64 {
    match format {
        "ext4" | "ext3" | "ext2" => 1 << 20,
        "btrfs" => 256 << 20,
        "xfs" => 300 << 20,
        "f2fs" => 64 << 20,
        _ => GRAIN,
    }
}

/// Room between partitions, or all of an empty disk.
#[derive(Debug)]
struct Gap {
    start: u64,
    size: u64,
    /// The partition in front of it.
    after: Option<usize>,
    /// What the minimum sizes in it take.
    taken: u64,
}

/// A partition while it is planned.
struct Item<'a> {
    definition: Option<(usize, &'a Definition)>,
    content: Option<u64>,
    existing: Option<Partition>,
    left_out: bool,
    /// New: the gap that it is in.
    gap: Option<usize>,
    /// Existing: the gap behind it.
    behind: Option<usize>,
    size: Option<u64>,
    padding: Option<u64>,
    start: u64,
    number: u32,
    label: String,
    uuid: Uuid,
}

struct Plan<'a> {
    items: Vec<Item<'a>>,
    gaps: Vec<Gap>,
    numbers: Vec<u32>,
}

impl Item<'_> {
    fn weight(&self) -> u64 {
        self.definition.map_or(1000, |(_, it)| it.weight.into())
    }

    fn padding_weight(&self) -> u64 {
        self.definition
            .map_or(0, |(_, it)| it.padding_weight.into())
    }

    fn min(&self) -> u64 {
        let current = self.existing.as_ref().map(|existing| existing.size);
        let Some((_, definition)) = self.definition else {
            return current.unwrap_or(0);
        };
        let mut least = current.unwrap_or(GRAIN);
        if self.existing.is_none() {
            let mut content = if definition.encrypt { LUKS2_HEADER } else { 0 };
            if let Some(bytes) = self.content {
                content += up(bytes);
            } else if let Some(format) = &definition.format {
                content += least_size_of(format);
            } else if definition.encrypt {
                content += GRAIN;
            }
            least = least.max(content);
        }
        let default = match self.is_exact() {
            true => 0,
            false => DEFAULT_MIN,
        };
        least.max(down(definition.size.min.unwrap_or(default)))
    }

    fn max(&self) -> u64 {
        let current = self.existing.as_ref().map(|existing| existing.size);
        let Some((_, definition)) = self.definition else {
            return current.unwrap_or(0);
        };
        let max = match definition.size.max {
            _ if self.is_exact() => 0,
            Some(max) => max,
            None => return u64::MAX,
        };
        up(max).max(current.unwrap_or(0)).max(self.min())
    }

    /// Whether it is as large as what it contains.
    fn is_exact(&self) -> bool {
        let definition = self.definition.map(|(_, definition)| definition);
        let is_best = definition.is_some_and(|it| it.minimize == Minimize::Best);
        is_best && self.existing.is_none() && self.content.is_some()
    }

    fn min_padding(&self) -> u64 {
        let padding = self.definition.and_then(|(_, it)| it.padding.min);
        down(padding.unwrap_or(0))
    }

    fn max_padding(&self) -> u64 {
        let padding = self.definition.and_then(|(_, it)| it.padding.max);
        padding.map_or(u64::MAX, up).max(self.min_padding())
    }

    fn is_in(&self, gap: usize) -> bool {
        self.gap == Some(gap) || self.behind == Some(gap)
    }
}

impl<'a> Plan<'a> {
    fn new(definitions: &'a [Definition], contents: &[Option<u64>], disk: &Disk) -> Plan<'a> {
        let mut existing = disk.partitions.clone();
        existing.sort_by_key(|partition| partition.start);
        let mut unused: Vec<_> = definitions.iter().enumerate().map(Some).collect();
        let mut items = Vec::new();
        let mut gaps = Vec::new();
        let mut end = up(disk.usable.start);
        for (index, partition) in existing.iter().enumerate() {
            // Before the first one; behind the others, it is added with them.
            if index == 0 && partition.start > end {
                gaps.push(Gap::new(end, down(partition.start), None));
            }
            end = up(partition.start + partition.size).max(end);
            let next = existing
                .get(index + 1)
                .map_or(disk.usable.end, |next| next.start);
            let gap = Gap::new(end, down(next).max(end), Some(index));
            let definition = unused
                .iter_mut()
                .find(|one| one.is_some_and(|(_, it)| it.kind.uuid == partition.kind))
                .and_then(Option::take);
            let mut item = Item::new(definition, None, Some(partition.clone()));
            item.behind = Some(gaps.len());
            gaps.push(gap);
            items.push(item);
        }
        if existing.is_empty() {
            gaps.push(Gap::new(end, down(disk.usable.end).max(end), None));
        }
        for (number, definition) in unused.into_iter().flatten() {
            let content = contents.get(number).copied().flatten();
            items.push(Item::new(Some((number, definition)), content, None));
        }
        Plan {
            items,
            gaps,
            numbers: disk.free_numbers().collect(),
        }
    }

    /// Gives each new partition a gap that has room for its minimum.
    fn allocate(&mut self) -> Result<()> {
        for gap in &mut self.gaps {
            gap.taken = 0;
        }
        let mut by_size: Vec<_> = (0..self.gaps.len()).collect();
        by_size.sort_by_key(|&gap| self.available(gap));
        for at in 0..self.items.len() {
            let item = &self.items[at];
            if item.existing.is_some() || item.left_out {
                continue;
            }
            let needed = item.min().saturating_add(item.min_padding());
            let gap = by_size.iter().copied();
            let Some(gap) = gap.into_iter().find(|&gap| self.available(gap) >= needed) else {
                return Err(Error::NoRoom {
                    file: item
                        .definition
                        .map_or_else(String::new, |(_, it)| it.file.clone()),
                    needed,
                });
            };
            self.items[at].gap = Some(gap);
            self.gaps[gap].taken += needed;
        }
        Ok(())
    }

    /// Bytes of a gap that nobody needs, once what is in front has what it needs.
    fn available(&self, gap: usize) -> u64 {
        let Gap {
            size, taken, after, ..
        } = self.gaps[gap];
        let Some(item) = after.map(|after| &self.items[after]) else {
            return size.saturating_sub(taken);
        };
        let current = item.existing.as_ref().map_or(0, |existing| existing.size);
        let grows = up(item.min()).saturating_sub(up(current));
        size.saturating_sub(grows + item.min_padding() + taken)
    }

    /// Leaves out the definitions with the highest priority above 0; `false`: none is.
    fn leave_out(&mut self) -> bool {
        let priority = |item: &Item<'_>| match item {
            Item {
                existing: None,
                left_out: false,
                definition: Some((_, it)),
                ..
            } => it.priority,
            _ => 0,
        };
        let highest = self.items.iter().map(priority).max().unwrap_or(0);
        if highest <= 0 {
            return false;
        }
        for item in &mut self.items {
            item.left_out |= priority(item) == highest;
            item.gap = None;
        }
        true
    }

    /// Shares the room of a gap.
    fn share(&mut self, gap: usize) {
        let Gap { size, after, .. } = self.gaps[gap];
        let before = after.and_then(|after| self.items[after].existing.as_ref());
        let mut span = size + before.map_or(0, |it| up(it.start + it.size) - it.start);
        let inside: Vec<_> = (0..self.items.len())
            .filter(|&at| self.items[at].is_in(gap))
            .collect();
        let mut weights = inside
            .iter()
            .map(|&at| self.items[at].weight() + self.items[at].padding_weight())
            .sum::<u64>();
        for phase in [Phase::Min, Phase::Max, Phase::Rest] {
            while !self.share_once(&inside, phase, &mut span, &mut weights) {}
        }
        // The one in front first, then all in their order.
        for at in after.into_iter().chain(inside) {
            let item = &mut self.items[at];
            if item.definition.is_none() {
                continue;
            }
            let size = item.size.unwrap_or(0);
            let more = item.max().saturating_sub(size).min(span);
            item.size = Some(size + more);
            span -= more;
        }
        if let Some(after) = after {
            let padding = &mut self.items[after].padding;
            *padding = Some(padding.unwrap_or(0) + span);
        }
    }

    /// One round of a phase; `false`: the shares have changed, and it is done again.
    fn share_once(
        &mut self,
        inside: &[usize],
        phase: Phase,
        span: &mut u64,
        weights: &mut u64,
    ) -> bool {
        for &at in inside {
            let item = &mut self.items[at];
            if item.size.is_none() {
                let (weight, min, max) = (item.weight(), item.min(), item.max());
                if let Some((size, again)) = phase.settle(*span, weight, *weights, min, max) {
                    item.size = Some(size);
                    *span -= up(size).min(*span);
                    *weights -= weight;
                    if again {
                        return false;
                    }
                }
            }
            if item.padding.is_none() {
                let (min, max) = (item.min_padding(), item.max_padding());
                let weight = item.padding_weight();
                if let Some((padding, again)) = phase.settle(*span, weight, *weights, min, max) {
                    item.padding = Some(padding);
                    *span -= up(padding).min(*span);
                    *weights -= weight;
                    if again {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn place(&mut self) -> Result<()> {
        let mut numbers = std::mem::take(&mut self.numbers).into_iter();
        for gap in 0..self.gaps.len() {
            let Gap { start, after, .. } = self.gaps[gap];
            let mut at = match after {
                None => start,
                Some(after) => {
                    let item = &self.items[after];
                    let start = item.existing.as_ref().map_or(start, |it| it.start);
                    up(start + item.size.unwrap_or(0) + item.padding.unwrap_or(0))
                }
            };
            for item in self.items.iter_mut().filter(|item| item.gap == Some(gap)) {
                item.start = at;
                item.number = numbers.next().ok_or_else(|| {
                    Error::Disk("its partition table has no room for more partitions".to_owned())
                })?;
                at += item.size.unwrap_or(0) + item.padding.unwrap_or(0);
            }
        }
        Ok(())
    }

    /// Labels and UUIDs, which existing partitions keep.
    fn name(&mut self, seed: Uuid) {
        for at in 0..self.items.len() {
            let (before, item) = self.items.split_at_mut(at);
            let item = &mut item[0];
            let Some((_, definition)) = item.definition.filter(|_| !item.left_out) else {
                continue;
            };
            if item.uuid.is_nil() {
                let kind = definition.kind.uuid;
                let is_taken = |uuid| before.iter().any(|other| other.uuid == uuid);
                item.uuid = definition.uuid.unwrap_or_else(|| {
                    (0..)
                        .map(|count| identity::of_partition(seed, kind, count))
                        .find(|&uuid| !is_taken(uuid))
                        .expect("there are more numbers than partitions")
                });
            }
            if item.label.is_empty() {
                let name = definition.default_label();
                let is_taken = |label: &str| before.iter().any(|other| other.label == label);
                item.label = definition.label.clone().unwrap_or_else(|| {
                    std::iter::once(name.clone())
                        .chain((2..).map(|count| format!("{name}-{count}")))
                        .find(|label| !is_taken(label))
                        .expect("there are more numbers than partitions")
                });
            }
        }
    }

    fn finish(self) -> Vec<Planned> {
        let mut planned: Vec<_> = self
            .items
            .into_iter()
            .filter(|item| !item.left_out)
            .map(|item| Planned {
                partition: Partition {
                    number: item.number,
                    start: item.start,
                    size: item.size.unwrap_or(0),
                    kind: item.definition.map_or_else(
                        || item.existing.as_ref().map_or(Uuid::nil(), |it| it.kind),
                        |(_, it)| it.kind.uuid,
                    ),
                    uuid: item.uuid,
                    label: item.label,
                    flags: match (&item.existing, item.definition) {
                        (Some(existing), _) => existing.flags,
                        (None, Some((_, definition))) => definition.flags,
                        (None, None) => 0,
                    },
                },
                padding: item.padding.unwrap_or(0),
                definition: item.definition.map(|(number, _)| number),
                old_size: item.existing.map(|existing| existing.size),
            })
            .collect();
        planned.sort_by_key(|one| one.partition.number);
        planned
    }
}

impl<'a> Item<'a> {
    fn new(
        definition: Option<(usize, &'a Definition)>,
        content: Option<u64>,
        existing: Option<Partition>,
    ) -> Item<'a> {
        Item {
            definition,
            content,
            left_out: false,
            gap: None,
            behind: None,
            size: None,
            padding: None,
            start: existing.as_ref().map_or(0, |it| it.start),
            number: existing.as_ref().map_or(0, |it| it.number),
            label: existing
                .as_ref()
                .map_or_else(String::new, |it| it.label.clone()),
            uuid: existing.as_ref().map_or(Uuid::nil(), |it| it.uuid),
            existing,
        }
    }
}

impl Gap {
    fn new(start: u64, end: u64, after: Option<usize>) -> Gap {
        Gap {
            start,
            size: end.saturating_sub(start),
            after,
            taken: 0,
        }
    }
}

/// Who is served, one after the other.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Who needs more than its share.
    Min,
    /// Who wants less than its share.
    Max,
    /// The rest.
    Rest,
}

impl Phase {
    /// What one of weight `weight` gets of `span` in this phase, and whether that changes
    /// the shares of others; `None`: it is not its turn.
    fn settle(
        self,
        span: u64,
        weight: u64,
        weights: u64,
        min: u64,
        max: u64,
    ) -> Option<(u64, bool)> {
        let share = match weights {
            0 => 0,
            weights => (u128::from(span) * u128::from(weight) / u128::from(weights)) as u64,
        };
        match self {
            Phase::Min => (min > share).then_some((min, true)),
            Phase::Max => (max < share).then_some((max, true)),
            Phase::Rest => Some((down(share).max(min).min(max), false)),
        }
    }
}

fn up(bytes: u64) -> u64 {
    bytes
        .checked_next_multiple_of(GRAIN)
        .unwrap_or(u64::MAX / GRAIN * GRAIN)
}

fn down(bytes: u64) -> u64 {
    bytes / GRAIN * GRAIN
}
