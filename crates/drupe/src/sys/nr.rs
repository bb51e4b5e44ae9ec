//! System call numbers of the generic table.
//!
//! drupe's architecture uses `include/uapi/asm-generic/unistd.h` (generated
//! from `scripts/syscall.tbl`, ABIs common, 64, rlimit and renameat), not the
//! numbers of x86-64. The names are the kernel's.
#![allow(missing_docs, reason = "the names are the documentation")]

pub const SETXATTR: usize = 5;
pub const LSETXATTR: usize = 6;
pub const FSETXATTR: usize = 7;
pub const GETXATTR: usize = 8;
pub const LGETXATTR: usize = 9;
pub const FGETXATTR: usize = 10;
pub const LISTXATTR: usize = 11;
pub const LLISTXATTR: usize = 12;
pub const FLISTXATTR: usize = 13;
pub const REMOVEXATTR: usize = 14;
pub const LREMOVEXATTR: usize = 15;
pub const FREMOVEXATTR: usize = 16;
pub const EPOLL_CREATE1: usize = 20;
pub const EPOLL_CTL: usize = 21;
pub const FCNTL: usize = 25;
pub const IOCTL: usize = 29;
pub const MKNODAT: usize = 33;
pub const MKDIRAT: usize = 34;
pub const UNLINKAT: usize = 35;
pub const SYMLINKAT: usize = 36;
pub const LINKAT: usize = 37;
pub const UMOUNT2: usize = 39;
pub const MOUNT: usize = 40;
pub const FSTATFS: usize = 44;
pub const TRUNCATE: usize = 45;
pub const FTRUNCATE: usize = 46;
pub const FALLOCATE: usize = 47;
pub const FCHMOD: usize = 52;
pub const FCHOWNAT: usize = 54;
pub const FCHOWN: usize = 55;
pub const OPENAT: usize = 56;
pub const CLOSE: usize = 57;
pub const GETDENTS64: usize = 61;
pub const LSEEK: usize = 62;
pub const READ: usize = 63;
pub const WRITE: usize = 64;
pub const PREAD64: usize = 67;
pub const PWRITE64: usize = 68;
pub const PPOLL: usize = 73;
pub const READLINKAT: usize = 78;
pub const FSYNC: usize = 82;
pub const FDATASYNC: usize = 83;
pub const UTIMENSAT: usize = 88;
pub const CAPSET: usize = 91;
pub const UNSHARE: usize = 97;
pub const SETFSUID: usize = 151;
pub const SETFSGID: usize = 152;
pub const UMASK: usize = 166;
pub const PRCTL: usize = 167;
pub const SOCKET: usize = 198;
pub const SOCKETPAIR: usize = 199;
pub const BIND: usize = 200;
pub const LISTEN: usize = 201;
pub const CONNECT: usize = 203;
pub const GETSOCKNAME: usize = 204;
pub const GETPEERNAME: usize = 205;
pub const SENDTO: usize = 206;
pub const RECVFROM: usize = 207;
pub const SETSOCKOPT: usize = 208;
pub const GETSOCKOPT: usize = 209;
pub const SHUTDOWN: usize = 210;
pub const SENDMSG: usize = 211;
pub const RECVMSG: usize = 212;
pub const ACCEPT4: usize = 242;
pub const PRLIMIT64: usize = 261;
pub const NAME_TO_HANDLE_AT: usize = 264;
pub const OPEN_BY_HANDLE_AT: usize = 265;
pub const SYNCFS: usize = 267;
pub const SETNS: usize = 268;
pub const RENAMEAT2: usize = 276;
pub const GETRANDOM: usize = 278;
pub const COPY_FILE_RANGE: usize = 285;
pub const STATX: usize = 291;
pub const OPENAT2: usize = 437;
pub const EPOLL_PWAIT2: usize = 441;
pub const FCHMODAT2: usize = 452;

/// Whether no argument of this call is a pointer (of those this crate makes).
pub(crate) fn is_plain(nr: usize) -> bool {
    matches!(
        nr,
        FCNTL
            | FTRUNCATE
            | FALLOCATE
            | FCHMOD
            | FCHOWN
            | CLOSE
            | LSEEK
            | FSYNC
            | FDATASYNC
            | UMASK
            | UNSHARE
            | SETFSUID
            | SETFSGID
            | PRCTL
            | EPOLL_CREATE1
            | SOCKET
            | LISTEN
            | SHUTDOWN
            | SETNS
            | SYNCFS
    )
}
