//! Starts a kernel: from a snapshot if one fits, else by booting.
//!
//! - [`cold`]: loads the image, gives it the boot block, runs it until process 1 exists.
//! - [`restore`]: makes memory from the snapshot, stores the boot block's address in the
//!   image's variable, and has process 1 thaw the kernel (`kernel/snapshot.c` of the
//!   port).

use crate::config::Config;
use crate::devices::disks::Disks;
use crate::devices::environment::{Environment, contain};
use crate::devices::netdevs::NetDevices;
use crate::devices::watch::Watches;
use crate::error::Error;
use crate::generation::generation;
use crate::instance::{BootBlock, Instance, PostedRequests};
use crate::memory::Memory;
use crate::operations::OPS;
use crate::process::{fault, fork};
use crate::snapshot::Snapshot;
use crate::thread::deadline::without_deadline;
use crate::thread::{self, context};
use crate::vcpu::Vcpu;
use crate::vcpu::call::Call;
use drupe_abi as abi;
use drupe_host::TimerWaker;
use drupe_host::log::Log;
use drupe_image::elf::{Elf, PAGE_SIZE, Relocation};
use drupe_image::embed;
use once_cell::race::OnceBox;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Mutex, OnceLock};

/// The command line of every kernel. The last three options keep drivers from making
/// network devices when they start.
const COMMAND_LINE: &str = "console=drupe loglevel=7 random.trust_bootloader=1 \
    bonding.max_bonds=0 dummy.numdummies=0 ifb.numifbs=0";

/// Room for a command line and a NUL (`include/uapi/asm-generic/setup.h`). The kernel cuts
/// off the rest.
const COMMAND_LINE_SIZE: usize = 512;

/// Address space for vmalloc. Page by page it takes 32,768 of the 65,530 mappings
/// that the host allows.
const VMALLOC_SIZE: usize = 128 << 20;

/// `getpid`, `include/uapi/asm-generic/unistd.h`.
const NR_GETPID: u64 = 172;

/// Memory that the kernel needs for itself, beside its image.
const MIN_RAM: usize = 12 << 20;

/// The embedded image, parsed once per process.
pub(crate) fn elf() -> Result<&'static Elf, Error> {
    static ELF: OnceBox<Result<Elf, String>> = OnceBox::new();
    ELF.get_or_init(|| Box::new(Elf::parse(embed::bytes()).map_err(|e| e.to_string())))
        .as_ref()
        .map_err(Error::boot)
}

/// Its relocations, parsed once per process that boots.
fn relocations(elf: &Elf) -> Result<&'static [Relocation], Error> {
    static RELOCATIONS: OnceBox<Result<Vec<Relocation>, String>> = OnceBox::new();
    let parse = || Box::new(elf.relocations(embed::bytes()).map_err(|e| e.to_string()));
    let relocations = RELOCATIONS.get_or_init(parse).as_ref();
    Ok(relocations.map_err(Error::boot)?)
}

/// `size` in whole pages; an error if it is too small for the image and [`MIN_RAM`].
fn memory_size(elf: &Elf, size: usize) -> Result<usize, Error> {
    let least = elf.memory_size() as usize + MIN_RAM;
    let size = size.checked_next_multiple_of(PAGE_SIZE as usize);
    let size = size.unwrap_or(usize::MAX);
    if !(least..1 << 40).contains(&size) {
        return Err(Error::boot(format_args!(
            "{} MiB of memory; at least {} MiB are needed",
            size >> 20,
            least.div_ceil(1 << 20)
        )));
    }
    Ok(size)
}

fn no_memory(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        return Error::boot(format_args!(
            "its memory is a file of the host's, and this process may not have files of \
             that size: raise the limit (RLIMIT_FSIZE, `ulimit -f`)"
        ));
    }
    Error::boot(format_args!("cannot map its memory: {error}"))
}

/// Starts a kernel.
pub(crate) fn boot(config: Config) -> Result<Arc<Instance>, Error> {
    match config.fitting_snapshot() {
        Some(snapshot) => restore(config, snapshot),
        None => cold(config, Boot::default()),
    }
}

