//! Errors of `drupe run`: wrong programs, links and hosts, and their messages.

use crate::harness::{Outcome, Place};
use crate::ran::{output, python};

#[test]
fn the_command_line() -> Outcome {
    let place = Place::new()?;
    for (args, code, part) in [
        (
            &["run", "no-such-program"][..],
            127,
            "no-such-program: not found",
        ),
        (&["run", "/etc/passwd"], 126, "/etc/passwd: cannot be run"),
        (
            &["run", "--ip", "10.0.0.1/8", "true"],
            2,
            "no --link before it",
        ),
        (
            &["run", "--link", "passt:/no/such", "true"],
            125,
            "passt socket /no/such",
        ),
        (
            &["run", "--sysctl", "net.no=1", "true"],
            125,
            "--sysctl net.no=1",
        ),
        (
            &["run", "--gateway", "10.0.0.1", "true"],
            125,
            "--gateway 10.0.0.1",
        ),
    ] {
        let said = place.fails(code, args)?;
        assert!(said.contains(part), "{args:?}: {said}");
    }
    for (args, part) in [
        (&["run"][..], "PROGRAM"),
        (
            &["run", "--link", "veth", "true"],
            "there are tap[:NAME], passt",
        ),
        (
            &["run", "--link", "tap", "--ip", "10.0.0.1", "true"],
            "10.0.0.2/24",
        ),
        (&["run", "--sysctl", "x", "true"], "KEY=VALUE"),
    ] {
        let run = place.drupe(args)?;
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(part), "{args:?}: {run:?}");
    }
    Ok(())
}

#[test]
fn settings_are_the_kernels() -> Outcome {
    let place = Place::new()?;
    let args = [
        "run",
        "--sysctl",
        "net.ipv4.tcp_congestion_control=bbr",
        "/usr/bin/python3",
        "-c",
        "import socket; print(socket.socket().getsockopt(6, 13, 16))",
    ];
    assert!(place.ok(&args)?.starts_with("b'bbr"));
    Ok(())
}

#[test]
fn drupe_run_within_drupe_run() -> Outcome {
    let drupe = env!("CARGO_BIN_EXE_drupe");
    let output = output(&[drupe, "run", "true"])?;
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot intercept the program's network calls"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    Ok(())
}

#[test]
fn ways_around_are_closed() -> Outcome {
    python(
        "
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
# io_uring_setup
assert libc.syscall(425, 8, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
# x32's socket
assert libc.syscall(0x40000029, 2, 1, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
# Unix sockets are the host's.
one, two = socket.socketpair()
one.sendmsg([b'x'])
assert two.recvmsg(9)[0] == b'x'
for family in 44, 40:
    try:
        socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        assert error.errno in (errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.ENODEV), error
# Calls on what is no socket.
reader, writer = os.pipe()
assert libc.listen(reader, 1) == -1 and ctypes.get_errno() == errno.ENOTSOCK
assert libc.listen(999, 1) == -1 and ctypes.get_errno() == errno.EBADF
s = socket.socket()
assert libc.bind(s.fileno(), 8, 16) == -1 and ctypes.get_errno() == errno.EFAULT
assert libc.accept(s.fileno(), None, None) == -1 and ctypes.get_errno() == errno.EINVAL
",
    )
    .map(drop)
}

/// What has pointers in it would be taken for memory of the command's own.
#[test]
fn values_with_pointers_are_refused() -> Outcome {
    python(
        "
import ctypes, fcntl
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP, (arguments, error)
    else:
        raise AssertionError(arguments)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0xffff) * 64)
u.setsockopt(socket.SOL_SOCKET, 26, struct.pack('HxxxxxxQ', 64, ctypes.addressof(code)))
# SO_GET_FILTER: 64 instructions into 64 bytes
refused(u.getsockopt, socket.SOL_SOCKET, 26, 64)
refused(u.getsockopt, socket.IPPROTO_IP, 41, 16)
refused(u.getsockopt, socket.IPPROTO_IP, 48, 144)
t = socket.socket()
refused(t.getsockopt, socket.IPPROTO_TCP, 35, 40)
# Old bridges, a bond's state, time stamps, drivers' own.
for request in 0x8940, 0x8941, 0x894c, 0x8993, 0x8994, 0x89b0, 0x89b1, 0x89f0, 0x89ff:
    refused(fcntl.ioctl, u, request, bytes(40))
assert struct.unpack('16xi20x', fcntl.ioctl(u, 0x8933, struct.pack('16s24x', b'lo')))[0] == 1
",
    )
    .map(drop)
}
