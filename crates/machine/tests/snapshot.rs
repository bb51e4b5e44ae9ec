//! Kernels that start from a snapshot: they behave as booted ones, and share no secrets
//! or identifiers.

mod common;

use common::{call, config, errno, nr, read, write};
use drupe_host::disk::MemoryDisk;
use drupe_host::{Host, ManualClock};
use drupe_machine::{Config, Machine};
use drupe_testing::skipped;
use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Numbers of `include/uapi/asm-generic/unistd.h`.
mod number {
    pub(crate) const IOCTL: usize = 29;
    pub(crate) const MKDIRAT: usize = 34;
    pub(crate) const UMOUNT2: usize = 39;
    pub(crate) const GETDENTS64: usize = 61;
    pub(crate) const LSEEK: usize = 62;
    pub(crate) const FSTATAT: usize = 79;
    pub(crate) const FSYNC: usize = 82;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const BIND: usize = 200;
    pub(crate) const LISTEN: usize = 201;
    pub(crate) const ACCEPT: usize = 202;
    pub(crate) const CONNECT: usize = 203;
    pub(crate) const GETSOCKNAME: usize = 204;
    pub(crate) const SENDTO: usize = 206;
    pub(crate) const GETRANDOM: usize = 278;
}

/// A log line that only a boot prints, and its beginning where it was that of the
/// snapshot: the clock stood still.
const FIRST_LINE: &str = "[    0.000000] Linux version";

fn restored() -> Arc<Machine> {
    let machine = common::machine();
    let log = machine.log();
    assert!(log.starts_with(FIRST_LINE), "not from a snapshot: {log}");
    machine
}

/// Whether there can be a snapshot: not of a kernel without page tables.
fn possible() -> bool {
    let possible = std::env::var("DRUPE_FLAVOUR").as_deref() != Ok("nommu");
    if !possible {
        skipped("no snapshots of this flavour");
    }
    possible
}

fn cold() -> Config {
    Config {
        snapshot: None,
        ..config()
    }
}

fn open(machine: &Machine, path: &CStr, flags: i32) -> usize {
    let args = [0, path.as_ptr() as usize, flags as usize, 0o600];
    call(machine, nr::OPENAT, &args).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn mount(machine: &Machine, kind: &CStr, on: &CStr) {
    let _ = call(machine, number::MKDIRAT, &[0, on.as_ptr() as usize, 0o755]);
    let args = [kind.as_ptr(), on.as_ptr(), kind.as_ptr()].map(|p| p as usize);
    call(machine, nr::MOUNT, &args).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
}

fn text(machine: &Machine, path: &CStr) -> String {
    let fd = open(machine, path, 0);
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match read(machine, fd, &mut piece).unwrap() {
            0 => break,
            len => text.extend_from_slice(&piece[..len]),
        }
    }
    call(machine, nr::CLOSE, &[fd]).unwrap();
    String::from_utf8(text).unwrap()
}

/// Names in a directory.
fn names(machine: &Machine, path: &CStr) -> HashSet<String> {
    let fd = open(machine, path, libc::O_DIRECTORY);
    let mut names = HashSet::new();
    loop {
        let mut buffer = [0u8; 4096];
        let args = [fd, buffer.as_mut_ptr() as usize, buffer.len()];
        let len = call(machine, number::GETDENTS64, &args).unwrap();
        if len == 0 {
            break;
        }
        let mut entries = &buffer[..len];
        while !entries.is_empty() {
            let size = usize::from(u16::from_le_bytes([entries[16], entries[17]]));
            let name = CStr::from_bytes_until_nul(&entries[19..size]).unwrap();
            names.insert(name.to_str().unwrap().to_owned());
            entries = &entries[size..];
        }
    }
    call(machine, nr::CLOSE, &[fd]).unwrap();
    names
}

