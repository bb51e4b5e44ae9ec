//! The system calls that a confined process may make (seccomp).

use std::collections::BTreeMap;

use anyhow::Result;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::uses::Profile;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What all commands call, and the kernel's threads. What is to be seen of the arguments
/// is in [`confine`].
const ALLOWED: &[i64] = &[
    // Data.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    // Files: which ones, Landlock says.
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_umask,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_membarrier,
    // Threads of this process; clone is looked at.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_arch_prctl,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to itself.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigpending,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    // Waiting.
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
];

/// For disks on the network, which are connected already.
const NETWORK: &[i64] = &[
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
];

/// For serving a mount: to leave the terminal and the directory when it is in the
/// background, and to talk to its keeper.
const SERVE: &[i64] = &[
    libc::SYS_setsid,
    libc::SYS_chdir,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
];

/// For making files of the host. Which ones, Landlock says; it says nothing of
/// attributes, so these are set of open files only: those can be opened.
const WRITE_HOST: &[i64] = &[
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
];

/// For `cp -a` to the host: attributes of what cannot be opened, by path.
const ARCHIVE: &[i64] = &[
    libc::SYS_utimensat,
    libc::SYS_chmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
];

/// libc does not have it for this target yet.
const SYS_FCHMODAT2: i64 = 452;

/// Of ioctl(2), those of terminals, and the sizes of block devices.
const IOCTLS: &[u64] = &[
    libc::TCGETS,
    libc::TCGETS2,
    libc::TCSETS2,
    libc::TCSETSF2,
    libc::TCSETS,
    libc::TCSETSW,
    libc::TCSETSF,
    libc::TIOCGWINSZ,
    libc::TIOCGPGRP,
    libc::FIONREAD,
    BLKSSZGET,
    BLKGETSIZE64,
];

/// include/uapi/linux/fs.h
const BLKSSZGET: u64 = 0x1268;
const BLKGETSIZE64: u64 = 0x8008_1272;

/// Of fcntl(2): nothing that sends signals.
const FCNTLS: &[i32] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_SETPIPE_SZ,
    libc::F_GETPIPE_SZ,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

/// `PR_GET_AUXV` of `include/uapi/linux/prctl.h`.
const PR_GET_AUXV: i32 = 0x4155_5856;

/// Of prctl(2): names of threads and mappings, how late timers are, what the processor
/// has, and these filters themselves.
const PRCTLS: &[i32] = &[
    PR_GET_AUXV,
    libc::PR_SET_TIMERSLACK,
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_CAPBSET_READ,
];

/// Refuses all other calls with EPERM, in all threads.
pub(super) fn confine(profile: Profile, network: bool) -> Result<()> {
    // Its flags are in memory, where a filter cannot look: with ENOSYS, callers
    // take clone instead.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    install(clone3, SeccompAction::Allow, missing)?;
    let network = if network { NETWORK } else { &[] };
    let (write, archive) = match profile {
        Profile::Read | Profile::WriteImage => (&[][..], &[][..]),
        Profile::Serve => (SERVE, &[][..]),
        Profile::WriteHost { archive: false } => (WRITE_HOST, &[][..]),
        Profile::WriteHost { archive: true } => (WRITE_HOST, ARCHIVE),
    };
    let mut rules = Rules::new();
    if profile == (Profile::WriteHost { archive: false }) {
        // futimens(3): of an open file.
        let open = argument(1, SeccompCmpOp::Eq, 0)?;
        rules.insert(libc::SYS_utimensat, vec![open]);
    }
    for call in [ALLOWED, network, write, archive].into_iter().flatten() {
        rules.insert(*call, Vec::new());
    }
    let one_of = |number, values: &[u64]| -> Result<Vec<SeccompRule>> {
        let rules = values
            .iter()
            .map(|value| argument(number, SeccompCmpOp::Eq, *value));
        rules.collect()
    };
    let words = |values: &[i32]| -> Vec<u64> {
        let wide = values.iter().map(|&value| value as u64);
        wide.collect()
    };
    let own = std::process::id().into();
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS)?);
    rules.insert(libc::SYS_fcntl, one_of(1, &words(FCNTLS))?);
    rules.insert(libc::SYS_prctl, one_of(0, &words(PRCTLS))?);
    // Of this process; and limits are read, not set.
    let limits = [0, own].map(|pid| -> Result<SeccompRule> {
        let of = condition(0, SeccompCmpOp::Eq, pid)?;
        let no_new = condition(2, SeccompCmpOp::Eq, 0)?;
        Ok(SeccompRule::new(vec![of, no_new])?)
    });
    let limits: Result<_> = limits.into_iter().collect();
    rules.insert(libc::SYS_prlimit64, limits?);
    let thread = libc::CLONE_THREAD as u64;
    let threads = argument(0, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![threads]);
    rules.insert(libc::SYS_tgkill, one_of(0, &[own])?);
    rules.insert(libc::SYS_kill, one_of(0, &[own])?);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    install(rules, refused, SeccompAction::Allow)
}

fn condition(number: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition> {
    let whole = SeccompCmpArgLen::Qword;
    Ok(SeccompCondition::new(number, whole, operator, value)?)
}

fn argument(number: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    let condition = condition(number, operator, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn install(rules: Rules, otherwise: SeccompAction, action: SeccompAction) -> Result<()> {
    let filter = SeccompFilter::new(rules, otherwise, action, TargetArch::x86_64)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}
