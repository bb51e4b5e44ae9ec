/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PREEMPT_H
#define _ASM_DRUPE_PREEMPT_H

/*
 * cond_resched() is a poll point: whoever computes for long asks there whether
 * somebody else should run, and nobody else could tell, since interrupts are
 * polled too.
 */
#define should_resched generic_should_resched
#include <asm-generic/preempt.h>
#undef should_resched
#include <asm/irqflags.h>

static __always_inline bool should_resched(int preempt_offset)
{
	if (unlikely(READ_ONCE(this_drupe_cpu()->pending)) &&
	    preempt_count() == preempt_offset && !arch_irqs_disabled())
		drupe_poll_irqs();
	return generic_should_resched(preempt_offset);
}

#endif /* _ASM_DRUPE_PREEMPT_H */
