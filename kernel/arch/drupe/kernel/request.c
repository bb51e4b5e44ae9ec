// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: system calls, and what else a host asks of a kernel.
 */
#include <linux/bug.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/panic.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <asm/irq.h>
#include <asm/machine.h>
#include <asm/unistd.h>

/* A thread of process 1; it runs when its first request arrives. */
static s64 task_new(const char *name)
{
	struct kernel_clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			 CLONE_THREAD | CLONE_SYSVSEM,
	};
	struct task_struct *tsk;
	pid_t pid;

	pid = kernel_clone(&args);
	if (pid < 0)
		return pid;
	rcu_read_lock();
	tsk = find_task_by_vpid(pid);
	rcu_read_unlock();
	/* Only its own request can end it: it stays. */
	set_task_comm(tsk, name);
	/* It takes the signals that process 1 does not: see kernel/syscall.c. */
	spin_lock_irq(&tsk->sighand->siglock);
	sigemptyset(&tsk->blocked);
	spin_unlock_irq(&tsk->sighand->siglock);
	return (s64)tsk;
}

/* Completes first: a task that has exited cannot. */
static s64 task_exit(struct drupe_request *request)
{
	struct drupe_cpu *cpu = this_drupe_cpu();

	request->ret = 0;
	current->thread.request = NULL;
	cpu->done = request;
	cpu->runnable = true;
	drupe_leave(cpu, DRUPE_LEAVE_DONE);
	drupe_note_request();
	do_exit(0);
}

/**
 * drupe_task_interrupt - end what a host task has been asked to do
 * @tsk: the task
 * @request: the request that is to end, or NULL for the current or next one
 *
 * Called with interrupts disabled.  A request that is being served ends by
 * itself, like a system call that a signal interrupts.
 *
 * Return: whether @request waited for its turn, which it will not have now; the
 * caller completes it.
 */
bool drupe_task_interrupt(struct task_struct *tsk,
			  struct drupe_request *request)
{
	struct drupe_request *queued = tsk->thread.request;

	if (!request || request == queued) {
		tsk->thread.interrupted = true;
		set_notify_signal(tsk);
		return false;
	}
	while (queued && queued->next != request)
		queued = queued->next;
	if (!queued)
		return false;
	queued->next = request->next;
	request->ret = -EINTR;
	return true;
}

/*
 * Direct I/O needs no page tables this way, and works without an MMU.  Any other
 * file is read and written as always.
 */
static s64 buffer_rw(const u64 *args, bool write)
{
	CLASS(fd, f)(args[0]);
	struct file *file = fd_file(f);
	void *buf = (void *)args[1];
	size_t len = args[2];
	loff_t pos = args[3];

	if (!file)
		return -EBADF;
	if (!(file->f_flags & O_DIRECT))
		return drupe_do_syscall(write ? __NR_pwrite64 : __NR_pread64,
					args);
	if (pos < 0)
		return -EINVAL;
	if (!(file->f_mode & (write ? FMODE_PWRITE : FMODE_PREAD)))
		return -ESPIPE;
	if (!(file->f_mode & (write ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	if (write)
		return kernel_write(file, buf, len, &pos);
	return kernel_read(file, buf, len, &pos);
}

/* Ends in the guard page below the stack. */
static noinline u64 overflow(u64 depth)
{
	u8 frame[256];

	memset(frame, depth, sizeof(frame));
	OPTIMIZER_HIDE_VAR(depth);
	if (depth + 1)
		depth += overflow(depth + 1);
	return depth + frame[depth % sizeof(frame)];
}

static s64 crash(enum drupe_crash how)
{
	unsigned long bad = 8;

	/* Keep the compiler from knowing what is going to happen. */
	OPTIMIZER_HIDE_VAR(bad);
	switch (how) {
	case DRUPE_CRASH_PANIC:
		panic("as requested");
	case DRUPE_CRASH_BUG:
		BUG();
	case DRUPE_CRASH_READ:
		return READ_ONCE(*(u64 *)bad);
	case DRUPE_CRASH_JUMP:
		((void (*)(void))bad)();
		break;
	case DRUPE_CRASH_OVERFLOW:
		return overflow(0);
	}
	return -EINVAL;
}

/**
 * drupe_do_request - run a request on the current host task
 * @request: the request
 *
 * Return: its result, or a negative errno.
 */
s64 drupe_do_request(struct drupe_request *request)
{
	const u64 *args = request->args;

	if (likely(request->nr < DRUPE_OP_BASE))
		return drupe_do_syscall(request->nr, args);
	switch (request->nr) {
	case DRUPE_OP_BOOT:
		return 0;
	case DRUPE_OP_TASK_NEW:
		return task_new((const char *)args[0]);
	case DRUPE_OP_TASK_EXIT:
		return task_exit(request);
	case DRUPE_OP_PAGES_ALLOC:
		return (s64)drupe_pages_alloc(args[0]) ?: -ENOMEM;
	case DRUPE_OP_PAGES_FREE:
		drupe_pages_free((void *)args[0], args[1]);
		return 0;
	case DRUPE_OP_PREAD:
		return buffer_rw(args, false);
	case DRUPE_OP_PWRITE:
		return buffer_rw(args, true);
	case DRUPE_OP_CRASH:
		return crash(args[0]);
#ifdef CONFIG_DRUPE_DISK
	case DRUPE_OP_DISK_ADD:
		return drupe_disk_add(args[0], args[1], args[2], args[3]);
	case DRUPE_OP_DISK_REMOVE:
		return drupe_disk_remove(args[0]);
#endif
#ifdef CONFIG_DRUPE_LINK
	case DRUPE_OP_LINK_ADD:
		return drupe_link_add(args[0], (const u8 *)args[1], args[2],
				      args[3]);
	case DRUPE_OP_LINK_REMOVE:
		return drupe_link_remove(args[0]);
#endif
	case DRUPE_OP_WATCH:
		return drupe_watch(args[0], args[1]);
	case DRUPE_OP_UNWATCH:
		drupe_unwatch((struct drupe_watch *)args[0]);
		return 0;
#ifdef CONFIG_MMU
	case DRUPE_OP_FREEZE:
		return drupe_freeze();
	case DRUPE_OP_THAW:
		return drupe_thaw((const u32 *)args[0], args[1]);
#endif
	}
	return -ENOSYS;
}
