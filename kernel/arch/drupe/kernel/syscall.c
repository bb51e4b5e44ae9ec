// SPDX-License-Identifier: GPL-2.0
/*
 * The system call table: the generic one of new 64-bit architectures, less
 * what needs a user mode.
 */
#include <linux/syscalls.h>
#include <asm/machine.h>
#include <asm/unistd.h>

typedef long (*syscall_fn)(u64, u64, u64, u64, u64, u64);

#define __SYSCALL_WITH_COMPAT(nr, native, compat) __SYSCALL(nr, native)
#define __SYSCALL(nr, fn) [nr] = (syscall_fn)(void *)fn,

/* The table names them; they are overridden below. */
#define sys_rt_sigreturn	sys_ni_syscall
#define sys_mmap		sys_ni_syscall

/* Calls that make, replace, trace or end a program, or map its memory. */
#define NOT_HERE(name) [__NR_##name] = (syscall_fn)(void *)sys_ni_syscall

static const syscall_fn sys_call_table[__NR_syscalls] = {
	[0 ... __NR_syscalls - 1] = (syscall_fn)(void *)sys_ni_syscall,
#include <asm/syscall_table_64.h>
	NOT_HERE(brk),
	NOT_HERE(clone),
	NOT_HERE(clone3),
	NOT_HERE(execve),
	NOT_HERE(execveat),
	NOT_HERE(exit),
	NOT_HERE(exit_group),
	NOT_HERE(mprotect),
	NOT_HERE(mremap),
	NOT_HERE(munmap),
	NOT_HERE(ptrace),
	NOT_HERE(remap_file_pages),
	NOT_HERE(rseq),
	NOT_HERE(set_robust_list),
	NOT_HERE(set_tid_address),
	NOT_HERE(shmat),
	NOT_HERE(shmdt),
};

/**
 * drupe_do_syscall - run a system call on the current host task
 * @nr: number, include/uapi/asm-generic/unistd.h
 * @args: six arguments
 *
 * Return: what the call returned.
 */
s64 drupe_do_syscall(u64 nr, const u64 *args)
{
	if (unlikely(nr >= __NR_syscalls))
		return -ENOSYS;
	return sys_call_table[nr](args[0], args[1], args[2], args[3], args[4],
				  args[5]);
}
