/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_IRQFLAGS_H
#define _ASM_DRUPE_IRQFLAGS_H

/*
 * Interrupts are polled: a host thread sets a bit in the CPU's pending word,
 * and whoever runs the CPU looks at it when interrupts become enabled, in
 * cpu_relax(), when idle and on every entry.  Nothing is ever interrupted
 * between two poll points.
 */
#ifndef __ASSEMBLY__
#include <linux/compiler.h>
#include <asm/cpu.h>

void drupe_poll_irqs(void);

static __always_inline unsigned long arch_local_save_flags(void)
{
	return this_drupe_cpu()->irqs_off;
}

static __always_inline void arch_local_irq_disable(void)
{
	this_drupe_cpu()->irqs_off = 1;
	barrier();
}

static __always_inline void arch_local_irq_restore(unsigned long flags)
{
	barrier();
	this_drupe_cpu()->irqs_off = flags;
	barrier();
	if (!flags && unlikely(READ_ONCE(this_drupe_cpu()->pending)))
		drupe_poll_irqs();
}

static __always_inline void arch_local_irq_enable(void)
{
	arch_local_irq_restore(0);
}

static __always_inline unsigned long arch_local_irq_save(void)
{
	unsigned long flags = arch_local_save_flags();

	arch_local_irq_disable();
	return flags;
}

static __always_inline int arch_irqs_disabled_flags(unsigned long flags)
{
	return flags != 0;
}

static __always_inline int arch_irqs_disabled(void)
{
	return arch_irqs_disabled_flags(arch_local_save_flags());
}
#endif /* !__ASSEMBLY__ */

#endif /* _ASM_DRUPE_IRQFLAGS_H */
