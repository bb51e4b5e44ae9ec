//! Traffic control, tested by lower bounds of time, which hold on slow machines too.

use std::time::{Duration, Instant, UNIX_EPOCH};

use drupe::net::{Namespace, UdpSocket};
use drupe::{Errno, Kernel, ManualClock};
use drupe_netadmin::{HtbClass, Interface, Netem, NetworkExt, Qdisc};

use crate::lab::{Outcome, bounded, join, kernel, transfer};

struct Pair {
    kernel: Kernel,
    one: Namespace,
    other: Namespace,
    here: Interface,
}

fn pair() -> drupe::Result<Pair> {
    let kernel = kernel()?;
    let (one, other) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    let [here, _] = join(&one, &other, "eth0", ["10.0.0.1/24", "10.0.0.2/24"])?;
    Ok(Pair {
        kernel,
        one,
        other,
        here,
    })
}

impl Pair {
    /// A socket on each side, connected.
    fn sockets(&self) -> drupe::Result<(UdpSocket, UdpSocket)> {
        let kernel = &self.kernel;
        let sender = self.one.run(|| UdpSocket::bind(kernel, "10.0.0.1:0"))??;
        let receiver = self.other.run(|| UdpSocket::bind(kernel, "10.0.0.2:0"))??;
        sender.connect(receiver.local_addr()?)?;
        receiver.connect(sender.local_addr()?)?;
        // Nothing is lost but on the way.
        receiver.as_socket().force_receive_buffer_size(8 << 20)?;
        Ok((sender, receiver))
    }
}

#[test]
fn packets_are_late() -> Outcome {
    let pair = pair()?;
    let (sender, receiver) = pair.sockets()?;
    let mut bytes = [0; 8];
    let mut trip = || -> drupe::Result<Duration> {
        let start = Instant::now();
        sender.send(b"x")?;
        bounded(|| receiver.recv(&mut bytes))?;
        Ok(start.elapsed())
    };
    // Who is where is known from then on.
    trip()?;
    let delay = Duration::from_millis(50);
    pair.here
        .set_qdisc(&Qdisc::Netem(Netem::new().delay(delay)))?;
    assert_eq!(pair.here.qdisc()?.0, "netem");
    assert!(trip()? >= delay);
    // Less of it; a second netem changes the first.
    let delay = Duration::from_millis(20);
    let jitter = Duration::from_millis(5);
    let netem = Netem::new().delay(delay).jitter(jitter);
    pair.here.set_qdisc(&Qdisc::Netem(netem))?;
    assert!(trip()? >= delay - jitter);
    pair.here.remove_qdisc()?;
    assert_eq!(pair.here.qdisc()?.0, "noqueue");
    Ok(())
}

