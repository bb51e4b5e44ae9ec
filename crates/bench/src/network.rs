//! Rows `network`: TCP and UDP inside a kernel, between two over a switch, and to the
//! host over a tap.

use crate::measure::{ROUNDS, best, sure};
use crate::smoltcp_peer;
use crate::system::{Address, Fd, Host, System, address};
use crate::table::{Measured, Row, Table};
use anyhow::Result;
use drupe_host::link::{Link, Offloads};
use drupe_links::{PortOptions, Switch, SwitchOptions, Tap};
use drupe_machine::{Config, Machine};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of a transfer.
const BYTES: usize = 1 << 30;
/// Bytes of one write.
const PIECE: usize = 1 << 17;
/// Rounds of a transfer; the best counts.
const TRANSFERS: usize = 3;
/// Round trips of a round.
const TRIPS: u32 = 500;
/// Pairs of threads; the best counts.
const PAIRS: usize = 4;
/// Connections of a round.
const CONNECTIONS: u32 = 200;
/// Bytes of a transfer over a slow cable.
const PACED: usize = 12_500_000;
/// Its bits per second.
const RATE: u64 = 100_000_000;
/// The delay of each frame.
const DELAY: Duration = Duration::from_millis(10);
/// Datagrams that are sent.
const DATAGRAMS: u32 = 200_000;
/// Concurrent connections.
const OPEN: usize = 400;

