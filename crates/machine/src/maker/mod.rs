//! [`make`]: makes a snapshot, from kernels that were booted alike at different
//! addresses.
//!
//! - `compare.rs`: finds the words that are addresses.
//! - `arrange.rs`: decides which pages are copied, and which are mapped.

mod arrange;
mod compare;

use crate::boot::{self, Boot, cold};
use crate::config::Config;
use crate::error::Error;
use crate::instance::{End, Instance};
use crate::memory::snapshot::Words;
use crate::snapshot::format::{self, Body, Header, Table};
use crate::snapshot::{PAGE, processor};
use crate::thread::context;
use crate::thread::deadline::without_deadline;
use arrange::arrange;
use compare::compare;
use drupe_abi::{self as abi, Errno, op};
use drupe_host::Host;
use drupe_image::elf::Elf;
use drupe_image::embed;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The kernels' bases, in pages behind the address that the host chooses. They differ in
/// all digits that hashes and page tables use. Each two are more than 4 GiB apart, so
/// that the upper halves of addresses differ too.
const SKEWS: [usize; 3] = [0, 0x12_4b35, 0x35_1d83];

/// How often the kernels are booted again at other addresses, in case a number is by
/// chance an address of the host.
const ATTEMPTS: usize = 3;

/// How often each kernel is frozen. The second time handles what the first has left.
const ROUNDS: usize = 2;

/// Makes the snapshot of a kernel with the default [`Config`], for
/// [`Snapshot::new`](crate::Snapshot::new). The same image gives the same bytes.
///
/// # Errors
///
/// Why no snapshot can be made: a kernel does not boot, or words of its memory depend on
/// its address in a way that cannot be corrected; the message names them.
pub fn make() -> Result<Vec<u8>, String> {
    let elf = boot::elf().map_err(|error| error.to_string())?;
    // None ends before the last has been compared: no address is used again.
    let mut tried = Vec::new();
    loop {
        let frozen = SKEWS.map(|skew| Frozen::new(skew, 0));
        let frozen: Vec<Frozen> = frozen.into_iter().collect::<Result<_, _>>()?;
        match make_of(elf, &frozen) {
            Err(_) if tried.len() + 1 < ATTEMPTS => tried.push(frozen),
            made => return made,
        }
    }
}

/// Makes the snapshot of frozen kernels.
fn make_of(elf: &Elf, frozen: &[Frozen]) -> Result<Vec<u8>, String> {
    let other = Frozen::new(0, 1)?;
    let memories: Vec<Memory> = frozen.iter().map(|frozen| frozen.memory(elf)).collect();
    let (pages, negated) = compare(&memories)?;
    let mut header = frozen[0].header();
    let mut body = Body {
        negated,
        area: alike(frozen, |kernel| kernel.0.memory.vmalloc_area())?,
        secrets: secrets(&frozen[0], &memories[0], &other.memory(elf))?,
        stacks: stacks(frozen)?,
        log: frozen[0].0.log.text().into_bytes(),
        ..Body::default()
    };
    arrange(elf, pages, &mut header, &mut body);
    Ok(format::write(header, &body))
}

/// The host of the kernels that are compared: its clock stands still.
struct StillHost {
    /// The value of all random bytes.
    random: u8,
}

impl Host for StillHost {
    fn monotonic(&self) -> u64 {
        0
    }
    fn wall_clock(&self) -> i64 {
        0
    }
    fn timeout(&self, _deadline: u64) -> Option<Duration> {
        None
    }
    fn random(&self, seed: &mut [u8]) -> io::Result<()> {
        seed.fill(self.random);
        Ok(())
    }
}

/// A frozen kernel, into which no call is made any more.
struct Frozen(Arc<Instance>);

/// A copy of one kernel's memory.
pub(super) struct Memory {
    pub(super) base: u64,
    /// Its size in bytes, from the base on.
    pub(super) len: u64,
    /// The number of the first page of the stacks.
    pub(super) stacks: usize,
    pub(super) pages: BTreeMap<usize, Words>,
}