/// By the kernel's clock it is exact, and takes no time.
#[test]
fn packets_are_as_late_as_told() -> Outcome {
    let clock = ManualClock::new(UNIX_EPOCH);
    let kernel = Kernel::builder().host(clock.clone()).boot()?;
    let lo = kernel.network()?.link("lo")?;
    lo.set_up()?;
    let delay = Duration::from_secs(3600);
    lo.set_qdisc(&Qdisc::Netem(Netem::new().delay(delay)))?;
    let socket = UdpSocket::bind(&kernel, "127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let sent = clock.now();
    socket.send_to(b"x", socket.local_addr()?)?;
    let mut bytes = [0; 8];
    clock.set(sent + delay - Duration::from_nanos(1));
    let early = socket.recv(&mut bytes).unwrap_err();
    assert_eq!(early.errno(), Some(Errno::AGAIN));
    clock.set(sent + delay);
    socket.set_nonblocking(false)?;
    assert_eq!(bounded(|| socket.recv(&mut bytes))?, 1);
    Ok(())
}

#[test]
fn what_is_lost_is_sent_again() -> Outcome {
    let pair = pair()?;
    let netem = Netem::new().loss(0.05).seed(42);
    pair.here.set_qdisc(&Qdisc::Netem(netem))?;
    // Small segments, so that there are enough of them to lose.
    pair.here.set_mtu(1000)?;
    let mut mtu = 576;
    let stream = loop {
        let stream = transfer(&pair.one, &pair.other, "10.0.0.2:80", 1 << 20)?;
        if pair.here.qdisc()?.1 > 0 {
            break stream;
        }
        // Segmentation offload makes few packets of many.
        mtu -= 100;
        pair.here.set_mtu(mtu)?;
    };
    let info = stream.as_socket().tcp_info()?;
    assert!(info.total_retransmits > 0, "{info:?}");
    assert!(info.bytes_received >= 1 << 20, "{info:?}");
    Ok(())
}

#[test]
fn everything_is_lost() -> Outcome {
    let pair = pair()?;
    let (sender, receiver) = pair.sockets()?;
    pair.here.set_qdisc(&Qdisc::Netem(Netem::new().loss(1.0)))?;
    for _ in 0..10 {
        sender.send(b"x")?;
    }
    receiver.set_nonblocking(true)?;
    assert_eq!(
        receiver.recv(&mut [0; 8]).unwrap_err().errno(),
        Some(Errno::AGAIN)
    );
    // The question who is there was lost, too.
    assert!(pair.here.qdisc()?.1 >= 1);
    Ok(())
}

#[test]
fn packets_come_twice() -> Outcome {
    let pair = pair()?;
    let (sender, receiver) = pair.sockets()?;
    pair.here
        .set_qdisc(&Qdisc::Netem(Netem::new().duplicate(1.0)))?;
    let mut bytes = [0; 8];
    sender.send(b"x")?;
    for _ in 0..2 {
        assert_eq!(bounded(|| receiver.recv(&mut bytes))?, 1);
    }
    Ok(())
}

#[test]
fn packets_overtake_each_other() -> Outcome {
    let pair = pair()?;
    let (sender, receiver) = pair.sockets()?;
    let mut bytes = [0; 8];
    // Who is where is known from then on.
    sender.send(&[255])?;
    bounded(|| receiver.recv(&mut bytes))?;
    let netem = Netem::new()
        .delay(Duration::from_millis(20))
        .reorder(0.5)
        .seed(1);
    pair.here.set_qdisc(&Qdisc::Netem(netem))?;
    for number in 0..32 {
        sender.send(&[number])?;
    }
    let mut order = Vec::new();
    for _ in 0..32 {
        bounded(|| receiver.recv(&mut bytes))?;
        order.push(bytes[0]);
    }
    assert!(!order.is_sorted(), "{order:?}");
    order.sort();
    assert_eq!(order, Vec::from_iter(0..32));
    Ok(())
}

/// How long it takes to send 100 datagrams of 1,000 bytes.
fn hundred(pair: &Pair, priority: Option<u32>) -> drupe::Result<Duration> {
    let (sender, receiver) = pair.sockets()?;
    if let Some(priority) = priority {
        sender.as_socket().set_priority(priority)?;
    }
    let start = Instant::now();
    for _ in 0..100 {
        sender.send(&[0; 1000])?;
    }
    let mut bytes = [0; 1000];
    for _ in 0..100 {
        bounded(|| receiver.recv(&mut bytes))?;
    }
    Ok(start.elapsed())
}

#[test]
fn rates_are_kept() -> Outcome {
    let pair = pair()?;
    hundred(&pair, None)?;
    // 100 × 1,042 bytes, of which the burst goes at once.
    let rate = 1_000_000;
    let tbf = Qdisc::Tbf {
        rate,
        burst: 4000,
        limit: 1 << 20,
    };
    let least = Duration::from_millis(95);
    pair.here.set_qdisc(&tbf)?;
    assert!(hundred(&pair, None)? >= least);
    pair.here
        .set_qdisc(&Qdisc::Netem(Netem::new().rate(rate)))?;
    assert!(hundred(&pair, None)? >= least);
    // Two classes: one slow, one as good as unlimited.
    let class = |rate, priority| HtbClass {
        rate,
        ceiling: rate,
        priority,
    };
    let htb = |slow| Qdisc::Htb {
        classes: vec![class(slow, 0), class(1_000_000_000, 1)],
        default: 2,
    };
    pair.here.set_qdisc(&htb(100_000))?;
    let slow = hundred(&pair, Some(0x1_0001))?;
    // Its buffer is 64 KiB.
    assert!(slow >= Duration::from_millis(300), "{slow:?}");
    // So slow that nothing would arrive in time that is in the wrong class.
    pair.here.set_qdisc(&htb(10))?;
    hundred(&pair, None)?;
    Ok(())
}

#[test]
fn every_discipline_carries_data() -> Outcome {
    let pair = pair()?;
    let all = [
        Qdisc::Fq { max_rate: None },
        Qdisc::Fq {
            max_rate: Some(100_000_000),
        },
        Qdisc::FqCodel {
            limit: None,
            target: None,
            ecn: None,
        },
        Qdisc::FqCodel {
            limit: Some(500),
            target: Some(Duration::from_millis(5)),
            ecn: Some(false),
        },
        Qdisc::Htb {
            classes: Vec::new(),
            default: 0,
        },
        Qdisc::Other("cake".into()),
        Qdisc::Other("pfifo".into()),
    ];
    let names = ["fq", "fq", "fq_codel", "fq_codel", "htb", "cake", "pfifo"];
    for (qdisc, name) in all.iter().zip(names) {
        pair.here.set_qdisc(qdisc)?;
        assert_eq!(pair.here.qdisc()?.0, name);
        transfer(&pair.one, &pair.other, "10.0.0.2:80", 100_000)?;
    }
    let unknown = pair.here.set_qdisc(&Qdisc::Other("no such one".into()));
    assert_eq!(unknown.unwrap_err().errno(), Some(Errno::NOENT));
    Ok(())
}

#[test]
fn bbr_over_a_long_path() -> Outcome {
    let pair = pair()?;
    let network = pair.one.network()?;
    network.set_sysctl("net.ipv4.tcp_congestion_control", "bbr")?;
    let delay = Duration::from_millis(10);
    pair.here
        .set_qdisc(&Qdisc::Netem(Netem::new().delay(delay)))?;
    let stream = transfer(&pair.one, &pair.other, "10.0.0.2:80", 1 << 20)?;
    assert_eq!(stream.as_socket().congestion()?, "bbr");
    let info = stream.as_socket().tcp_info()?;
    assert!(info.min_rtt >= delay, "{info:?}");
    assert!(info.pacing_rate > 0 && info.delivery_rate > 0, "{info:?}");
    Ok(())
}
