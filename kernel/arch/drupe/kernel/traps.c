// SPDX-License-Identifier: GPL-2.0
/*
 * Faults: what the host's signal handler could not answer with the exception
 * table ends this kernel, with as much of a report as can be had.
 */
#include <linux/cpu.h>
#include <linux/kallsyms.h>
#include <linux/panic.h>
#include <linux/panic_notifier.h>
#include <linux/printk.h>
#include <linux/sched/debug.h>
#include <linux/sched/task_stack.h>
#include <asm/machine.h>

/* A stack that overflowed because of a recursion is full of the same. */
#define MAX_TRACE	64

/*
 * There are no frame pointers and no unwind tables.  Print whatever on the
 * stack could be a return address, marked as a guess like on other machines.
 */
void show_stack(struct task_struct *tsk, unsigned long *sp, const char *loglvl)
{
	unsigned long *start, *end;
	unsigned int lines = 0;

	tsk = tsk ?: current;
	if (!sp)
		sp = tsk == current ? __builtin_frame_address(0) :
				      (unsigned long *)tsk->thread.sp;
	end = tsk->thread.stack;
	start = (unsigned long *)((char *)end - DRUPE_STACK_SIZE);
	if (!end || sp < start || sp >= end)
		return;
	printk("%sCall Trace:\n", loglvl);
	for (; sp < end && lines < MAX_TRACE; sp++) {
		if (__kernel_text_address(*sp)) {
			printk("%s ? %pB\n", loglvl, (void *)*sp);
			lines++;
		}
	}
}

void show_regs(struct pt_regs *regs)
{
}

/* The stack as it was at the fault, if there was one. */
static unsigned long *fault_sp;

/* Less than the host needs for the frame of a signal. */
#define OVERFLOWED	8192

/*
 * What could not be accessed is below the stack of the task that runs, or the host
 * had no room on it for a signal, which comes without an address.
 */
static bool is_overflow(const struct drupe_fault *fault)
{
	u64 start = (u64)current->thread.stack - DRUPE_STACK_SIZE;

	return (fault->addr < start && fault->addr >= start - PAGE_SIZE) ||
	       fault->sp < start + OVERFLOWED;
}

/**
 * drupe_fault - report a fault of the kernel, and panic
 * @fault: what the host's signal handler knows
 *
 * Runs in place of what faulted, on the same stack if that has room.
 */
void drupe_fault(const struct drupe_fault *fault)
{
	bool ours = __kernel_text_address(fault->ip);
	unsigned long *start;

	this_drupe_cpu()->irqs_off = 1;
	console_verbose();
	pr_emerg("BUG: signal %llu in the kernel: address %016llx, ip %pS\n",
		 fault->signal, fault->addr, (void *)fault->ip);
	start = (unsigned long *)(current->thread.stack - DRUPE_STACK_SIZE);
	fault_sp = max((unsigned long *)fault->sp, start);
	if (!is_overflow(fault))
		panic("fatal fault at %pS", (void *)fault->ip);
	if (ours)
		panic("stack overflow at %pS", (void *)fault->ip);
	panic("stack overflow in a signal handler of the program, which ran on a stack of the kernel (use SA_ONSTACK)");
}

static int drupe_panic(struct notifier_block *nb, unsigned long event,
		       void *message)
{
	pr_emerg("pid %d (%s)\n", current->pid, current->comm);
	show_stack(NULL, fault_sp, KERN_EMERG);
	drupe_stop(DRUPE_STOP_PANIC, message);
}

static struct notifier_block drupe_panic_notifier = {
	.notifier_call = drupe_panic,
	.priority = INT_MIN,
};

/* Before anything can panic: that would not end. */
void drupe_panic_init(void)
{
	atomic_notifier_chain_register(&panic_notifier_list,
				       &drupe_panic_notifier);
}
