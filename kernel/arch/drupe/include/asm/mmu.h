/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_MMU_H
#define _ASM_DRUPE_MMU_H

#ifdef CONFIG_MMU
typedef struct {
	/* Page tables are software only: nothing to keep per address space. */
} mm_context_t;
#else
#include <asm-generic/mmu.h>
#endif

#endif /* _ASM_DRUPE_MMU_H */