/// Options of [`cold`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Boot {
    /// Flags of [`abi::Boot`].
    pub(crate) flags: u64,
    /// The base is at least so many pages behind the address that the host chooses: see
    /// `Memory::load`.
    pub(crate) skew: Option<usize>,
}

/// The kernel's command line: the library's words, and those of the program.
fn command_line(words: &str) -> Result<CString, Error> {
    let room = COMMAND_LINE_SIZE - COMMAND_LINE.len() - 2;
    if words.len() > room {
        let message = format!(
            "the command line has {} bytes; at most {room} are possible",
            words.len()
        );
        return Err(Error::boot(message));
    }
    CString::new(format!("{COMMAND_LINE} {words}"))
        .map_err(|_| Error::boot("the command line contains a NUL byte"))
}

/// Boots a kernel.
pub(crate) fn cold(config: Config, boot: Boot) -> Result<Arc<Instance>, Error> {
    let command_line = command_line(&config.command_line)?;
    let elf = elf()?;
    let size = memory_size(elf, config.memory)?;
    install()?;
    let (ram, relocations) = (config.ram, relocations(elf)?);
    let memory = Memory::load(elf, relocations, ram, size, VMALLOC_SIZE, boot.skew);
    let memory = memory.map_err(no_memory)?;
    let kernel = instance(config, memory)?;
    start(&kernel, command_line, boot.flags)?;
    if kernel.vcpu().timeout(abi::NO_DEADLINE).is_none() {
        // The first tick makes timers precise: a clock that stands still does
        // not bring it. It is taken before the call is served.
        let pending = kernel.vcpu().pending();
        pending.fetch_or(1 << abi::irq::TIMER, SeqCst);
        // SAFETY: the call has no arguments.
        without_deadline(|| unsafe { kernel.ask_init(context(), NR_GETPID, [0; 6]) })?;
    }
    // SAFETY: the kernel does not run.
    let trim = || unsafe { kernel.memory.trim() };
    // A kernel that has ended meanwhile says so to whoever calls it.
    let _ = without_deadline(|| kernel.vcpu().hold(trim));
    Ok(kernel)
}

/// Starts a kernel from `snapshot`.
pub(crate) fn restore(config: Config, snapshot: &Snapshot) -> Result<Arc<Instance>, Error> {
    install()?;
    let memory =
        Memory::from_snapshot(elf()?, config.ram, config.memory, snapshot).map_err(no_memory)?;
    let kernel = instance(config, memory)?;
    let block = boot_block(&kernel, c"".into(), 0)?;
    let image = snapshot.image(kernel.memory.at(0));
    // SAFETY: where the image says that it has this, in memory that nobody uses.
    unsafe { *image.boot = &block.boot };
    let log = snapshot.log();
    let _ = contain(|| kernel.log.write(log));
    kernel.environment.console(log);
    attach(&kernel, image);
    let vcpu = kernel.vcpu();
    vcpu.timer.set(vcpu, snapshot.deadline());
    let init = kernel.memory.at(snapshot.init_task() as usize);
    kernel.init_task.store(init.addr() as u64, Relaxed);
    let secrets = snapshot.secrets();
    let args = [
        secrets.as_ptr().addr() as u64,
        secrets.len() as u64,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the list is in place until the request is complete.
    without_deadline(|| unsafe { kernel.ask_init(context(), abi::op::THAW, args) })?;
    // Threads that start would compete for the lock on the process's mappings.
    start_helpers(&kernel)?;
    Ok(kernel)
}

/// Installs signal handlers, fork handler and thread key, once per process, before any
/// kernel has memory. The fork handler comes first: it resets the others in a child.
fn install() -> Result<(), Error> {
    fork::install();
    if !thread::install() {
        return Err(Error::boot(
            "the process has no pthread key left (pthread_key_create(3))",
        ));
    }
    fault::install();
    Ok(())
}

/// The instance of a kernel that does not run yet.
fn instance(config: Config, memory: Memory) -> Result<Arc<Instance>, Error> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let environment = Environment::new(config.host)?;
    let kernel = Arc::new_cyclic(|myself| Instance {
        id: IDS.fetch_add(1, Relaxed),
        generation: generation(),
        environment,
        memory,
        image: OnceLock::new(),
        boot: OnceLock::new(),
        vcpus: Box::new([Vcpu::new()]),
        disks: Disks::default(),
        io_queue: drupe_cpu::work::Queue::default(),
        netdevs: NetDevices::default(),
        watches: Watches::default(),
        myself: myself.clone(),
        threads: Mutex::default(),
        log: Log::new(config.console),
        init_task: AtomicU64::new(0),
        posted: PostedRequests::default(),
        end: OnceLock::new(),
    });
    kernel.environment.attach(timer_waker(&kernel))?;
    Ok(kernel)
}

