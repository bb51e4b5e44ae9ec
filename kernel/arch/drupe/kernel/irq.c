// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: polled, never delivered between two poll points (irqflags.h).
 */
#include <linux/bitops.h>
#include <linux/hardirq.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/sched.h>
#include <asm/irq_regs.h>
#include <asm/machine.h>

struct pt_regs drupe_user_regs = { .user = 1 };
struct pt_regs drupe_kernel_regs = { .user = 0 };

/**
 * drupe_accept_request - hand the request that an entry brought to its task
 *
 * A task that computes has its turn after that: who comes with a call that may
 * be short does not wait for the scheduler's next tick.  Nor does the newcomer
 * wait because of what it ran too long before: a task that was never waited for
 * could not have run less.
 */
void drupe_accept_request(void)
{
	struct drupe_cpu *cpu = this_drupe_cpu();
	struct drupe_request *request = cpu->request;
	struct task_struct *tsk;

	if (!request)
		return;
	cpu->request = NULL;
	tsk = (struct task_struct *)request->task;
	WRITE_ONCE(tsk->thread.request, request);
	if (!tsk->on_rq && tsk->se.vlag < 0)
		tsk->se.vlag = 0;
	wake_up_state(tsk, TASK_PARKED);
	set_tsk_need_resched(current);
}

/**
 * drupe_handle_irqs - handle all pending interrupts
 * @regs: &drupe_user_regs when they hit a task that is parked outside the
 *	kernel, else &drupe_kernel_regs
 *
 * Interrupts are disabled while handlers run, and enabled on return.
 */
void drupe_handle_irqs(struct pt_regs *regs)
{
	struct drupe_cpu *cpu = this_drupe_cpu();
	struct pt_regs *old_regs;
	unsigned long pending, lines;
	unsigned int irq;

	cpu->irqs_off = 1;
	trace_hardirqs_off();
	while (READ_ONCE(cpu->pending)) {
		pending = __atomic_exchange_n(&cpu->pending, 0,
					      __ATOMIC_SEQ_CST);
		old_regs = set_irq_regs(regs);
		irq_enter();
		if (pending & BIT(DRUPE_IRQ_CALL))
			drupe_accept_request();
		lines = pending & ~(BIT(DRUPE_IRQ_CALL) | BIT(DRUPE_IRQ_YIELD));
		for_each_set_bit(irq, &lines, NR_IRQS)
			generic_handle_irq(irq);
		irq_exit();
		set_irq_regs(old_regs);

		if (pending & BIT(DRUPE_IRQ_YIELD)) {
			drupe_leave(cpu, DRUPE_LEAVE_YIELD);
			drupe_note_request();
		}
	}
	trace_hardirqs_on();
	cpu->irqs_off = 0;
}

/**
 * drupe_note_request - after a leave inside the kernel, note what was brought
 *
 * The request is taken as an interrupt, at the next poll point: here RCU may
 * not be watching.
 */
void drupe_note_request(void)
{
	struct drupe_cpu *cpu = this_drupe_cpu();

	if (cpu->request)
		__atomic_fetch_or(&cpu->pending, BIT(DRUPE_IRQ_CALL),
				  __ATOMIC_SEQ_CST);
}

/**
 * drupe_poll_irqs - handle interrupts that are pending as they become enabled
 */
void drupe_poll_irqs(void)
{
	drupe_handle_irqs(&drupe_kernel_regs);
}

void cpu_relax(void)
{
	asm volatile("pause" ::: "memory");
	if (!irqs_disabled() && READ_ONCE(this_drupe_cpu()->pending))
		drupe_poll_irqs();
}

void __init init_IRQ(void)
{
	unsigned int irq;

	for (irq = 0; irq < NR_IRQS; irq++)
		irq_set_chip_and_handler(irq, &dummy_irq_chip,
					 handle_simple_irq);
}