impl Frozen {
    /// Boots and freezes a kernel whose random bytes are all `random`. A new thread does
    /// it, so that addresses of the host's stack differ too.
    fn new(skew: usize, random: u8) -> Result<Frozen, String> {
        let thread = std::thread::spawn(move || Frozen::boot(skew, random));
        let kernel = thread.join().map_err(|_| "the maker panicked".to_owned())?;
        kernel.map_err(|error| error.to_string())
    }

    fn boot(skew: usize, random: u8) -> Result<Frozen, Error> {
        let config = Config {
            host: Arc::new(StillHost { random }),
            ..Config::default()
        };
        let boot = Boot {
            flags: abi::BOOT_SNAPSHOT,
            skew: Some(skew),
        };
        let frozen = Frozen(cold(config, boot)?);
        for _ in 0..ROUNDS {
            // SAFETY: the request has no arguments.
            let result =
                without_deadline(|| unsafe { frozen.0.ask_init(context(), op::FREEZE, [0; 6]) });
            result.map_err(|error| match error {
                Error::Errno(Errno::NOSYS) => {
                    Error::boot("a kernel without page tables cannot be frozen")
                }
                error => error,
            })?;
        }
        Ok(frozen)
    }

    fn base(&self) -> u64 {
        self.0.memory.at(0).addr() as u64
    }

    /// The offset of `address` from the base.
    fn offset(&self, address: u64) -> u64 {
        address - self.base()
    }

    fn memory(&self, elf: &Elf) -> Memory {
        // SAFETY: the kernel is idle, and its clock stands still.
        let pages = unsafe { self.0.memory.pages(elf) };
        let mut memory = Memory {
            base: self.base(),
            len: self.0.memory.total() as u64,
            stacks: (self.0.memory.size() + self.0.memory.vmalloc_size()) / PAGE,
            pages: pages.collect(),
        };
        // What is the host's, and set before the kernel is entered again.
        let image = self.0.image();
        memory.clear(image.boot.cast());
        for number in 0..image.cpu_count as usize {
            // SAFETY: as many states as the image says.
            let cpu = unsafe { image.cpus.add(number) };
            // SAFETY: places in the state; only the stack pointer is read, of a CPU
            // that nobody holds.
            unsafe {
                memory.clear((&raw mut (*cpu).request).cast());
                memory.clear((&raw mut (*cpu).done).cast());
                memory.clear((&raw mut (*cpu).host_sp).cast());
                memory.clear_stack((*cpu).kernel_sp);
            }
        }
        memory
    }

    fn header(&self) -> Header {
        let kernel = &self.0;
        let image = kernel.image();
        let at = |address: usize| self.offset(address as u64);
        Header {
            image_id: *embed::id(),
            processor: processor(),
            memory: kernel.memory.size() as u64,
            vmalloc: kernel.memory.vmalloc_size() as u64,
            pages: (kernel.memory.total() / PAGE) as u64,
            cpu_count: image.cpu_count.into(),
            deadline: kernel.vcpu().timer.deadline(),
            init_task: self.offset(kernel.init_task.load(Relaxed)),
            text: Table {
                start: self.offset(image.text_start),
                count: self.offset(image.text_end),
            },
            image: [
                at(image.cpus.addr()),
                at(image.enter as usize),
                at(image.extable.addr()),
                at(image.extable_end.addr()),
                at(image.fault as usize),
                at(image.abandon as usize),
                at(image.boot.addr()),
            ],
            ..Header::default()
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It cannot halt as others do, nor need it.
        if self.0.vcpu().baton.try_acquire() {
            self.0.end_with(End::Halted);
        }
        self.0.join();
    }
}

impl Memory {
    /// The end of the kernel's addresses.
    pub(super) fn end(&self) -> u64 {
        self.base + self.len
    }

    fn word(&mut self, address: u64) -> Option<&mut u64> {
        let offset = (address - self.base) as usize;
        let words = self.pages.get_mut(&(offset / PAGE))?;
        Some(&mut words[offset % PAGE / 8])
    }