/// The waker by which a host tells the kernel that its clock has jumped.
fn timer_waker(kernel: &Arc<Instance>) -> TimerWaker {
    let kernel = Arc::downgrade(kernel);
    TimerWaker::new(move || {
        let kernel = kernel.upgrade().filter(|kernel| kernel.end.get().is_none());
        if let Some(kernel) = &kernel
            && !kernel.is_forked()
        {
            kernel.vcpu().timer.look_again(kernel.vcpu());
        }
        kernel.is_some()
    })
}

fn boot_block(
    kernel: &Arc<Instance>,
    command_line: CString,
    flags: u64,
) -> Result<&BootBlock, Error> {
    let seed = kernel.environment.seed()?;
    Ok(kernel.boot.get_or_init(|| BootBlock {
        boot: abi::Boot {
            abi_version: abi::ABI_VERSION,
            cpu_count: 1,
            ops: &OPS,
            ctx: Arc::as_ptr(kernel).cast(),
            memory_size: kernel.memory.size() as u64,
            vmalloc_size: kernel.memory.vmalloc_size() as u64,
            command_line: command_line.as_ptr(),
            seed,
            flags,
        },
        _command_line: command_line,
    }))
}

/// Sets the kernel's image, and attaches its CPUs.
fn attach(kernel: &Instance, image: abi::Image) {
    kernel.image.get_or_init(|| image);
    for (number, vcpu) in kernel.vcpus.iter().enumerate() {
        // SAFETY: the CPUs of an instance live as long as it and its image do,
        // and no other thread knows them yet.
        unsafe { vcpu.attach(kernel, image.cpus.add(number)) };
    }
}

fn start_helpers(kernel: &Instance) -> Result<(), Error> {
    for _ in 0..2 {
        let helper = kernel.spawn("drupe-timer", |kernel| {
            let vcpu = kernel.vcpu();
            vcpu.timer.serve(vcpu);
        });
        helper.map_err(|error| {
            kernel.vcpu().timer.quit();
            Error::boot(format_args!("cannot start its helper thread: {error}"))
        })?;
    }
    Ok(())
}

fn start(kernel: &Arc<Instance>, command_line: CString, flags: u64) -> Result<(), Error> {
    let block = boot_block(kernel, command_line, flags)?;
    let mut image = MaybeUninit::uninit();
    // SAFETY: the entry point of an image that was checked and loaded; it fills
    // in `image` when it returns 0.
    let image = unsafe {
        let entry = kernel.memory.at(elf()?.entry as usize);
        let entry: abi::Entry = std::mem::transmute(entry);
        if entry(&block.boot, image.as_mut_ptr()) != 0 {
            return Err(Error::boot(
                "the kernel image is for another version of drupe",
            ));
        }
        image.assume_init()
    };
    attach(kernel, image);
    start_helpers(kernel)?;

    // The kernel fills in the task: process 1.
    let mut call = Call::new(0, abi::op::BOOT, [0; 6]);
    // SAFETY: the request has no arguments.
    without_deadline(|| unsafe { kernel.complete(context(), &mut call) })?;
    kernel.init_task.store(call.request.task, Relaxed);
    Ok(())
}
