/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PGTABLE_MMU_H
#define _ASM_DRUPE_PGTABLE_MMU_H

/*
 * Page tables are a data structure only, in four levels of 512 entries; no
 * hardware walks them.  Those of init_mm's vmalloc area are mirrored to the
 * host when a range is "flushed" (cacheflush.h, mm/vmap.c).
 */
#include <asm-generic/pgtable-nop4d.h>

#define PMD_SHIFT		21
#define PUD_SHIFT		30
#define PGDIR_SHIFT		39
#define PMD_SIZE		BIT(PMD_SHIFT)
#define PMD_MASK		(~(PMD_SIZE - 1))
#define PUD_SIZE		BIT(PUD_SHIFT)
#define PUD_MASK		(~(PUD_SIZE - 1))
#define PGDIR_SIZE		BIT(PGDIR_SHIFT)
#define PGDIR_MASK		(~(PGDIR_SIZE - 1))
#define PTRS_PER_PTE		512
#define PTRS_PER_PMD		512
#define PTRS_PER_PUD		512
#define PTRS_PER_PGD		512
#define USER_PTRS_PER_PGD	256
#define PFN_PTE_SHIFT		PAGE_SHIFT

#define _PAGE_PRESENT		0x001UL
#define _PAGE_RW		0x002UL
#define _PAGE_USER		0x004UL
#define _PAGE_ACCESSED		0x020UL
#define _PAGE_DIRTY		0x040UL
#define _PAGE_PROTNONE		0x100UL
#define _PAGE_SPECIAL		0x200UL
#define _PAGE_SWP_EXCLUSIVE	0x400UL
#define _PAGE_TABLE \
	(_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY)
#define _PAGE_CHG_MASK \
	(PAGE_MASK | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_SPECIAL)

#define PAGE_NONE	__pgprot(_PAGE_PROTNONE | _PAGE_ACCESSED)
#define PAGE_READONLY	__pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED)
#define PAGE_COPY	PAGE_READONLY
#define PAGE_SHARED	__pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | \
				 _PAGE_RW)
#define PAGE_KERNEL	__pgprot(_PAGE_TABLE)

/* Right behind the RAM; setup_arch() sets them. */
extern unsigned long drupe_vmalloc_start, drupe_vmalloc_end;

#define VMALLOC_START	drupe_vmalloc_start
#define VMALLOC_END	drupe_vmalloc_end

extern pgd_t swapper_pg_dir[PTRS_PER_PGD];

#define set_pte(ptep, pte)	WRITE_ONCE(*(ptep), (pte))
#define set_pmd(pmdp, pmd)	WRITE_ONCE(*(pmdp), (pmd))
#define set_pud(pudp, pud)	WRITE_ONCE(*(pudp), (pud))
#define set_p4d(p4dp, p4d)	WRITE_ONCE(*(p4dp), (p4d))

#define pte_none(pte)		(!pte_val(pte))
#define pte_present(pte)	(pte_val(pte) & (_PAGE_PRESENT | _PAGE_PROTNONE))
#define pte_pfn(pte)		(pte_val(pte) >> PAGE_SHIFT)
#define pte_page(pte)		pfn_to_page(pte_pfn(pte))
#define pfn_pte(pfn, prot) \
	__pte(((unsigned long)(pfn) << PAGE_SHIFT) | pgprot_val(prot))
#define mk_pte(page, prot)	pfn_pte(page_to_pfn(page), prot)

#define pmd_none(pmd)		(!pmd_val(pmd))
#define pmd_present(pmd)	(pmd_val(pmd) & _PAGE_PRESENT)
#define pmd_clear(pmdp)		set_pmd(pmdp, __pmd(0))
#define pmd_pfn(pmd)		(pmd_val(pmd) >> PAGE_SHIFT)
#define pmd_page(pmd)		pfn_to_page(pmd_pfn(pmd))
#define pmd_page_vaddr(pmd)	((unsigned long)pfn_to_virt(pmd_pfn(pmd)))

#define pud_none(pud)		(!pud_val(pud))
#define pud_present(pud)	(pud_val(pud) & _PAGE_PRESENT)
#define pud_clear(pudp)		set_pud(pudp, __pud(0))
#define pud_pfn(pud)		(pud_val(pud) >> PAGE_SHIFT)
#define pud_page(pud)		pfn_to_page(pud_pfn(pud))
#define pud_pgtable(pud)	((pmd_t *)pfn_to_virt(pud_pfn(pud)))

