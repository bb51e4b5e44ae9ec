//! Booting a kernel: load the image, hand it the boot block, run it until
//! process 1 is there.

use crate::devices::disks::Disks;
use crate::devices::environment::Environment;
use crate::devices::io_threads::IoThreads;
use crate::devices::netdevs::NetDevices;
use crate::devices::ops::OPS;
use crate::devices::watch::Watches;
use crate::error::Error;
use crate::instance::{BootBlock, Instance, PostedRequests};
use crate::machine::Config;
use crate::memory::{Memory, Ram};
use crate::process::{fault, fork};
use crate::thread::deadline::without_deadline;
use crate::thread::{self, context};
use crate::vcpu::Vcpu;
use crate::vcpu::call::Call;
use drupe_abi as abi;
use drupe_host::log::Log;
use drupe_image::elf::{Elf, PAGE_SIZE};
use drupe_image::embed;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

/// What every kernel is told. No network devices that nobody asked for: their
/// drivers make some when they start.
const COMMAND_LINE: &str = "console=drupe loglevel=7 random.trust_bootloader=1 \
    bonding.max_bonds=0 dummy.numdummies=0 ifb.numifbs=0";

/// Address space for vmalloc. Page by page it would take 32,768 of the 65,530
/// mappings that the host allows by default (`memory/budget.rs`).
const VMALLOC_SIZE: usize = 128 << 20;

/// `getpid`, `include/uapi/asm-generic/unistd.h`.
const NR_GETPID: u64 = 172;

/// Memory that the kernel needs for itself, beside its image.
const MIN_RAM: usize = 12 << 20;

/// The embedded image, parsed once per process.
fn elf() -> Result<&'static Elf, Error> {
    static ELF: OnceLock<Result<Elf, String>> = OnceLock::new();
    ELF.get_or_init(|| Elf::parse(embed::bytes()).map_err(|e| e.to_string()))
        .as_ref()
        .map_err(Error::boot)
}

fn memory(ram: Ram, size: usize) -> Result<Memory, Error> {
    let elf = elf()?;
    let least = elf.memory_size() as usize + MIN_RAM;
    let size = size.next_multiple_of(PAGE_SIZE as usize);
    if !(least..1 << 40).contains(&size) {
        return Err(Error::boot(format_args!(
            "{} MiB of memory; at least {} MiB are needed",
            size >> 20,
            least.div_ceil(1 << 20)
        )));
    }
    Memory::load(elf, ram, size, VMALLOC_SIZE)
        .map_err(|error| Error::boot(format_args!("its memory: {error}")))
}

/// Boots a kernel.
pub(crate) fn boot(config: Config) -> Result<Arc<Instance>, Error> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let command_line = CString::new(format!("{COMMAND_LINE} {}", config.command_line))
        .map_err(|_| Error::boot("the command line contains a NUL byte"))?;
    if !thread::install() {
        return Err(Error::boot(
            "the process has no pthread key left (pthread_key_create(3))",
        ));
    }
    fault::install();
    fork::install();
    let memory = memory(config.ram, config.memory)?;
    let environment = Environment::new(config.host)?;
    let kernel = Arc::new_cyclic(|myself| Instance {
        id: IDS.fetch_add(1, Relaxed),
        generation: fork::generation(),
        environment,
        memory,
        image: OnceLock::new(),
        boot: OnceLock::new(),
        vcpus: Box::new([Vcpu::new()]),
        disks: Disks::default(),
        io_threads: IoThreads::default(),
        netdevs: NetDevices::default(),
        watches: Watches::default(),
        myself: myself.clone(),
        threads: Mutex::default(),
        log: Log::new(config.console),
        init_task: AtomicU64::new(0),
        posted: PostedRequests::default(),
        end: OnceLock::new(),
    });
    kernel.environment.attach(Arc::downgrade(&kernel))?;
    start(&kernel, command_line)?;
    if kernel
        .environment
        .timeout(kernel.vcpu(), abi::NO_DEADLINE)
        .is_none()
    {
        // The first tick makes timers precise: a clock that stands still does
        // not bring it. It is taken before the call is served.
        let pending = kernel.vcpu().pending();
        pending.fetch_or(1 << abi::irq::TIMER, SeqCst);
        // SAFETY: the call has no arguments.
        without_deadline(|| unsafe { kernel.ask_init(context(), NR_GETPID, [0; 6]) })?;
    }
    Ok(kernel)
}

fn start(kernel: &Arc<Instance>, command_line: CString) -> Result<(), Error> {
    let seed = kernel.environment.seed()?;
    let block = kernel.boot.get_or_init(|| BootBlock {
        boot: abi::Boot {
            abi_version: abi::ABI_VERSION,
            cpu_count: 1,
            ops: &OPS,
            ctx: Arc::as_ptr(kernel).cast(),
            memory_size: kernel.memory.size() as u64,
            vmalloc_size: kernel.memory.vmalloc_size() as u64,
            command_line: command_line.as_ptr(),
            seed,
        },
        _command_line: command_line,
    });
    let mut image = MaybeUninit::uninit();
    // SAFETY: the entry point of an image that was checked and loaded; it fills
    // in `image` when it returns 0.
    let image = unsafe {
        let entry = kernel.memory.at(elf()?.entry as usize);
        let entry: abi::Entry = std::mem::transmute(entry);
        if entry(&block.boot, image.as_mut_ptr()) != 0 {
            return Err(Error::boot("the image is of another version"));
        }
        image.assume_init()
    };
    kernel.image.get_or_init(|| image);
    for (number, vcpu) in kernel.vcpus.iter().enumerate() {
        // SAFETY: the CPUs of an instance live as long as it and its image do,
        // and no other thread knows them yet.
        unsafe { vcpu.attach(kernel, image.cpus.add(number)) };
    }
    for _ in 0..2 {
        let helper = kernel.spawn("drupe-timer", |kernel| {
            let vcpu = kernel.vcpu();
            vcpu.timer.serve(vcpu);
        });
        helper.map_err(|error| {
            kernel.vcpu().timer.quit();
            Error::boot(format_args!("its helper thread: {error}"))
        })?;
    }

    // The kernel fills in the task: process 1.
    let mut call = Call::new(0, abi::op::BOOT, [0; 6]);
    // SAFETY: the request has no arguments.
    without_deadline(|| unsafe { kernel.complete(context(), &mut call) })?;
    kernel.init_task.store(call.request.task, Relaxed);
    Ok(())
}
