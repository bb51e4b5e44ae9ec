/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_TLBFLUSH_H
#define _ASM_DRUPE_TLBFLUSH_H

#ifdef CONFIG_MMU
#include <linux/mm_types.h>

void flush_tlb_kernel_range(unsigned long start, unsigned long end);

/* No user mappings: nothing of theirs is ever cached. */
static inline void flush_tlb_all(void)
{
}

static inline void flush_tlb_mm(struct mm_struct *mm)
{
}

static inline void flush_tlb_range(struct vm_area_struct *vma,
				   unsigned long start, unsigned long end)
{
}

static inline void flush_tlb_page(struct vm_area_struct *vma,
				  unsigned long addr)
{
}
#else
#include <asm-generic/tlbflush.h>
#endif

#endif /* _ASM_DRUPE_TLBFLUSH_H */
