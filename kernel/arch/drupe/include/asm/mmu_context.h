/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_MMU_CONTEXT_H
#define _ASM_DRUPE_MMU_CONTEXT_H

#ifdef CONFIG_MMU
#include <asm-generic/mm_hooks.h>

struct mm_struct;
struct task_struct;

static inline void switch_mm(struct mm_struct *prev, struct mm_struct *next,
			     struct task_struct *tsk)
{
}

#include <asm-generic/mmu_context.h>
#else
#include <asm-generic/nommu_context.h>
#endif

#endif /* _ASM_DRUPE_MMU_CONTEXT_H */
