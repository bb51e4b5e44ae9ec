//! The seccomp filter of the program, which selects the system calls for the supervisor.
//!
//! A classic BPF program (`Documentation/networking/filter.rst`) over `struct
//! seccomp_data`. It sees registers but no memory, and cannot tell the program's sockets
//! from other descriptors: [`crate::calls`] does.

use libc::sock_filter;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const NO_SUCH_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const ARCH: u32 = 0xc000_003e;
/// `__X32_SYSCALL_BIT`.
const X32: u32 = 0x4000_0000;

/// Calls that always go to the supervisor.
const TRAPPED: [libc::c_long; 14] = [
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
];

/// `SIOCOUTQ`, which has the number of `TIOCOUTQ`.
pub(crate) const SIOCOUTQ: u32 = 0x5411;
/// `SIOC*`: the requests of network devices and sockets.
const SIOC_FIRST: u32 = 0x8900;
const SIOC_LAST: u32 = 0x89ff;

/// Offsets in `struct seccomp_data` of the number, the architecture, and the halves of an
/// argument.
const NR: u32 = 0;
const ARCHITECTURE: u32 = 4;

const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

const fn high(argument: u32) -> u32 {
    low(argument) + 4
}

/// Makes the filter.
pub(crate) fn filter() -> Vec<sock_filter> {
    let mut code = vec![
        // 32-bit programs have other calls for the same sockets.
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, ARCH, 1, 0),
        ret(NO_SUCH_CALL),
        load(NR),
        jump(libc::BPF_JGE, X32, 0, 1),
        ret(NO_SUCH_CALL),
    ];
    // Its rings make calls that no filter sees.
    for_call(&mut code, libc::SYS_io_uring_setup, &[ret(NO_SUCH_CALL)]);
    for number in TRAPPED {
        for_call(&mut code, number, &[ret(NOTIFY)]);
    }
    let socket = [
        load(low(0)),
        jump(libc::BPF_JEQ, libc::AF_UNIX as u32, 0, 1),
        ret(ALLOW),
        ret(NOTIFY),
    ];
    for_call(&mut code, libc::SYS_socket, &socket);
    // Without an address they work on the program's end of the pair.
    let sendto = [
        load(low(4)),
        jump(libc::BPF_JEQ, 0, 0, 2),
        load(high(4)),
        jump(libc::BPF_JEQ, 0, 1, 0),
        ret(NOTIFY),
        ret(ALLOW),
    ];
    for_call(&mut code, libc::SYS_sendto, &sendto);
    let recvfrom = [
        load(low(4)),
        jump(libc::BPF_JEQ, 0, 0, 2),
        load(high(4)),
        jump(libc::BPF_JEQ, 0, 1, 0),
        ret(NOTIFY),
        load(low(3)),
        jump(libc::BPF_JSET, libc::MSG_ERRQUEUE as u32, 0, 1),
        ret(NOTIFY),
        ret(ALLOW),
    ];
    for_call(&mut code, libc::SYS_recvfrom, &recvfrom);
    let ioctl = [
        load(low(1)),
        jump(libc::BPF_JEQ, SIOCOUTQ, 2, 0),
        jump(libc::BPF_JGE, SIOC_FIRST, 0, 2),
        jump(libc::BPF_JGT, SIOC_LAST, 1, 0),
        ret(NOTIFY),
        ret(ALLOW),
    ];
    for_call(&mut code, libc::SYS_ioctl, &ioctl);
    code.push(ret(ALLOW));
    code
}

/// Adds the code for one call. Every path through `body` must end with a return, since
/// the number is loaded only before it.
fn for_call(code: &mut Vec<sock_filter>, number: libc::c_long, body: &[sock_filter]) {
    code.push(jump(libc::BPF_JEQ, number as u32, 0, body.len() as u8));
    code.extend_from_slice(body);
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

/// A jump: skips `yes` instructions if the comparison with `k` holds, else `no`.
fn jump(comparison: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, k, yes, no)
}

fn ret(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = code as u16;
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The filter's verdict on a call.
    fn verdict(arch: u32, nr: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NR => nr,
            ARCHITECTURE => arch,
            offset => {
                let argument = args[((offset - 16) / 8) as usize];
                let shift = if offset % 8 == 4 { 32 } else { 0 };
                (argument >> shift) as u32
            }
        };
        let code = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let now = code[at];
            at += 1;
            let (class, op) = (u32::from(now.code) & 7, u32::from(now.code) & 0xf0);
            match class {
                libc::BPF_LD => value = word(now.k),
                libc::BPF_RET => return now.k,
                libc::BPF_JMP => {
                    let holds = match op {
                        libc::BPF_JEQ => value == now.k,
                        libc::BPF_JGE => value >= now.k,
                        libc::BPF_JGT => value > now.k,
                        libc::BPF_JSET => value & now.k != 0,
                        op => panic!("comparison {op:#x}"),
                    };
                    at += usize::from(if holds { now.jt } else { now.jf });
                }
                class => panic!("class {class}"),
            }
        }
    }

    fn of(nr: libc::c_long, args: [u64; 6]) -> u32 {
        verdict(ARCH, nr as u32, args)
    }

    #[test]
    fn calls_of_sockets_come_to_us() {
        for number in TRAPPED {
            assert_eq!(of(number, [0; 6]), NOTIFY, "{number}");
        }
        for (family, expected) in [(libc::AF_UNIX, ALLOW), (libc::AF_INET, NOTIFY)] {
            let args = [family as u64, 1, 0, 0, 0, 0];
            assert_eq!(of(libc::SYS_socket, args), expected);
        }
    }

    #[test]
    fn addresses_make_the_difference() {
        for number in [libc::SYS_sendto, libc::SYS_recvfrom] {
            for (address, expected) in [(0, ALLOW), (8, NOTIFY), (1 << 32, NOTIFY)] {
                assert_eq!(of(number, [3, 4, 5, 0, address, 0]), expected, "{number}");
            }
        }
        let errors = [3, 4, 5, libc::MSG_ERRQUEUE as u64, 0, 0];
        assert_eq!(of(libc::SYS_recvfrom, errors), NOTIFY);
    }

    #[test]
    fn requests_of_devices_come_to_us() {
        for (request, expected) in [
            (0x88ff, ALLOW),
            (0x8900, NOTIFY),
            (0x8912, NOTIFY),
            (0x89ff, NOTIFY),
            (0x8a00, ALLOW),
            (0x5401, ALLOW),
            (0x5411, NOTIFY),
            (0x4000_8912, ALLOW),
        ] {
            assert_eq!(of(libc::SYS_ioctl, [3, request, 0, 0, 0, 0]), expected);
        }
    }

    #[test]
    fn the_rest_is_the_hosts() {
        for number in [libc::SYS_read, libc::SYS_sendfile, libc::SYS_epoll_wait] {
            assert_eq!(of(number, [3, 1, 1, 1, 1, 1]), ALLOW);
        }
    }

    #[test]
    fn ways_around_are_closed() {
        assert_eq!(of(libc::SYS_io_uring_setup, [0; 6]), NO_SUCH_CALL);
        assert_eq!(of(libc::SYS_socket + X32 as i64, [2; 6]), NO_SUCH_CALL);
        assert_eq!(verdict(0x4000_0003, 359, [2; 6]), NO_SUCH_CALL);
    }
}