    fn clear(&mut self, place: *mut u64) {
        if let Some(word) = self.word(place.addr() as u64) {
            *word = 0;
        }
    }

    /// Clears the unused part of the stack that `sp` points into.
    fn clear_stack(&mut self, sp: u64) {
        let mut address = sp - 8;
        while let Some(word) = self.word(address) {
            *word = 0;
            address -= 8;
        }
    }
}

/// The result of `look`, which must be the same for each kernel.
fn alike<T: PartialEq>(frozen: &[Frozen], look: impl Fn(&Frozen) -> T) -> Result<T, String> {
    let first = look(&frozen[0]);
    if frozen.iter().all(|kernel| look(kernel) == first) {
        Ok(first)
    } else {
        Err("kernels that were booted alike have different stacks or mappings".to_owned())
    }
}

fn stacks(frozen: &[Frozen]) -> Result<Vec<u32>, String> {
    let used = alike(frozen, |kernel| kernel.0.memory.stacks_in_use())?;
    Ok(used.into_iter().map(|number| number as u32).collect())
}

/// The offsets of the 32-bit words that depend on the random seed, in the range that the
/// image names.
fn secrets(kernel: &Frozen, memory: &Memory, other: &Memory) -> Result<Vec<u32>, String> {
    let image = kernel.0.image();
    let range = kernel.offset(image.secrets)..kernel.offset(image.secrets_end);
    let number = |memory: &Memory, offset: u64| {
        let words = &memory.pages[&(offset as usize / PAGE)];
        words[offset as usize % PAGE / 8] >> (offset % 8 * 8) & 0xffff_ffff
    };
    let depends = |offset: &u64| number(memory, *offset) != number(other, *offset);
    let found: Vec<u32> = range
        .step_by(4)
        .filter(depends)
        .map(|offset| offset as u32)
        .collect();
    if found.is_empty() {
        return Err("no secrets are where the linker script has put them".to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offset of a word that is 0 in all `memories`, behind the image and before
    /// the stacks.
    fn find_zero(elf: &Elf, memories: &[Memory]) -> usize {
        let ram = elf.memory_size() as usize / PAGE + 1..memories[0].stacks;
        let offsets = memories[0].pages.range(ram).flat_map(|(page, _)| {
            let start = page * PAGE;
            (start..start + PAGE).step_by(8)
        });
        let is_zero = |offset: &usize| {
            let word = |memory: &Memory| memory.pages[&(offset / PAGE)][offset % PAGE / 8];
            memories.iter().all(|memory| word(memory) == 0)
        };
        offsets.into_iter().find(is_zero).expect("a word that is 0")
    }

    #[test]
    fn a_kernel_with_a_hash_of_an_address_gives_no_snapshot() {
        let elf = boot::elf().unwrap();
        let frozen: Result<Vec<Frozen>, String> =
            SKEWS.into_iter().map(|skew| Frozen::new(skew, 0)).collect();
        let frozen = match frozen {
            Err(error) if error.contains("cannot be frozen") => {
                return drupe_testing::skipped(error);
            }
            frozen => frozen.unwrap(),
        };
        let memories: Vec<Memory> = frozen.iter().map(|frozen| frozen.memory(elf)).collect();
        let offset = find_zero(elf, &memories);
        let named = format!("  {offset:#x}: ");
        // A number may be an address of the host's by chance, but not this one.
        let before = make_of(elf, &frozen).err().unwrap_or_default();
        assert!(!before.contains(&named), "{before}");
        for kernel in &frozen {
            let hash = kernel.base().wrapping_mul(0x61c8_8646_80b5_83eb);
            let word = kernel.0.memory.at(offset).cast::<u64>();
            // SAFETY: RAM of a kernel that nobody enters any more.
            unsafe { word.write(hash) };
        }
        let refusal = make_of(elf, &frozen).map(drop).expect_err("a refusal");
        assert!(refusal.contains(&named), "{refusal}");
    }
}
