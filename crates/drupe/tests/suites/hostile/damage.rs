//! [`Damage`]: changes random bytes of an image, and restores them.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fastrand::Rng;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::checksums::{Checksums, Kind};

/// Where most filesystems keep what everything else hangs on.
const HEAD: u64 = 256 << 10;

/// What was where something else is now.
pub(super) struct Damage {
    originals: Vec<(u64, Vec<u8>)>,
}

impl Damage {
    /// Overwrites up to 64 places that are not holes, half of them in the head
    /// or, where there are checksums, in what they are over; these are made right.
    pub(super) fn inflict(image: &Path, seed: u64, sums: &Checksums) -> Result<Damage> {
        let file = File::options().read(true).write(true).open(image)?;
        let data = data_ranges(&file)?;
        let head = match sums.ranges() {
            none if none.is_empty() => below(&data, HEAD),
            ranges => ranges,
        };
        let mut rng = Rng::with_seed(seed);
        let mut originals = Vec::new();
        for _ in 0..rng.u32(1..=64) {
            let ranges = if rng.bool() { &head } else { &data };
            let mut new = match rng.u32(0..8) {
                0 => vec![0; 512],
                _ => vec![0; rng.usize(1..=16)],
            };
            if new.len() < 512 {
                rng.fill(&mut new);
            }
            let offset = pick(ranges, &mut rng);
            let mut old = vec![0; new.len()];
            match file.read_exact_at(&mut old, offset) {
                // Too near the end.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
                result => result?,
            }
            file.write_all_at(&new, offset)?;
            originals.push((offset, old));
        }
        for n in 0..originals.len() {
            let (offset, len) = (originals[n].0, originals[n].1.len());
            for (place, sum) in sums.after(&file, offset, len)? {
                let mut old = vec![0; sum.len()];
                file.read_exact_at(&mut old, place)?;
                file.write_all_at(&sum, place)?;
                originals.push((place, old));
            }
        }
        Ok(Damage { originals })
    }

    /// Undoes it.
    pub(super) fn mend(self, image: &Path) -> Result<()> {
        let file = File::options().write(true).open(image)?;
        // Backwards: places may overlap.
        let mut originals = self.originals.iter().rev();
        originals.try_for_each(|(offset, old)| file.write_all_at(old, *offset))
    }
}

/// The checksums of an image.
pub(super) fn checksums(image: &Path, kinds: &[Kind]) -> Result<Checksums> {
    let file = File::open(image)?;
    Checksums::find(&file, &data_ranges(&file)?, kinds)
}

/// The parts of a file that are not holes.
fn data_ranges(file: &File) -> Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut end = 0;
    loop {
        let start = match seek(file, SeekFrom::Data(end)) {
            Err(Errno::NXIO) => return Ok(ranges),
            start => start?,
        };
        end = seek(file, SeekFrom::Hole(start))?;
        ranges.push(start..end);
    }
}

fn below(ranges: &[Range<u64>], end: u64) -> Vec<Range<u64>> {
    let cut = ranges.iter().map(|range| range.start..range.end.min(end));
    cut.filter(|range| !range.is_empty()).collect()
}

/// A place in one of the ranges.
fn pick(ranges: &[Range<u64>], rng: &mut Rng) -> u64 {
    let total = ranges.iter().map(|range| range.end - range.start).sum();
    let mut place = rng.u64(0..total);
    for range in ranges {
        let len = range.end - range.start;
        if place < len {
            return range.start + place;
        }
        place -= len;
    }
    unreachable!("the place is within the sum of the lengths")
}

#[test]
fn damage_is_mended() -> crate::Outcome {
    let image = crate::tools::sparse_file(1 << 20)?;
    image.as_file().write_all_at(&[5; 300_000], 4096)?;
    let before = std::fs::read(image.path())?;
    for seed in 0..20 {
        let damage = Damage::inflict(image.path(), seed, &Checksums::default())?;
        assert!(before != std::fs::read(image.path())?, "seed {seed}");
        damage.mend(image.path())?;
        assert!(before == std::fs::read(image.path())?, "seed {seed}");
    }
    Ok(())
}