pub(crate) fn run(table: &mut Table) -> Result<()> {
    let machine = Machine::boot(Config {
        memory: 128 << 20,
        ..crate::config()
    })?;
    up(&machine)?;
    let here = address([127, 0, 0, 1], 0);
    let ours = stream(&*machine, &*machine, &here)?;
    let host = stream(&Host, &Host, &here)?;
    let row = throughput("TCP, 1 GiB, loopback", ours, host);
    table.push(row.peer("smoltcp", smoltcp_peer::stream(BYTES)?));
    let ours = trip(&*machine, &*machine, &here)?;
    let host = trip(&Host, &Host, &here)?;
    table.push(Row::new("TCP, round trip, loopback", ours).host(host));
    let ours = connections(&*machine, &here)?;
    let host = connections(&Host, &here)?;
    table.push(
        Row::new("TCP, connect and close, loopback", ours)
            .host(host)
            .note("one thread: socket, connect, accept, close of both ends"),
    );
    table.push(memory(&machine, &here)?);
    machine.halt()?;
    two(table)?;
    // The tap's other end is in a network of this thread's own.
    thread::scope(|scope| scope.spawn(|| tap(table)).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Two kernels, joined by a switch.
fn two(table: &mut Table) -> Result<()> {
    let switch = Switch::new();
    let [near, far] = [1, 2].map(|host| linked(switch.port(PortOptions::default()), host));
    let (near, far) = (near?, far?);
    let here = address([127, 0, 0, 1], 0);
    let there = address([10, 9, 0, 2], 0);
    let ours = stream(&*near, &*far, &there)?;
    let host = stream(&Host, &Host, &here)?;
    table.push(throughput("TCP, 1 GiB, two kernels", ours, host));
    let ours = trip(&*near, &*far, &there)?;
    let host = trip(&Host, &Host, &here)?;
    table.push(Row::new("TCP, round trip, two kernels", ours).host(host));
    let ours = packets(&*near, &*far, &there)?;
    let host = packets(&Host, &Host, &here)?;
    let note = "64 bytes each, as fast as one thread sends them, over the time in which another \
                receives what is not lost; the host: over its loopback";
    table.push(
        Row::new("UDP, per packet, two kernels", ours)
            .host(host)
            .note(note),
    );
    near.halt()?;
    far.halt()?;
    paced(table)
}

/// Two kernels, joined by a cable that is slow, long, and perhaps bad.
fn paced(table: &mut Table) -> Result<()> {
    for (loss, lossy) in [(0.0, ""), (0.01, ", 1% lost")] {
        for congestion in ["bbr", "cubic"] {
            // Frames as they go over a wire, so that the rate means something.
            let switch = Switch::with(SwitchOptions {
                offloads: Offloads::default(),
                ..SwitchOptions::default()
            });
            let slow = PortOptions {
                rate: Some(RATE),
                delay: DELAY,
                loss,
                ..PortOptions::default()
            };
            let near = linked(switch.port(slow), 1)?;
            let far = linked(switch.port(PortOptions::default()), 2)?;
            let there = address([10, 9, 0, 2], 0);
            let (socket, peer, _) = connect(&*near, &*far, &there)?;
            near.set_congestion(socket, congestion)?;
            let ours = transfer(&*near, socket, &*far, peer, PACED);
            let wire = PACED as f64 * 8e9 / RATE as f64;
            let what = format!("TCP {congestion}, 12.5 MB at 100 Mbit/s{lossy}");
            let row = Row::new(what, ours).peer("the wire's rate", wire);
            table.push(row.note("between two kernels, 20 ms there and back"));
            near.halt()?;
            far.halt()?;
        }
    }
    Ok(())
}

/// A kernel and the host, joined by a tap.
fn tap(table: &mut Table) -> Result<()> {
    const WHAT: [&str; 3] = [
        "TCP, 1 GiB, to the host",
        "TCP, 1 GiB, from the host",
        "TCP, round trip, host",
    ];
    // SAFETY: it concerns the calling thread, which ends with the measurement.
    let tap = match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Tap::open(None),
        _ => {
            for what in WHAT {
                table.push(Row::missing(what, "a tap needs root"));
            }
            return Ok(());
        }
    }?;
    let name = tap.name().to_owned();
    let machine = linked(tap, 2)?;
    Host.interface("lo", libc::SIOCSIFFLAGS, &UP)?;
    configure(&Host, &name, 1)?;
    let loopback = address([127, 0, 0, 1], 0);
    let (near, far) = (address([10, 9, 0, 2], 0), address([10, 9, 0, 1], 0));
    let host = stream(&Host, &Host, &loopback)?;
    let ours = stream(&*machine, &Host, &far)?;
    table.push(throughput(WHAT[0], ours, host));
    let ours = stream(&Host, &*machine, &near)?;
    table.push(throughput(WHAT[1], ours, host));
    let ours = trip(&*machine, &Host, &far)?;
    let host = trip(&Host, &Host, &loopback)?;
    table.push(Row::new(WHAT[2], ours).host(host));
    machine.halt()?;
    Ok(())
}

/// `IFF_UP`, in the layout of `SIOCSIFFLAGS`.
const UP: [u8; 2] = (libc::IFF_UP as u16).to_ne_bytes();

/// A kernel with one link, as 10.9.0.`host`.
fn linked(link: impl Link + 'static, host: u8) -> Result<Arc<Machine>> {
    let machine = Machine::boot(Config {
        memory: 128 << 20,
        ..crate::config()
    })?;
    machine.add_link(Arc::new(link))?;
    configure(&*machine, "eth0", host)?;
    Ok(machine)
}

/// Gives an interface the address 10.9.0.`host`, and sets it up.
fn configure<S: System>(system: &S, name: &str, host: u8) -> Result<()> {
    system.interface(name, libc::SIOCSIFADDR, &address([10, 9, 0, host], 0))?;
    let mask = address([255, 255, 255, 0], 0);
    system.interface(name, libc::SIOCSIFNETMASK, &mask)?;
    system.interface(name, libc::SIOCSIFFLAGS, &UP)?;
    Ok(())
}

/// Nanoseconds per datagram that arrives.
fn packets<C: System, S: System>(client: &C, server: &S, here: &Address) -> Result<f64> {
    let far = server.socket(libc::SOCK_DGRAM)?;
    server.bind(far, here)?;
    let here = server.name(far)?;
    let near = client.socket(libc::SOCK_DGRAM)?;
    client.connect(near, &here)?;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let received = thread::scope(|scope| {
        scope.spawn(|| {
            (0..DATAGRAMS).for_each(|_| {
                sure(client.write(near, &[7; 64]));
            });
            done.store(true, SeqCst);
            // Ends the receiver, which may wait; some may be lost.
            while done.load(SeqCst) {
                sure(client.write(near, &[0]));
                thread::yield_now();
            }
        });
        let mut received = 0;
        while sure(server.read(far, &mut [0; 64])) == 64 {
            received += 1;
        }
        done.store(false, SeqCst);
        received
    });
    let time = start.elapsed().as_nanos() as f64;
    client.close(near)?;
    server.close(far)?;
    Ok(time / f64::from(received.max(1)))
}

/// Nanoseconds of a round trip, and of a connection, over the host's loopback.
pub(crate) fn host() -> Result<[f64; 2]> {
    let here = address([127, 0, 0, 1], 0);
    Ok([trip(&Host, &Host, &here)?, connections(&Host, &here)?])
}

/// A row with a time per GiB, and the rate per second as a note.
fn throughput(what: &str, ours: f64, host: f64) -> Row {
    let rate = |ns: f64| BYTES as f64 * 8.0 / ns;
    Row::new(what, ours).host(host).note(format!(
        "{:.1} Gbit/s; host: {:.1}",
        rate(ours),
        rate(host)
    ))
}

/// Sets a kernel's loopback device up.
fn up(machine: &Machine) -> Result<()> {
    machine.interface("lo", libc::SIOCSIFFLAGS, &UP)?;
    Ok(())
}

/// Makes a connection. Returns its ends in `client` and `server`.
fn connect<C: System, S: System>(
    client: &C,
    server: &S,
    here: &Address,
) -> Result<(Fd, Fd, Address)> {
    let (listener, here) = server.listener(here)?;
    let near = client.socket(libc::SOCK_STREAM)?;
    client.connect(near, &here)?;
    let far = server.accept(listener)?;
    server.close(listener)?;
    for (fd, system) in [(near, None), (far, Some(server))] {
        let one = [1];
        match system {
            None => client.set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &one)?,
            Some(server) => server.set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &one)?,
        };
    }
    Ok((near, far, here))
}