fn random(machine: &Machine) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    let args = [bytes.as_mut_ptr() as usize, bytes.len(), 1];
    // GRND_NONBLOCK: an error if the generator were not seeded.
    assert_eq!(call(machine, number::GETRANDOM, &args).unwrap(), 32);
    bytes
}

fn now(machine: &Machine, clock: i32) -> Duration {
    let mut time = [0i64; 2];
    let args = [clock as usize, time.as_mut_ptr() as usize];
    call(machine, number::CLOCK_GETTIME, &args).unwrap();
    Duration::new(time[0] as u64, time[1] as u32)
}

fn wall(machine: &Machine) -> SystemTime {
    UNIX_EPOCH + now(machine, libc::CLOCK_REALTIME)
}

#[test]
fn files_and_what_the_kernel_shows_of_itself() {
    if !possible() {
        return;
    }
    let machine = restored();
    let fd = open(&machine, c"/file", libc::O_CREAT | libc::O_RDWR);
    write(&machine, fd, b"text").unwrap();
    call(&machine, number::LSEEK, &[fd, 0, 0]).unwrap();
    let mut back = [0; 4];
    read(&machine, fd, &mut back).unwrap();
    assert_eq!(&back, b"text");

    for (kind, on) in [
        (c"proc", c"/proc"),
        (c"sysfs", c"/sys"),
        (c"tmpfs", c"/tmp"),
    ] {
        mount(&machine, kind, on);
    }
    let mounts = text(&machine, c"/proc/mounts");
    assert!(mounts.contains("tmpfs /tmp tmpfs"), "{mounts}");
    assert!(text(&machine, c"/proc/self/status").contains("Name:"));
    assert!(text(&machine, c"/proc/version").starts_with("Linux"));
    assert!(!text(&machine, c"/proc/cmdline").contains("init_on_free"));
    call(&machine, number::UMOUNT2, &[c"/tmp".as_ptr() as usize, 0]).unwrap();
    machine.halt().unwrap();
}

/// These are found by hashes of addresses, and by trees that are sorted by them.
#[test]
fn what_is_found_by_addresses_is_found() {
    if !possible() {
        return;
    }
    let machine = restored();
    for (kind, on) in [
        (c"devtmpfs", c"/dev"),
        (c"sysfs", c"/sys"),
        (c"proc", c"/proc"),
    ] {
        mount(&machine, kind, on);
    }
    // Pinned dentries: by the address of their parent.
    for name in [
        c"/dev/null",
        c"/dev/zero",
        c"/dev/urandom",
        c"/dev/loop-control",
    ] {
        call(&machine, nr::CLOSE, &[open(&machine, name, 0)]).unwrap();
    }
    assert!(names(&machine, c"/dev").contains("full"));
    // A name is there once: it can be removed, and made again.
    call(&machine, 35, &[0, c"/dev/zero".as_ptr() as usize, 0]).expect("unlinkat");
    let missing = [0, c"/dev/zero".as_ptr() as usize, 0];
    assert_eq!(errno(call(&machine, nr::OPENAT, &missing)), libc::ENOENT);
    // Nodes of a network namespace: by its address.
    let interfaces = names(&machine, c"/sys/class/net");
    assert!(interfaces.contains("lo"), "{interfaces:?}");
    assert!(interfaces.contains("bonding_masters"), "{interfaces:?}");
    let address = text(&machine, c"/sys/class/net/lo/address");
    assert_eq!(address.trim(), "00:00:00:00:00:00");
    // An interface by its name: SIOCGIFINDEX.
    let socket = call(&machine, number::SOCKET, &[libc::AF_INET as usize, 2, 0]).unwrap();
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let args = [socket, 0x8933, request.as_mut_ptr() as usize];
    call(&machine, number::IOCTL, &args).expect("an interface of that name");
    assert_eq!(request[16], 1);
    // A mount on a mount, and all of it away again.
    mount(&machine, c"tmpfs", c"/dev/shm");
    mount(&machine, c"tmpfs", c"/dev/shm");
    for _ in 0..2 {
        call(
            &machine,
            number::UMOUNT2,
            &[c"/dev/shm".as_ptr() as usize, 0],
        )
        .unwrap();
    }
    machine.halt().unwrap();
}

