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

/*
 * A task that computes has its turn after a request has come: who comes with a
 * call that may be short does not wait for the scheduler's next tick.  Nor does
 * the newcomer wait because of what it ran too long before: a task that was
 * never waited for could not have run less.
 */
static void accept(struct drupe_request *request)
{
	struct task_struct *tsk = (struct task_struct *)request->task;
	struct drupe_request **last = &tsk->thread.request;

	while (*last)
		last = &(*last)->next;
	request->next = NULL;
	WRITE_ONCE(*last, request);
	if (!tsk->on_rq && tsk->se.vlag < 0)
		tsk->se.vlag = 0;
	wake_up_state(tsk, TASK_PARKED);
	set_tsk_need_resched(current);
}

/*
 * Takes what has been posted, and hands it to its tasks.  Returns those that
 * are complete already, in a list.
 */
static struct drupe_request *accept_requests(struct drupe_cpu *cpu)
{
	struct drupe_request *newest, *request, *oldest = NULL, *done = NULL;

	newest = __atomic_exchange_n(&cpu->inbox, NULL, __ATOMIC_ACQUIRE);
	while (newest) {
		request = newest;
		newest = request->next;
		request->next = oldest;
		oldest = request;
	}
	while (oldest) {
		request = oldest;
		oldest = request->next;
		if (request->nr != DRUPE_OP_TASK_INTERRUPT) {
			accept(request);
			continue;
		}
		if (drupe_task_interrupt((struct task_struct *)request->args[0],
					 (void *)request->args[1])) {
			((struct drupe_request *)request->args[1])->next = done;
			done = (struct drupe_request *)request->args[1];
		}
		request->ret = 0;
		request->next = done;
		done = request;
	}
	return done;
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
	struct drupe_request *done;
	struct pt_regs *old_regs;
	unsigned long pending, lines;
	unsigned int irq;

	cpu->irqs_off = 1;
	trace_hardirqs_off();
	while (READ_ONCE(cpu->pending)) {
		pending = __atomic_exchange_n(&cpu->pending, 0,
					      __ATOMIC_SEQ_CST);
		done = NULL;
		old_regs = set_irq_regs(regs);
		irq_enter();
		if (pending & BIT(DRUPE_IRQ_CALL))
			done = accept_requests(cpu);
		lines = pending & ~(BIT(DRUPE_IRQ_CALL) | BIT(DRUPE_IRQ_YIELD));
		for_each_set_bit(irq, &lines, NR_IRQS)
			generic_handle_irq(irq);
		irq_exit();
		set_irq_regs(old_regs);

		while (done) {
			cpu->done = done;
			done = done->next;
			cpu->runnable = !is_idle_task(current) ||
					need_resched();
			drupe_leave(cpu, DRUPE_LEAVE_DONE);
			drupe_note_request();
		}
		if (pending & BIT(DRUPE_IRQ_YIELD)) {
			drupe_leave(cpu, DRUPE_LEAVE_YIELD);
			drupe_note_request();
		}
	}
	trace_hardirqs_on();
	cpu->irqs_off = 0;
}

/**
 * drupe_note_request - after a leave inside the kernel, post what was brought
 *
 * The request is taken as an interrupt, at the next poll point: here RCU may
 * not be watching.
 */
void drupe_note_request(void)
{
	struct drupe_cpu *cpu = this_drupe_cpu();
	struct drupe_request *request = cpu->request;

	if (!request)
		return;
	cpu->request = NULL;
	request->next = READ_ONCE(cpu->inbox);
	/* Release: pairs with the acquire in accept_requests(). */
	while (!__atomic_compare_exchange_n(&cpu->inbox, &request->next,
					    request, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	__atomic_fetch_or(&cpu->pending, BIT(DRUPE_IRQ_CALL), __ATOMIC_SEQ_CST);
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