/// Nanoseconds until [`BYTES`] have gone from `client` to `server`.
fn stream<C: System, S: System>(client: &C, server: &S, here: &Address) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..TRANSFERS {
        let (near, far, _) = connect(client, server, here)?;
        let time = transfer(client, near, server, far, BYTES);
        least = least.min(time);
        client.close(near)?;
        server.close(far)?;
    }
    Ok(least)
}

/// Nanoseconds until `bytes` have gone over a connection.
fn transfer<C: System, S: System>(client: &C, near: Fd, server: &S, far: Fd, bytes: usize) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let piece = vec![7; PIECE];
            let mut left = bytes;
            while left > 0 {
                left -= sure(client.write(near, &piece[..PIECE.min(left)]));
            }
        });
        let mut piece = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            left -= sure(server.read(far, &mut piece));
        }
    });
    start.elapsed().as_nanos() as f64
}

/// Nanoseconds for a byte to another thread and one back.
fn trip<C: System, S: System>(client: &C, server: &S, here: &Address) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..PAIRS {
        let (near, far, _) = connect(client, server, here)?;
        let time = thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..ROUNDS * TRIPS {
                    let mut byte = [0];
                    sure(server.read(far, &mut byte));
                    sure(server.write(far, &byte));
                }
            });
            best(TRIPS, || {
                sure(client.write(near, &[7]));
                sure(client.read(near, &mut [0]));
            })
        });
        least = least.min(time);
        client.close(near)?;
        server.close(far)?;
    }
    Ok(least)
}

/// Nanoseconds for a connection, from socket to close, by one thread.
fn connections<S: System>(system: &S, here: &Address) -> Result<f64> {
    let (listener, here) = system.listener(here)?;
    // Closed at once, with no state that stays.
    let linger = [1, 0];
    let time = best(CONNECTIONS, || {
        let near = sure(system.socket(libc::SOCK_STREAM));
        sure(system.set_option(near, libc::SOL_SOCKET, libc::SO_LINGER, &linger));
        sure(system.connect(near, &here));
        let far = sure(system.accept(listener));
        sure(system.close(near));
        sure(system.close(far));
    });
    system.close(listener)?;
    Ok(time)
}

/// Memory of an idle connection, both ends.
fn memory(machine: &Machine, here: &Address) -> Result<Row> {
    let free = || -> Result<u64> {
        let name = c"/meminfo/meminfo";
        let fd = machine.open(name, libc::O_RDONLY)?;
        let mut text = vec![0; 4096];
        let len = machine.read(fd, &mut text)?;
        machine.close(fd)?;
        Ok(available(std::str::from_utf8(&text[..len])?))
    };
    machine.mount(c"proc", c"/meminfo", c"proc")?;
    let ours = bytes_of_connections(machine, here, free)?;
    machine.umount(c"/meminfo")?;
    let note = format!(
        "idle, both ends in one kernel: {:.1} KiB each; the host's memory is used by others too",
        ours as f64 / 1024.0 / OPEN as f64
    );
    let what = format!("memory of {OPEN} connections");
    Ok(Row::new(what, Measured::Bytes(ours)).note(note))
}

/// Available memory in bytes, from the text of meminfo.
fn available(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemFree:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

/// Bytes that [`OPEN`] connections take.
fn bytes_of_connections(
    machine: &Machine,
    here: &Address,
    free: impl Fn() -> Result<u64>,
) -> Result<u64> {
    let (listener, here) = machine.listener(here)?;
    let before = free()?;
    let mut open = Vec::new();
    for _ in 0..OPEN {
        let near = machine.socket(libc::SOCK_STREAM)?;
        machine.connect(near, &here)?;
        open.extend([near, machine.accept(listener)?]);
    }
    let after = free()?;
    for fd in open {
        machine.close(fd)?;
    }
    machine.close(listener)?;
    Ok(before.saturating_sub(after))
}
