/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CPU_H
#define _ASM_DRUPE_CPU_H

/*
 * All state of a CPU, reached in one way.  There is one CPU; where there are
 * more, this accessor is what changes.
 */
#include <asm/host.h>

extern struct drupe_cpu drupe_cpus[];

static __always_inline struct drupe_cpu *this_drupe_cpu(void)
{
	return &drupe_cpus[0];
}

#endif /* _ASM_DRUPE_CPU_H */
