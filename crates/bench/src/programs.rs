//! Rows `programs`: programs under `drupe run`: this one, over the kernel's loopback, and
//! iperf3, to a server of the host over a tap.

use crate::network;
use crate::table::{Row, Table};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// What iperf3 does for each row.
const JOBS: [(&str, &[&str]); 3] = [
    ("iperf3, per GiB, out", &[]),
    ("iperf3, per GiB, in", &["--reverse"]),
    ("iperf3, per GiB, out, 4 streams", &["--parallel", "4"]),
];

/// The tap's name and address; the kernel has the next address.
const TAP: &str = "drupe0";
const HOST: &str = "10.9.1.1";
const KERNEL: &str = "10.9.1.2/24";

/// How long each job sends, in seconds.
const SECONDS: &str = "2";

/// The argument that makes this program measure its loopback.
pub(crate) const INNER: &str = "--inner";

/// Measures the loopback, and prints the times.
pub(crate) fn inner() -> Result<()> {
    let [trip, connection] = network::host()?;
    println!("{trip} {connection}");
    Ok(())
}

/// The times that this program measures under `drupe run`.
fn loopback(drupe: &Path) -> Result<[f64; 2]> {
    let own = std::env::current_exe().context("where is this program?")?;
    let mut command = Command::new(drupe);
    command.args(["run", "--"]).arg(own).arg(INNER);
    let output = command.stderr(Stdio::inherit()).output();
    let said = String::from_utf8(output.context("cannot run drupe")?.stdout)?;
    let numbers: Vec<f64> = said
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    <[f64; 2]>::try_from(numbers)
        .ok()
        .context("it printed no two numbers")
}

pub(crate) fn run(table: &mut Table, drupe: &Path) -> Result<()> {
    let [trip, connection] = loopback(drupe)?;
    let [host_trip, host_connection] = network::host()?;
    let note = "a program under drupe run, over its kernel's loopback";
    let row = Row::new("drupe run: round trip", trip).host(host_trip);
    table.push(row.note(note));
    let row = Row::new("drupe run: connect and close", connection).host(host_connection);
    table.push(row.note(note));
    // The tap and the server are in a network of this thread's own.
    let measured = thread::scope(|scope| scope.spawn(|| measure(table, drupe)).join());
    measured.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn measure(table: &mut Table, drupe: &Path) -> Result<()> {
    // SAFETY: it concerns the calling thread, which ends with the measurement.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        for (what, _) in JOBS {
            table.push(Row::missing(what, "a tap needs root"));
        }
        return Ok(());
    }
    ip("link set lo up")?;
    ip(&format!("tuntap add {TAP} mode tap vnet_hdr"))?;
    ip(&format!("address add {HOST}/24 dev {TAP}"))?;
    ip(&format!("link set {TAP} up"))?;
    for (what, arguments) in JOBS {
        let link = format!("tap:{TAP}");
        let mut ours = Command::new(drupe);
        ours.args(["run", "--link", &link, "--ip", KERNEL, "--", "iperf3"]);
        let ours = job(ours, arguments)?;
        let host = job(Command::new("iperf3"), arguments)?;
        table.push(Row::new(what, ours).host(host).note(
            "a client under drupe run and a server on the host, joined by a tap; the host: both on \
             its loopback",
        ));
    }
    Ok(())
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    ensure!(
        status.context("cannot run ip")?.success(),
        "ip {arguments} failed"
    );
    Ok(())
}

/// A server that takes one client.
struct Server(Child);

impl Server {
    fn start() -> Result<Server> {
        let mut server = Command::new("iperf3");
        server.args(["--server", "--one-off", "--bind", HOST]);
        let server = server.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Server(server.spawn().context("cannot run iperf3")?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nanoseconds for each GiB that the client sends or receives.
fn job(mut client: Command, arguments: &[&str]) -> Result<f64> {
    client
        .args(["--client", HOST, "--time", SECONDS, "--json"])
        .args(arguments);
    let _server = Server::start()?;
    // The server may not listen yet.
    for _ in 0..100 {
        let output = client.output().context("cannot run the client")?;
        let said: Value = serde_json::from_slice(&output.stdout).context("what iperf3 said")?;
        let error = said["error"].as_str().unwrap_or_default();
        if error.contains("refused") {
            thread::yield_now();
            continue;
        }
        ensure!(error.is_empty(), "iperf3: {error}");
        let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
        let rate = rate.context("iperf3 gave no rate")?;
        return Ok(8e9 * f64::from(1 << 30) / rate);
    }
    bail!("the server of iperf3 does not listen")
}
