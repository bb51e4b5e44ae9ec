/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_FPU_API_H
#define _ASM_DRUPE_FPU_API_H

/*
 * Kernel code owns the vector registers, like any function of the program: a
 * call clobbers them, and tasks switch and interrupts come only within calls.
 * So there is nothing to save.
 */
#include <linux/types.h>
#include <asm/cpufeature.h>

#define XFEATURE_MASK_SSE	BIT(1)
#define XFEATURE_MASK_YMM	BIT(2)
#define XFEATURE_MASK_AVX512	GENMASK(7, 5)

static inline void kernel_fpu_begin(void)
{
}

static inline void kernel_fpu_end(void)
{
}

static inline bool irq_fpu_usable(void)
{
	return true;
}

#endif /* _ASM_DRUPE_FPU_API_H */