/// `AF_INET`, 127.0.0.1, some port.
fn loopback(port: u16) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = libc::AF_INET as u8;
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    address
}

/// Sets `lo` up: SIOCSIFFLAGS.
fn loopback_up(machine: &Machine) {
    let socket = call(machine, number::SOCKET, &[libc::AF_INET as usize, 2, 0]).unwrap();
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = (libc::IFF_UP | libc::IFF_RUNNING) as u8;
    let args = [socket, 0x8914, request.as_mut_ptr() as usize];
    call(machine, number::IOCTL, &args).unwrap();
    call(machine, nr::CLOSE, &[socket]).unwrap();
}

#[test]
fn sockets() {
    if !possible() {
        return;
    }
    let machine = restored();
    loopback_up(&machine);
    let socket = || call(&machine, number::SOCKET, &[libc::AF_INET as usize, 1, 0]).unwrap();
    let (listener, client) = (socket(), socket());
    let mut address = loopback(0);
    let mut len = address.len() as u32;
    let at = address.as_mut_ptr() as usize;
    call(&machine, number::BIND, &[listener, at, 16]).unwrap();
    call(&machine, number::LISTEN, &[listener, 1]).unwrap();
    call(
        &machine,
        number::GETSOCKNAME,
        &[listener, at, &raw mut len as usize],
    )
    .unwrap();
    call(&machine, number::CONNECT, &[client, at, 16]).unwrap();
    let server = call(&machine, number::ACCEPT, &[listener, 0, 0]).unwrap();
    write(&machine, client, b"over lo").unwrap();
    let mut text = [0; 7];
    read(&machine, server, &mut text).unwrap();
    assert_eq!(&text, b"over lo");
    machine.halt().unwrap();
}

#[test]
fn disks_and_loop_devices() {
    if !possible() {
        return;
    }
    let machine = restored();
    mount(&machine, c"devtmpfs", c"/dev");
    machine
        .add_disk(Arc::new(MemoryDisk::from_image(&[7; 1 << 20])))
        .unwrap();
    let disk = open(&machine, c"/dev/vda", libc::O_RDWR);
    let mut data = [0; 4096];
    read(&machine, disk, &mut data).unwrap();
    assert_eq!(data, [7; 4096]);
    write(&machine, disk, &[8; 4096]).unwrap();
    call(&machine, number::FSYNC, &[disk]).unwrap();

    // LOOP_CTL_GET_FREE, LOOP_SET_FD.
    let control = open(&machine, c"/dev/loop-control", libc::O_RDWR);
    assert_eq!(
        call(&machine, number::IOCTL, &[control, 0x4c82]).unwrap(),
        0
    );
    let device = open(&machine, c"/dev/loop0", libc::O_RDWR);
    call(&machine, number::IOCTL, &[device, 0x4c00, disk]).unwrap();
    call(&machine, number::LSEEK, &[device, 4096, 0]).unwrap();
    read(&machine, device, &mut data).unwrap();
    assert_eq!(data, [8; 4096]);
    machine.halt().unwrap();
}

#[test]
fn threads_make_calls_at_once() {
    if !possible() {
        return;
    }
    let machine = restored();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (reader, writer) = common::pipe(&machine);
                for number in 0..100u8 {
                    write(&machine, writer, &[number]).unwrap();
                    let mut back = [0];
                    read(&machine, reader, &mut back).unwrap();
                    assert_eq!(back, [number]);
                }
            });
        }
    });
    machine.halt().unwrap();
}

#[test]
fn two_at_once_are_two() {
    if !possible() {
        return;
    }
    let (one, two) = (restored(), restored());
    open(&one, c"/only-here", libc::O_CREAT);
    let path = c"/only-here".as_ptr() as usize;
    assert_eq!(errno(call(&two, nr::OPENAT, &[0, path, 0])), libc::ENOENT);
    one.halt().unwrap();
    assert_eq!(call(&two, nr::GETPID, &[]).unwrap(), 1);
    two.halt().unwrap();
}

