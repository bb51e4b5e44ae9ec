//! Well-known servers and clients.

use crate::harness::{Outcome, Place};
use crate::ran::prints;

/// Waits until something accepts connections at a port of this network.
const WAIT: &str = "
wait_for() { until /usr/bin/python3 -c \"
import socket; socket.create_connection(('127.0.0.1', $1))\" 2>/dev/null; do :; done; }
";

fn shell(script: &str) -> Outcome<String> {
    prints(&["sh", "-c", &format!("{WAIT}{script}")])
}

/// The same in the directory of a place, whose name may have spaces in it.
fn within(place: &Place, script: &str) -> Outcome<String> {
    let script = format!("{WAIT}cd \"$0\" && {{ {script}\n}}");
    prints(&["sh", "-c", &script, &place.path("").to_string_lossy()])
}

#[test]
fn python_and_curl() -> Outcome {
    let place = Place::new()?;
    place.write("served", vec![b'x'; 5_000_000])?;
    let said = within(
        &place,
        "/usr/bin/python3 -m http.server 8000 >/dev/null 2>&1 & wait_for 8000
         curl -sS http://127.0.0.1:8000/served | cmp - served && echo same",
    )?;
    assert_eq!(said, "same\n");
    Ok(())
}

#[test]
fn nginx_with_workers() -> Outcome {
    let place = Place::new()?;
    let dir = place.path("").display().to_string();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path \"{dir}/{name}\";"))
        .join(" ");
    let config = format!(
        "user root; worker_processes 2; daemon off; pid \"{dir}/pid\"; error_log stderr;
         events {{ worker_connections 256; }}
         http {{ access_log off; sendfile on; {temporary}
         server {{ listen 127.0.0.1:8080 reuseport; listen [::1]:8080; root \"{dir}\"; }} }}"
    );
    place.write("nginx.conf", config)?;
    place.write("served", vec![b'y'; 3_000_000])?;
    let said = within(
        &place,
        "nginx -p \"$PWD\" -c \"$PWD/nginx.conf\" & wait_for 8080
         for host in 127.0.0.1 '[::1]'; do
           curl -sS http://$host:8080/served | cmp - served && echo same
         done
         wrk -t1 -c30 -d1 http://127.0.0.1:8080/served",
    )?;
    assert!(said.starts_with("same\nsame\n"), "{said}");
    assert!(said.contains("Requests/sec"), "{said}");
    assert!(!said.contains("Socket errors"), "{said}");
    Ok(())
}

#[test]
fn redis() -> Outcome {
    let said = shell(
        "redis-server --save '' --port 6379 >/dev/null & wait_for 6379
         redis-cli set key value; redis-cli get key
         redis-benchmark -q -n 2000 -t set,get --csv",
    )?;
    assert!(said.starts_with("OK\nvalue\n"), "{said}");
    assert!(said.contains("\"GET\""), "{said}");
    Ok(())
}

/// Out, in, several at once.
#[test]
fn iperf() -> Outcome {
    let said = shell(
        // A server that finds the one of the round before on its port ends at once.
        "for how in '' --reverse '--parallel 4'; do
           until iperf3 -c 127.0.0.1 -n 100M $how 2>/dev/null; do
             iperf3 -s -1 -D 2>/dev/null || :
           done
         done",
    )?;
    assert_eq!(said.matches("iperf Done.").count(), 3, "{said}");
    Ok(())
}
