//! Tap devices, in network namespaces of their own.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::process::Command;

use drupe_host::link::{FrameHeader, Link};
use drupe_links::{Station, Tap};
use drupe_testing::skipped;
use rustix::fs::{Mode, OFlags, open};

use crate::frames::{BROADCAST, PATIENCE, mac, until};

/// Runs `test` in a thread with a network namespace of its own; not at all, and
/// says so, where that is not allowed.
#[track_caller]
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    let tested = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: no descriptors are unshared.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET)? };
            test();
            Ok::<_, rustix::io::Errno>(())
        });
        thread.join()
    });
    match tested {
        Ok(Ok(())) => {}
        Ok(Err(error)) => skipped(format_args!("no network namespace: {error}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `ip` in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.expect("ip of iproute2").success(), "ip {arguments}");
}

/// An ARP request for 10.1.1.1 from 10.1.1.2, which is station 2.
pub(crate) fn arp_request() -> Vec<u8> {
    let mut frame = [&BROADCAST[..], &mac(2), &[8, 6]].concat();
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([&mac(2)[..], &[10, 1, 1, 2], &[0; 6], &[10, 1, 1, 1]].concat());
    frame
}

/// Whether a frame is the answer to it.
pub(crate) fn is_arp_reply(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] && frame[20..22] == [0, 2] && frame[28..32] == [10, 1, 1, 1]
}

fn set_up(name: &str) {
    ip(&format!("address add 10.1.1.1/24 dev {name}"));
    ip(&format!("link set {name} up"));
    let mac = "02:00:00:00:00:02";
    ip(&format!("neighbour add 10.1.1.2 lladdr {mac} dev {name}"));
}

fn talk(tap: Tap) {
    let station = Station::new(tap);
    until(&station, &arp_request(), &station, is_arp_reply);
}

#[test]
fn the_host_answers() {
    in_namespace(|| {
        let tap = Tap::open(None).unwrap();
        assert!(tap.name().starts_with("tap"), "{}", tap.name());
        set_up(tap.name());
        let info = tap.info();
        assert!(info.offloads.checksum && info.offloads.tso);
        assert_eq!((info.mac, info.mtu), (None, 1500));
        talk(tap);
    });
}

/// The host leaves checksums to us, and takes unfinished ones.
#[test]
fn frames_are_unfinished() {
    in_namespace(|| {
        let tap = Tap::open(Some("drupe%d")).unwrap();
        assert_eq!(tap.name(), "drupe0");
        set_up(tap.name());
        let station = Station::new(tap);
        let socket = UdpSocket::bind("10.1.1.1:7").unwrap();
        socket.send_to(b"to the kernel", "10.1.1.2:9").unwrap();
        let (header, mut frame) = loop {
            let got = station.receive(PATIENCE).unwrap().expect("a datagram");
            if got.1.ends_with(b"to the kernel") {
                break got;
            }
        };
        assert_eq!(header.flags, FrameHeader::NEEDS_CSUM);
        assert_eq!((header.csum_start, header.csum_offset), (34, 6));
        // Back, with addresses and ports exchanged: the sum stays as it is.
        for (a, b, len) in [(0, 6, 6), (26, 30, 4), (34, 36, 2)] {
            for i in 0..len {
                frame.swap(a + i, b + i);
            }
        }
        assert!(station.send_with(header, &frame));
        let mut buffer = [0; 100];
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), 13);
    });
}

fn tun(flags: i32) -> OwnedFd {
    let fd = open("/dev/net/tun", OFlags::RDWR, Mode::empty()).unwrap();
    // SAFETY: TUNSETIFF reads and writes an ifreq.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_ifru.ifru_flags = flags as _;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
        assert_eq!(libc::ioctl(fd, libc::TUNSETIFF, &raw mut request), 0);
    }
    fd
}

#[test]
fn descriptors_of_others() {
    in_namespace(|| {
        for flags in [0, libc::IFF_VNET_HDR] {
            let tap = Tap::from_fd(tun(libc::IFF_TAP | libc::IFF_NO_PI | flags)).unwrap();
            ip(&format!("address add 10.1.1.1/24 dev {}", tap.name()));
            ip(&format!("link set {} mtu 1400 up", tap.name()));
            assert_eq!(tap.info().offloads.checksum, flags != 0);
            talk(tap);
        }
        let wrong = |fd| Tap::from_fd(fd).unwrap_err().to_string();
        let said = wrong(tun(libc::IFF_TUN | libc::IFF_NO_PI));
        assert!(said.contains("tun0 is a tun device"), "{said}");
        let null = open("/dev/null", OFlags::RDWR, Mode::empty()).unwrap();
        let said = wrong(null);
        assert!(said.contains("not a tap device"), "{said}");
    });
}

#[test]
fn a_device_of_another_kind_is_refused() {
    in_namespace(|| {
        ip("link add bridge0 type bridge");
        let said = Tap::open(Some("bridge0")).unwrap_err().to_string();
        assert!(said.starts_with("tap device \"bridge0\": "), "{said}");
        let said = Tap::open(Some("a name of too many bytes")).unwrap_err();
        assert!(said.to_string().contains("too many bytes"), "{said}");
    });
}

/// The interface goes down, up, and away: the link never panics.
#[test]
fn a_device_that_goes_away() {
    in_namespace(|| {
        let tap = Tap::open(None).unwrap();
        let name = tap.name().to_owned();
        set_up(&name);
        let station = Station::new(tap);
        ip(&format!("link set {name} down"));
        assert!(station.send(&arp_request()));
        ip(&format!("link set {name} up"));
        until(&station, &arp_request(), &station, is_arp_reply);
        ip(&format!("link delete {name}"));
        assert!(station.send(&arp_request()));
        let deadline = std::time::Instant::now() + PATIENCE;
        while station.receive(PATIENCE).is_ok() {
            assert!(std::time::Instant::now() < deadline, "still whole");
        }
        station.link().detach();
        station.link().detach();
    });
}

/// Device numbers of a macvtap, as sysfs has them, of this thread's namespace.
fn macvtap_device(name: &str) -> Option<u64> {
    let script = format!("mount -t sysfs sysfs /sys && cat /sys/class/net/{name}/macvtap/*/dev");
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(rustix::fs::makedev(major, minor))
}

#[test]
fn a_macvtap() {
    in_namespace(|| {
        ip("link add near type veth peer name far");
        let arguments = "link add link near name tap0 address 02:00:00:00:00:02 type macvtap";
        let made = Command::new("ip").args(arguments.split(' ')).status();
        if !made.is_ok_and(|status| status.success()) {
            return skipped("no macvtap here");
        }
        ip("address add 10.1.1.1/24 dev far");
        for name in ["near", "far", "tap0"] {
            ip(&format!("link set {name} up"));
        }
        let Some(device) = macvtap_device("tap0") else {
            return skipped("no sysfs that knows it");
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tap");
        let kind = rustix::fs::FileType::CharacterDevice;
        let cwd = rustix::fs::CWD;
        rustix::fs::mknodat(cwd, &path, kind, Mode::RWXU, device).unwrap();
        let fd = match open(&path, OFlags::RDWR, Mode::empty()) {
            Ok(fd) => fd,
            Err(error) => return skipped(format_args!("its device: {error}")),
        };
        let tap = Tap::from_fd(fd).unwrap();
        assert_eq!((tap.name(), tap.info().mac), ("tap0", Some(mac(2))));
        assert!(tap.info().offloads.tso);
        talk(tap);
    });
}
