//! Network devices of the host: tap, raw, macvtap, each in a network namespace of its own.

mod common;

use std::process::{Command, Output};

use common::LIBRARY;
use drupe_testing::c::Linked;
use drupe_testing::skipped;

/// Exit code of a script that cannot make its device.
const NONE: i32 = 77;

/// Runs the program in a new namespace, behind the commands that make the device.
#[track_caller]
fn ping(make: &str, kind: &str, what: &str) {
    let namespace = |script: &str| -> Output {
        let mut unshare = Command::new("unshare");
        let output = unshare.args(["-n", "-m", "sh", "-ec", script]).output();
        output.expect("unshare(1)")
    };
    if !namespace("true").status.success() {
        return skipped("no network namespace");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = LIBRARY.program("hosts", Linked::Sanitized, &dir);
    let script = format!(
        "cd {}\n{make}\nexec {} {kind} {what}",
        dir.path().display(),
        program.display()
    );
    let output = namespace(&script);
    if output.status.code() == Some(NONE) {
        return skipped(format_args!("no {kind} device"));
    }
    assert!(
        output.status.success(),
        "{kind}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_tap() {
    let make = "ip tuntap add tap0 mode tap || exit 77\n\
                ip address add 10.9.0.1/24 dev tap0\nip link set tap0 up";
    ping(make, "tap", "tap0");
}

/// Two interfaces with a cable between them; "far" is the host's.
const CABLE: &str = "ip link add near type veth peer name far || exit 77\n\
                     ip address add 10.9.0.1/24 dev far\n\
                     ip link set near up\nip link set far up";

#[test]
fn all_packets_of_an_interface() {
    ping(CABLE, "raw", "near");
}

#[test]
fn a_macvtap() {
    let make = format!(
        "{CABLE}\nip link add link near name tap0 type macvtap mode passthru || exit 77\n\
         ip link set tap0 up\nmount -t sysfs sysfs /sys || exit 77\n\
         number=$(cat /sys/class/net/tap0/macvtap/*/dev) || exit 77\n\
         mknod device c ${{number%:*}} ${{number#*:}} || exit 77"
    );
    ping(&make, "macvtap", "device");
}
