// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks: how they start, how host tasks serve requests, what idle does.
 *
 * A host task stands for one thread of the host program.  What a machine with
 * user mode does in user mode, it does parked: outside the kernel, waiting for
 * the next request.
 */
#include <linux/binfmts.h>
#include <linux/cpu.h>
#include <linux/elf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/init.h>
#include <linux/init_syscalls.h>
#include <linux/kdev_t.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/resume_user_mode.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/stringify.h>
#include <linux/sysctl.h>
#include <linux/task_work.h>
#include <asm/irq.h>
#include <asm/machine.h>

/* Signals and other work that waits for the task to leave the kernel. */
#define EXIT_WORK (_TIF_NOTIFY_RESUME | _TIF_SIGPENDING | \
		   _TIF_NOTIFY_SIGNAL | BIT(TIF_RESTORE_SIGMASK))

/*
 * Signal handlers cannot run: a signal that would call one only interrupts, as
 * the host does itself (%DRUPE_OP_TASK_INTERRUPT).  Returns whether one did.
 *
 * A mask that the call had for itself holds until the signals that it let in
 * have been seen.
 */
static noinline bool exit_work(void)
{
	bool handler = false;
	struct ksignal ksig;

	while (read_thread_flags() & EXIT_WORK) {
		if (test_thread_flag(TIF_NOTIFY_SIGNAL))
			clear_notify_signal();
		if (current->thread.interrupted) {
			current->thread.interrupted = false;
			handler = true;
		}
		resume_user_mode_work(&drupe_user_regs);
		if (test_thread_flag(TIF_SIGPENDING) && get_signal(&ksig))
			handler = true;
		else
			restore_saved_sigmask();
	}
	return handler;
}

/* Runs the request, and again while the kernel wants the call restarted. */
static void serve(struct drupe_request *request)
{
	u64 nr = request->nr;
	bool handler;

	for (;;) {
		request->ret = drupe_do_request(request);
		if (likely(!(read_thread_flags() & EXIT_WORK)))
			break;
		handler = exit_work();
		switch (request->ret) {
		case -ERESTARTNOINTR:
			continue;
		case -ERESTARTSYS:
		case -ERESTARTNOHAND:
			if (!handler)
				continue;
			break;
		case -ERESTART_RESTARTBLOCK:
			if (!handler) {
				request->nr = __NR_restart_syscall;
				continue;
			}
			break;
		}
		break;
	}
	request->nr = nr;
	switch (request->ret) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		request->ret = -EINTR;
	}
}

/* Leaves with a completed request; the caller is now parked. */
static void complete_request(struct drupe_request *request)
{
	struct drupe_cpu *cpu = this_drupe_cpu();

	cpu->done = request;
	cpu->runnable = need_resched() || !single_task_running();
	drupe_leave(cpu, DRUPE_LEAVE_DONE);
}

/*
 * Waits, parked, for a request.  What a task in user mode would do at once is
 * done meanwhile: task work, such as io_uring's completions, which the program
 * sees without another call.  An interrupt holds for the request that comes.
 */