#[test]
fn a_hundred_at_once() {
    if !possible() {
        return;
    }
    let machines: Vec<_> = (0..100).map(|_| restored()).collect();
    for machine in &machines {
        assert_eq!(call(machine, nr::GETPID, &[]).unwrap(), 1);
    }
    for machine in machines {
        machine.halt().unwrap();
    }
}

#[test]
fn in_many_threads_at_once() {
    if !possible() {
        return;
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let machine = restored();
                    let (reader, writer) = common::pipe(&machine);
                    write(&machine, writer, b"x").unwrap();
                    assert_eq!(read(&machine, reader, &mut [0]).unwrap(), 1);
                    machine.halt().unwrap();
                }
            });
        }
    });
}

#[test]
fn another_kernel_than_the_snapshots_boots() {
    if !possible() {
        return;
    }
    let configs = [
        cold(),
        Config {
            memory: 96 << 20,
            ..config()
        },
        Config {
            command_line: "quiet_please".to_owned(),
            ..config()
        },
    ];
    for config in configs {
        let machine = Machine::boot(config).unwrap();
        assert!(!machine.log().starts_with(FIRST_LINE));
        assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
        machine.halt().unwrap();
    }
}

/// What a kernel says only once, or makes only once.
fn drawn(machine: &Machine) -> Vec<String> {
    mount(machine, c"proc", c"/proc");
    let uuid = text(machine, c"/proc/sys/kernel/random/uuid");
    let boot_id = text(machine, c"/proc/sys/kernel/random/boot_id");
    vec![
        uuid,
        boot_id,
        format!("{:x?}", random(machine)),
        veth(machine),
    ]
}

