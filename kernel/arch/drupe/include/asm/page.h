/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PAGE_H
#define _ASM_DRUPE_PAGE_H

#include <linux/const.h>

#define PAGE_SHIFT	12
#define PAGE_SIZE	(_AC(1, UL) << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))

#ifndef __ASSEMBLY__
#include <linux/string.h>
#include <linux/types.h>

struct page;

#define clear_page(page)			memset((page), 0, PAGE_SIZE)
#define copy_page(to, from)			memcpy((to), (from), PAGE_SIZE)
#define clear_user_page(page, vaddr, pg)	clear_page(page)
#define copy_user_page(to, from, vaddr, pg)	copy_page(to, from)

typedef struct { unsigned long pte; } pte_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct { unsigned long pgd; } pgd_t;
typedef struct { unsigned long pgprot; } pgprot_t;
typedef struct page *pgtable_t;

#define pte_val(x)	((x).pte)
#define pmd_val(x)	((x).pmd)
#define pgd_val(x)	((x).pgd)
#define pgprot_val(x)	((x).pgprot)
#define __pte(x)	((pte_t) { (x) })
#define __pmd(x)	((pmd_t) { (x) })
#define __pgd(x)	((pgd_t) { (x) })
#define __pgprot(x)	((pgprot_t) { (x) })

#ifdef CONFIG_MMU
typedef struct { unsigned long pud; } pud_t;

#define pud_val(x)	((x).pud)
#define __pud(x)	((pud_t) { (x) })
#endif

/*
 * The image lies at the base of RAM and page frame 0 is its first page, so
 * that virt_to_page() works on static data too.
 */
extern char _text[];
extern unsigned long max_mapnr;

#define PAGE_OFFSET	((unsigned long)_text)
#define __pa(x)		((unsigned long)(x) - PAGE_OFFSET)
#define __va(x)		((void *)((unsigned long)(x) + PAGE_OFFSET))
#define virt_to_pfn(x)	(__pa(x) >> PAGE_SHIFT)
#define pfn_to_virt(x)	__va((unsigned long)(x) << PAGE_SHIFT)
#define virt_to_page(x)	pfn_to_page(virt_to_pfn(x))
#define page_to_virt(x)	pfn_to_virt(page_to_pfn(x))
#define page_to_phys(x)	((phys_addr_t)page_to_pfn(x) << PAGE_SHIFT)
#define phys_to_page(x)	pfn_to_page((x) >> PAGE_SHIFT)
#define virt_addr_valid(x)	(virt_to_pfn(x) < max_mapnr)
#endif /* !__ASSEMBLY__ */

#define VM_DATA_DEFAULT_FLAGS	VM_DATA_FLAGS_TSK_EXEC

#include <asm-generic/memory_model.h>
#include <asm-generic/getorder.h>

#endif /* _ASM_DRUPE_PAGE_H */
