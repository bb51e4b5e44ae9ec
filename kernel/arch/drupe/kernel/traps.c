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

/*
 * There are no frame pointers and no unwind tables.  Print whatever on the
 * stack could be a return address, marked as a guess like on other machines.
 */
void show_stack(struct task_struct *tsk, unsigned long *sp, const char *loglvl)
{
	unsigned long *start, *end;

	tsk = tsk ?: current;
	if (!sp)
		sp = tsk == current ? __builtin_frame_address(0) :
				      (unsigned long *)tsk->thread.sp;
	end = tsk->thread.stack;
	start = (unsigned long *)((char *)end - DRUPE_STACK_SIZE);
	if (!end || sp < start || sp >= end)
		return;
	printk("%sCall Trace:\n", loglvl);
	for (; sp < end; sp++)
		if (__kernel_text_address(*sp))
			printk("%s ? %pB\n", loglvl, (void *)*sp);
}

void show_regs(struct pt_regs *regs)
{
}

/**
 * drupe_fault - report a fault of the kernel, and panic
 * @fault: what the host's signal handler knows
 *
 * Runs on the stack, and in place, of what faulted.
 */
void drupe_fault(const struct drupe_fault *fault)
{
	this_drupe_cpu()->irqs_off = 1;
	console_verbose();
	pr_emerg("BUG: signal %llu in the kernel: address %016llx, ip %pS\n",
		 fault->signal, fault->addr, (void *)fault->ip);
	panic("fatal fault at %pS", (void *)fault->ip);
}

/*
 * The frames of the report itself come first; those of a fault follow, since
 * drupe_fault() runs on the stack that faulted.
 */
static int drupe_panic(struct notifier_block *nb, unsigned long event,
		       void *message)
{
	pr_emerg("pid %d (%s)\n", current->pid, current->comm);
	show_stack(NULL, NULL, KERN_EMERG);
	drupe_stop(DRUPE_STOP_PANIC, message);
}

static struct notifier_block drupe_panic_notifier = {
	.notifier_call = drupe_panic,
	.priority = INT_MIN,
};

void __init trap_init(void)
{
	atomic_notifier_chain_register(&panic_notifier_list,
				       &drupe_panic_notifier);
}