/// The hardware address that the kernel draws for a veth: RTM_NEWLINK.
fn veth(machine: &Machine) -> String {
    let attribute = |kind: u16, content: &[u8]| {
        let mut all = (content.len() as u16 + 4).to_le_bytes().to_vec();
        all.extend(kind.to_le_bytes());
        all.extend(content);
        all.resize(all.len().next_multiple_of(4), 0);
        all
    };
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    let kind = attribute(1, b"veth\0");
    let attributes = [
        attribute(IFLA_IFNAME, b"v0\0"),
        attribute(IFLA_LINKINFO, &kind),
    ]
    .concat();
    let mut message = (32 + attributes.len() as u32).to_le_bytes().to_vec();
    // RTM_NEWLINK; NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE.
    message.extend([16, 0, 5, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    message.extend([0; 16]);
    message.extend(attributes);
    let socket = [libc::AF_NETLINK as usize, libc::SOCK_RAW as usize, 0];
    let socket = call(machine, number::SOCKET, &socket).unwrap();
    let args = [socket, message.as_ptr() as usize, message.len(), 0, 0, 0];
    call(machine, number::SENDTO, &args).unwrap();
    let mut answer = [0u8; 64];
    read(machine, socket, &mut answer).unwrap();
    assert_eq!(answer[16..20], [0; 4], "RTM_NEWLINK");
    mount(machine, c"sysfs", c"/sys");
    text(machine, c"/sys/class/net/v0/address")
}

#[test]
fn nothing_that_is_drawn_is_drawn_twice() {
    if !possible() {
        return;
    }
    let (one, two) = (drawn(&restored()), drawn(&restored()));
    for (one, two) in one.iter().zip(&two) {
        assert_ne!(one, two);
    }
}

/// A host with a random source of the program's own.
struct Seeded(u8);

impl Host for Seeded {
    fn random(&self, seed: &mut [u8]) -> io::Result<()> {
        if self.0 == 0 {
            return Err(io::Error::other("none"));
        }
        seed.fill(self.0);
        Ok(())
    }
}

fn with_host(host: impl Host) -> Result<Arc<Machine>, drupe_machine::Error> {
    Machine::boot(Config {
        host: Arc::new(host),
        ..config()
    })
}

#[test]
fn the_seed_is_the_hosts() {
    if !possible() {
        return;
    }
    let numbers = |seed| random(&with_host(Seeded(seed)).unwrap());
    assert_ne!(numbers(1), numbers(2));
    let error = with_host(Seeded(0)).unwrap_err();
    assert!(error.to_string().contains("random seed"), "{error}");
}

#[test]
fn the_clocks_are_right() {
    if !possible() {
        return;
    }
    let before = SystemTime::now();
    let machine = restored();
    let inside = wall(&machine);
    let after = SystemTime::now();
    assert!(
        before <= inside && inside <= after,
        "{before:?} {inside:?} {after:?}"
    );
    let uptime = now(&machine, libc::CLOCK_MONOTONIC);
    assert!(uptime < Duration::from_secs(10), "{uptime:?}");
    // Files that were there already are as old as the kernel.
    let mut stat = [0u64; 16];
    let args = [0, c"/dev".as_ptr() as usize, stat.as_mut_ptr() as usize, 0];
    call(&machine, number::FSTATAT, &args).unwrap();
    let changed = UNIX_EPOCH + Duration::from_secs(stat[11]);
    assert!(changed + Duration::from_secs(2) >= before, "{changed:?}");
    // A timer fires.
    let start = Instant::now();
    let time = [0i64, 20_000_000];
    call(&machine, nr::NANOSLEEP, &[time.as_ptr() as usize, 0]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(20));
    machine.halt().unwrap();
}

#[test]
fn a_clock_that_stands_still() {
    if !possible() {
        return;
    }
    let epoch = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let clock = ManualClock::new(epoch);
    clock.advance(Duration::from_secs(5));
    let machine = with_host(clock.clone()).unwrap();
    assert_eq!(wall(&machine), epoch + Duration::from_secs(5));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(wall(&machine), epoch + Duration::from_secs(3605));
    assert_eq!(now(&machine, libc::CLOCK_MONOTONIC).as_secs(), 3600);
    machine.halt().unwrap();
}

/// The log is there, for the program and inside: SYSLOG_ACTION_READ_ALL.
#[test]
fn the_log_of_the_boot_is_there() {
    if !possible() {
        return;
    }
    let machine = restored();
    let mut inside = vec![0u8; 1 << 18];
    let args = [3, inside.as_mut_ptr() as usize, inside.len()];
    let len = call(&machine, 116, &args).unwrap();
    let inside = String::from_utf8_lossy(&inside[..len]);
    for text in [&*machine.log(), &inside] {
        assert!(
            text.contains("Linux version") && text.contains("Run /init"),
            "{text}"
        );
        assert!(!text.contains("WARNING") && !text.contains("BUG"), "{text}");
    }
    machine.halt().unwrap();
}

#[test]
fn a_child_has_none_of_it() {
    if !possible() {
        return;
    }
    let machine = restored();
    // SAFETY: the child makes one call, which is refused, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = matches!(
            call(&machine, nr::GETPID, &[]),
            Err(drupe_machine::Error::Forked)
        );
        // SAFETY: it ends the process.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    assert_eq!(call(&machine, nr::GETPID, &[]).unwrap(), 1);
    machine.halt().unwrap();
}

/// The build is reproducible, and the table is right for any base.
#[test]
fn making_it_again_gives_the_same() {
    if !possible() {
        return;
    }
    let one = drupe_machine::make_snapshot().unwrap();
    let two = drupe_machine::make_snapshot().unwrap();
    let different = one.iter().zip(&two).filter(|(a, b)| a != b).count();
    let first = one.iter().zip(&two).position(|(a, b)| a != b);
    assert!(
        one == two,
        "{} and {} bytes, {different} differ, from {first:?} on",
        one.len(),
        two.len()
    );
}
