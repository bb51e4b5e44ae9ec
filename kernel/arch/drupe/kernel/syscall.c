// SPDX-License-Identifier: GPL-2.0
/*
 * The system call table: the generic one of new 64-bit architectures, less
 * what needs a user mode.
 */
#include <linux/fdtable.h>
#include <linux/gfp.h>
#include <linux/io_uring.h>
#include <linux/sched/signal.h>
#include <linux/syscalls.h>
#include <linux/uaccess.h>
#include <asm/machine.h>
#include <asm/unistd.h>

typedef long (*syscall_fn)(u64, u64, u64, u64, u64, u64);

#define __SYSCALL_WITH_COMPAT(nr, native, compat) __SYSCALL(nr, native)
#define __SYSCALL(nr, fn) [nr] = (syscall_fn)(void *)fn,

/* The table names them; they are overridden below. */
#define sys_rt_sigreturn	sys_ni_syscall
#define sys_mmap		sys_ni_syscall

/*
 * The first thread of process 1 stands for no thread of the program: a signal
 * with a handler that is sent to the process must interrupt one that does.  All
 * others it may take, since it ignores them; blocking these too would make them
 * deadly (complete_signal(), kernel/signal.c).
 */
static long rt_sigaction(int sig, const struct sigaction __user *act,
			 struct sigaction __user *oact, size_t size)
{
	struct task_struct *first = current->group_leader;
	long ret = sys_rt_sigaction(sig, act, oact, size);
	__sighandler_t handler;

	if (ret || !act)
		return ret;
	spin_lock_irq(&first->sighand->siglock);
	handler = first->sighand->action[sig - 1].sa.sa_handler;
	if (handler == SIG_DFL || handler == SIG_IGN)
		sigdelset(&first->blocked, sig);
	else
		sigaddset(&first->blocked, sig);
	spin_unlock_irq(&first->sighand->siglock);
	return 0;
}

/*
 * io_uring's rings are in buffers (mm/buffers.c): the program cannot map what the
 * kernel allocates.  Without an MMU, the kernel cannot map a ring of several
 * pages.
 *
 * A thread that polls the submission queue comes to no poll point: it would wait
 * for a tick, which it would keep from coming.
 */
static long io_uring_setup(u32 entries, struct io_uring_params __user *user)
{
	struct io_uring_params params;
	long ret;

	if (!IS_ENABLED(CONFIG_MMU))
		return -ENOSYS;
	if (copy_from_user(&params, user, sizeof(params)))
		return -EFAULT;
	if (!(params.flags & IORING_SETUP_NO_MMAP))
		return -ENOSYS;
	if (params.flags & IORING_SETUP_SQPOLL)
		return -EINVAL;
	ret = sys_io_uring_setup(entries, (void __user *)&params);
	if (ret >= 0 && copy_to_user(user, &params, sizeof(params))) {
		close_fd(ret);
		ret = -EFAULT;
	}
	return ret;
}

/*
 * mount(2) copies a whole page of options, and relies on the fault where the page
 * behind the string does not exist: see strncpy_from_user().  Options are strings
 * in all filesystems that there are here.
 */
static long mount(char __user *source, char __user *target, char __user *type,
		  unsigned long flags, const char __user *options)
{
	char *page;
	long ret;

	if (!options)
		return sys_mount(source, target, type, flags, NULL);
	page = (char *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	ret = strncpy_from_user(page, options, PAGE_SIZE);
	if (ret >= 0)
		ret = sys_mount(source, target, type, flags, (void __user *)page);
	free_page((unsigned long)page);
	return ret;
}

/*
 * Calls that make, replace, trace or end a program, or map its memory; the rings
 * of the older asynchronous I/O are such a mapping.
 */
#define NOT_HERE(name) [__NR_##name] = (syscall_fn)(void *)sys_ni_syscall

static const syscall_fn sys_call_table[__NR_syscalls] = {
	[0 ... __NR_syscalls - 1] = (syscall_fn)(void *)sys_ni_syscall,
#include <asm/syscall_table_64.h>
	[__NR_io_uring_setup] = (syscall_fn)(void *)io_uring_setup,
	[__NR_mount] = (syscall_fn)(void *)mount,
	[__NR_rt_sigaction] = (syscall_fn)(void *)rt_sigaction,
#ifdef CONFIG_INET
	[__NR_sendto] = (syscall_fn)(void *)drupe_sendto,
	[__NR_sendmsg] = (syscall_fn)(void *)drupe_sendmsg,
	[__NR_sendmmsg] = (syscall_fn)(void *)drupe_sendmmsg,
#endif
	NOT_HERE(brk),
	NOT_HERE(clone),
	NOT_HERE(clone3),
	NOT_HERE(execve),
	NOT_HERE(execveat),
	NOT_HERE(exit),
	NOT_HERE(exit_group),
	NOT_HERE(io_cancel),
	NOT_HERE(io_destroy),
	NOT_HERE(io_getevents),
	NOT_HERE(io_pgetevents),
	NOT_HERE(io_setup),
	NOT_HERE(io_submit),
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