static void park(struct thread_struct *thread)
{
	bool interrupted = false;

	while (!READ_ONCE(thread->request)) {
		if (read_thread_flags() & EXIT_WORK) {
			interrupted |= exit_work();
			continue;
		}
		set_special_state(TASK_PARKED | TASK_INTERRUPTIBLE);
		if (!READ_ONCE(thread->request))
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	if (interrupted) {
		thread->interrupted = true;
		set_notify_signal(current);
	}
}

/*
 * The life of a host task.  When a request is complete the task stays current,
 * so that the same thread's next one needs no task switch; it goes to sleep
 * when the machine is entered for something else.
 */
static void __noreturn host_task(void)
{
	struct drupe_cpu *cpu = this_drupe_cpu();
	struct thread_struct *thread = &current->thread;
	struct drupe_request *request;

	for (;;) {
		if (!READ_ONCE(thread->request))
			park(thread);
		request = thread->request;
		serve(request);
		thread->request = request->next;
		complete_request(request);

		/*
		 * Take what was brought before anything can leave again: the
		 * next entry overwrites it.
		 */
		request = cpu->request;
		if (likely(request && request->task == (u64)current &&
			   !thread->request)) {
			cpu->request = NULL;
			thread->request = request;
		} else {
			drupe_note_request();
		}
		if (unlikely(READ_ONCE(cpu->pending)))
			drupe_handle_irqs(&drupe_user_regs);
	}
}

/**
 * drupe_task_start - the first function of a new task
 * @prev: the task that was switched away from
 */
void drupe_task_start(struct task_struct *prev)
{
	schedule_tail(prev);
	/* A kernel thread's function returns for pid 1 only, after its exec. */
	if (current->thread.fn)
		current->thread.fn(current->thread.arg);
	host_task();
}

/* The copy has no stack before copy_thread() has given it one. */
int arch_dup_task_struct(struct task_struct *dst, struct task_struct *src)
{
	*dst = *src;
	dst->thread.stack = NULL;
	return 0;
}

/* Called when nobody refers to the task any more. */
void arch_release_task_struct(struct task_struct *tsk)
{
	if (tsk->thread.stack)
		drupe_stack_free(tsk->thread.stack);
}

int copy_thread(struct task_struct *p, const struct kernel_clone_args *args)
{
	void *stack = drupe_stack_alloc();
	u64 *sp = stack - 64;

	if (!stack)
		return -ENOMEM;
	/* What mm/oom.c does for one call of the parent. */
	p->flags &= ~PF_DUMPCORE;
	p->thread = (struct thread_struct) {
		.stack = stack,
		.fn = args->fn,
		.arg = args->fn_arg,
	};
	/* What __switch_to() pops: an address and six registers. */
	*--sp = (u64)drupe_ret_from_fork;
	sp -= 6;
	memset(sp, 0, 6 * sizeof(*sp));
	p->thread.sp = (u64)sp;
	return 0;
}

void arch_cpu_idle(void)
{
	struct drupe_cpu *cpu = this_drupe_cpu();

	if (READ_ONCE(cpu->pending))
		return;
	drupe_leave(cpu, DRUPE_LEAVE_IDLE);
	drupe_note_request();
}

struct drupe_request *drupe_boot_request;

/*
 * There is no program.  Process 1 executes an empty file whose "format" ends
 * in host_task() instead of user mode; that completes the boot.
 */
static int load_init(struct linux_binprm *bprm)
{
	int ret;

	if (strcmp(bprm->filename, "/init"))
		return -ENOEXEC;
	ret = begin_new_exec(bprm);
	if (ret)
		return ret;
	set_binfmt(NULL);
	setup_new_exec(bprm);
	ret = drupe_map_buffers();
	if (ret)
		return ret;
	finalize_exec(bprm);
	/* host_task() completes it. */
	drupe_boot_request->task = (u64)current;
	current->thread.request = drupe_boot_request;
	drupe_boot_request = NULL;
	return 0;
}

static struct linux_binfmt drupe_format = { .load_binary = load_init };

/*
 * A task stands for a thread of the program: only memory bounds their number,
 * not the share of it that a kernel would think wise.
 */
static void __init lift_threads_max(void)
{
	static const struct ctl_table table = { .maxlen = sizeof(int) };
	char most[] = __stringify(FUTEX_TID_MASK);
	size_t len = sizeof(most) - 1;
	loff_t pos = 0;

	if (sysctl_max_threads(&table, 1, most, &len, &pos))
		pr_warn("threads-max stays as it is\n");
}

static int __init make_init(void)
{
	struct file *file;

	lift_threads_max();
	/* Instead of the one that init/noinitramfs.c made, and no driver serves. */
	init_unlink("/dev/console");
	/* What becomes file descriptors 0 to 2 of process 1. */
	init_mknod("/dev/console", S_IFCHR | 0600,
		   new_encode_dev(MKDEV(1, 3)));
	file = filp_open("/init", O_CREAT | O_WRONLY, 0700);
	if (IS_ERR(file))
		panic("cannot make /init: %ld", PTR_ERR(file));
	filp_close(file, NULL);
	/* Process 1 counts as a user task: its fput() waits in the task work. */
	task_work_run();
	register_binfmt(&drupe_format);
	return 0;
}
late_initcall(make_init);

void flush_thread(void)
{
}

/* Tracing needs a user mode: ptrace(2) is not in the system call table. */
void ptrace_disable(struct task_struct *child)
{
}

long arch_ptrace(struct task_struct *child, long request, unsigned long addr,
		 unsigned long data)
{
	return -EIO;
}

static const struct user_regset_view no_regsets = {
	.name = "drupe", .e_machine = EM_X86_64,
};

const struct user_regset_view *task_user_regset_view(struct task_struct *tsk)
{
	return &no_regsets;
}
