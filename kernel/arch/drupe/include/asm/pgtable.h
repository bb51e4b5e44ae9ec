/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PGTABLE_H
#define _ASM_DRUPE_PGTABLE_H

#include <asm/page.h>

extern unsigned long empty_zero_page[];

#define ZERO_PAGE(vaddr)	(virt_to_page(empty_zero_page))

#define pgprot_noncached(prot)		(prot)
#define pgprot_writecombine(prot)	(prot)

#ifdef CONFIG_MMU
#include <asm/pgtable-mmu.h>
#else
#include <asm-generic/pgtable-nopud.h>

#define pgd_present(pgd)	1
#define pgd_none(pgd)		0
#define pgd_bad(pgd)		0
#define pgd_clear(pgd)		do { } while (0)
#define pmd_offset(pud, addr)	((pmd_t *)NULL)
#define swapper_pg_dir		((pgd_t *)NULL)

#define PAGE_NONE		__pgprot(0)
#define PAGE_SHARED		__pgprot(0)
#define PAGE_COPY		__pgprot(0)
#define PAGE_READONLY		__pgprot(0)
#define PAGE_KERNEL		__pgprot(0)

#define VMALLOC_START		0UL
#define VMALLOC_END		(~0UL)

#define __swp_type(x)			0
#define __swp_offset(x)			0
#define __swp_entry(type, offset)	((swp_entry_t) { (type) | ((offset) << 7) })
#define __pte_to_swp_entry(pte)		((swp_entry_t) { pte_val(pte) })
#define __swp_entry_to_pte(x)		((pte_t) { (x).val })
#endif

#endif /* _ASM_DRUPE_PGTABLE_H */
