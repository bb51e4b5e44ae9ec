//! Two kernels in one process, a cable of 100 ms between them, and a clock that goes as
//! fast as the program can: seconds of waiting for packets pass in no time.
//!
//! ```text
//! cargo run --example far_away
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use drupe::net::{TcpListener, TcpStream};
use drupe::{Kernel, ManualClock};
use drupe_netadmin::{BuilderExt, Config, Netem, NetworkExt, Qdisc};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const LEN: usize = 1 << 20;

// ANCHOR: kernels
/// Two machines, at 10.0.0.1 and 10.0.0.2, a hundred milliseconds there and back.
fn machines(clock: &ManualClock) -> Result<[Kernel; 2]> {
    let (one, other) = drupe_links::pair(1500);
    let boot = |end, address| {
        let config = Config::new().address(address);
        Kernel::builder()
            .host(clock.clone())
            .link(end, config)
            .boot()
    };
    let machines = [boot(one, "10.0.0.1/24")?, boot(other, "10.0.0.2/24")?];
    for machine in &machines {
        let network = machine.network()?;
        network.set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;
        let late = Netem::new().delay(Duration::from_millis(50));
        network.link("eth0")?.set_qdisc(&Qdisc::Netem(late))?;
    }
    Ok(machines)
}
// ANCHOR_END: kernels

// ANCHOR: transfer
/// Sends a megabyte from one machine to the other; returns the round trip time that the
/// sender's TCP has measured.
fn transfer([here, there]: &[Kernel; 2]) -> Result<Duration> {
    let listener = TcpListener::bind(there, "10.0.0.2:80")?;
    thread::scope(|scope| {
        let receiver = scope.spawn(|| -> Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut vec![0; LEN])?;
            Ok(stream.write_all(b"!")?)
        });
        let mut stream = TcpStream::connect(here, "10.0.0.2:80")?;
        stream.write_all(&vec![7; LEN])?;
        stream.read_exact(&mut [0])?;
        receiver.join().expect("it does not panic")?;
        Ok(stream.as_socket().tcp_info()?.rtt)
    })
}
// ANCHOR_END: transfer

// ANCHOR: clock
/// Does something while the clock goes on, millisecond by millisecond.
fn with_time<T: Send>(clock: &ManualClock, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            clock.advance(Duration::from_millis(1));
            thread::yield_now();
        }
        work.join().expect("it does not panic")
    })
}

fn main() -> Result<()> {
    let clock = ManualClock::new(UNIX_EPOCH);
    clock.advance(Duration::from_secs(1));
    let machines = machines(&clock)?;
    let (start, began) = (Instant::now(), clock.now());
    let round_trip = with_time(&clock, || transfer(&machines))?;
    println!(
        "round trip {round_trip:.0?}; {:.1?} of the kernels' time took {:.1?} of ours",
        clock.now() - began,
        start.elapsed()
    );
    Ok(())
}

#[test]
fn a_round_trip_takes_what_it_takes() -> Result<()> {
    let clock = ManualClock::new(UNIX_EPOCH);
    clock.advance(Duration::from_secs(1));
    let machines = machines(&clock)?;
    let round_trip = with_time(&clock, || transfer(&machines))?;
    assert!(round_trip >= Duration::from_millis(100), "{round_trip:?}");
    Ok(())
}
// ANCHOR_END: clock
