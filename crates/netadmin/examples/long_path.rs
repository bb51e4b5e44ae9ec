//! Compares congestion controls on a long path that loses packets: two networks in one
//! kernel, joined by a pair of interfaces that delays and drops. No root, and nothing of
//! the host's network.
//!
//! ```text
//! cargo run --release --example long_path
//! ```

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use drupe::Kernel;
use drupe::net::{Namespace, TcpListener, TcpStream};
use drupe_netadmin::{Netem, NetworkExt, NewLink, Qdisc};

const LEN: usize = 2 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernel = Kernel::builder().memory(128 << 20).boot()?;
    let (here, there) = (Namespace::new(&kernel)?, Namespace::new(&kernel)?);
    let kind = NewLink::Veth {
        peer: "eth0",
        namespace: Some(&there),
    };
    let near = here.network()?.create("eth0", &kind)?;
    let far = there.network()?.link("eth0")?;
    for (interface, address) in [(&near, "10.0.0.1/24"), (&far, "10.0.0.2/24")] {
        interface.add_address(address)?;
        interface.set_up()?;
    }
    // 40 ms there and back; one packet in a hundred is lost, the same each time.
    let path = Netem::new().delay(Duration::from_millis(20));
    near.set_qdisc(&Qdisc::Netem(path.loss(0.01).seed(7)))?;
    far.set_qdisc(&Qdisc::Netem(path))?;

    let listener = there.run(|| TcpListener::bind(&kernel, "10.0.0.2:80"))??;
    for congestion in ["reno", "cubic", "bbr"] {
        let network = here.network()?;
        network.set_sysctl("net.ipv4.tcp_congestion_control", congestion)?;
        let start = Instant::now();
        let stream = thread::scope(|scope| {
            let receiver = scope.spawn(|| -> std::io::Result<()> {
                let (mut stream, _) = listener.accept()?;
                let mut bytes = vec![0; LEN];
                stream.read_exact(&mut bytes)?;
                stream.write_all(b"!")
            });
            let mut stream = here.run(|| TcpStream::connect(&kernel, "10.0.0.2:80"))??;
            stream.write_all(&vec![0; LEN])?;
            stream.read_exact(&mut [0])?;
            receiver.join().expect("no panic")?;
            Ok::<_, std::io::Error>(stream)
        })?;
        let info = stream.as_socket().tcp_info()?;
        println!(
            "{congestion:>5}: {:.1} MB/s, {} packets sent again, round trip {:.0?}",
            LEN as f64 / 1e6 / start.elapsed().as_secs_f64(),
            info.total_retransmits,
            info.rtt,
        );
    }
    Ok(())
}