#define p4d_none(p4d)		(!p4d_val(p4d))
#define p4d_present(p4d)	(p4d_val(p4d) & _PAGE_PRESENT)
#define p4d_clear(p4dp)		set_p4d(p4dp, __p4d(0))
#define p4d_pfn(p4d)		(p4d_val(p4d) >> PAGE_SHIFT)
#define p4d_page(p4d)		pfn_to_page(p4d_pfn(p4d))
#define p4d_pgtable(p4d)	((pud_t *)pfn_to_virt(p4d_pfn(p4d)))

#define pte_ERROR(e)	pr_err("bad pte %lx\n", pte_val(e))
#define pmd_ERROR(e)	pr_err("bad pmd %lx\n", pmd_val(e))
#define pud_ERROR(e)	pr_err("bad pud %lx\n", pud_val(e))
#define pgd_ERROR(e)	pr_err("bad pgd %lx\n", pgd_val(e))

static inline int pmd_bad(pmd_t pmd)
{
	return 0;
}

static inline int pud_bad(pud_t pud)
{
	return 0;
}

static inline int p4d_bad(p4d_t p4d)
{
	return 0;
}

static inline void pte_clear(struct mm_struct *mm, unsigned long addr,
			     pte_t *ptep)
{
	set_pte(ptep, __pte(0));
}

#define DRUPE_PTE_TEST(name, bit)					\
static inline int pte_##name(pte_t pte)					\
{									\
	return !!(pte_val(pte) & (bit));				\
}

#define DRUPE_PTE_SET(name, bit)					\
static inline pte_t pte_##name(pte_t pte)				\
{									\
	return __pte(pte_val(pte) | (bit));				\
}

#define DRUPE_PTE_CLEAR(name, bit)					\
static inline pte_t pte_##name(pte_t pte)				\
{									\
	return __pte(pte_val(pte) & ~(bit));				\
}

DRUPE_PTE_TEST(write, _PAGE_RW)
DRUPE_PTE_TEST(dirty, _PAGE_DIRTY)
DRUPE_PTE_TEST(young, _PAGE_ACCESSED)
DRUPE_PTE_TEST(special, _PAGE_SPECIAL)
DRUPE_PTE_TEST(swp_exclusive, _PAGE_SWP_EXCLUSIVE)
DRUPE_PTE_CLEAR(wrprotect, _PAGE_RW)
DRUPE_PTE_SET(mkwrite_novma, _PAGE_RW)
DRUPE_PTE_CLEAR(mkclean, _PAGE_DIRTY)
DRUPE_PTE_SET(mkdirty, _PAGE_DIRTY)
DRUPE_PTE_CLEAR(mkold, _PAGE_ACCESSED)
DRUPE_PTE_SET(mkyoung, _PAGE_ACCESSED)
DRUPE_PTE_SET(mkspecial, _PAGE_SPECIAL)
DRUPE_PTE_SET(swp_mkexclusive, _PAGE_SWP_EXCLUSIVE)
DRUPE_PTE_CLEAR(swp_clear_exclusive, _PAGE_SWP_EXCLUSIVE)

#undef DRUPE_PTE_TEST
#undef DRUPE_PTE_SET
#undef DRUPE_PTE_CLEAR

static inline pte_t pte_modify(pte_t pte, pgprot_t prot)
{
	return __pte((pte_val(pte) & _PAGE_CHG_MASK) | pgprot_val(prot));
}

#define __swp_type(x)		(((x).val >> 11) & 0x1f)
#define __swp_offset(x)		((x).val >> 16)
#define __swp_entry(type, offset) \
	((swp_entry_t) { (((type) & 0x1fUL) << 11) | ((offset) << 16) })
#define __pte_to_swp_entry(pte)	((swp_entry_t) { pte_val(pte) })
#define __swp_entry_to_pte(x)	((pte_t) { (x).val })

struct vm_fault;
struct vm_area_struct;

static inline void update_mmu_cache_range(struct vm_fault *vmf,
					  struct vm_area_struct *vma,
					  unsigned long addr, pte_t *ptep,
					  unsigned int nr)
{
}

static inline void update_mmu_cache(struct vm_area_struct *vma,
				    unsigned long addr, pte_t *ptep)
{
}

#endif /* _ASM_DRUPE_PGTABLE_MMU_H */
