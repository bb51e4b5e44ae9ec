// SPDX-License-Identifier: GPL-2.0
/*
 * The vmalloc area: what the page tables of init_mm say is made true in the
 * host's address space.
 */
#include <linux/cacheflush.h>
#include <linux/mm.h>
#include <linux/pgalloc.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <asm/machine.h>
#include <asm/tlbflush.h>

pgd_t swapper_pg_dir[PTRS_PER_PGD] __page_aligned_bss;
unsigned long drupe_vmalloc_start, drupe_vmalloc_end;

static pgprot_t protection_map[16] = { [0 ... 15] = PAGE_SHARED };
DECLARE_VM_GET_PAGE_PROT

pgd_t *pgd_alloc(struct mm_struct *mm)
{
	return (pgd_t *)__get_free_page(GFP_KERNEL | __GFP_ZERO);
}

/* Who wants to map a page that a disk fills at the moment. */
static DECLARE_WAIT_QUEUE_HEAD(disk_wait);

/**
 * drupe_vmap_disk_done - requests to disks are complete
 *
 * Any context.
 */
void drupe_vmap_disk_done(void)
{
	wake_up_all(&disk_wait);
}

static void map_pages(unsigned long va, phys_addr_t pa, size_t len)
{
	s64 ret;

	wait_event(disk_wait, (ret = drupe_map(va, pa, len)) != -EAGAIN);
	if (ret)
		panic("vmap: pages that are no RAM");
}

/**
 * drupe_vmap_range - map a range of the vmalloc area at the host
 * @start: first address
 * @end: address behind the last one
 *
 * Pages that follow each other in memory too take one host mapping.  Whether
 * the host has room for it is its own affair: it can bring a mapping back when
 * it is touched.  Process context, may sleep.
 */
void drupe_vmap_range(unsigned long start, unsigned long end)
{
	unsigned long va = start, len = 0;
	phys_addr_t pa = 0, next;
	pte_t *pte;

	for (; start < end; start += PAGE_SIZE) {
		pte = virt_to_kpte(start);
		if (!pte || !pte_present(*pte))
			continue;
		next = PFN_PHYS(pte_pfn(*pte));
		if (len && va + len == start && pa + len == next) {
			len += PAGE_SIZE;
			continue;
		}
		if (len)
			map_pages(va, pa, len);
		va = start;
		pa = next;
		len = PAGE_SIZE;
	}
	if (len)
		map_pages(va, pa, len);
}

/*
 * Called for ranges that are about to be used again, many unmappings at a
 * time (mm/vmalloc.c, lazy purging): from the first to the last of them, with
 * mappings in between that are in use and stay.
 */
void flush_tlb_kernel_range(unsigned long start, unsigned long end)
{
	unsigned long va;

	start = max(start, VMALLOC_START);
	end = min(end, VMALLOC_END);
	for (va = start; va < end; va += PAGE_SIZE) {
		if (!vmalloc_to_page((void *)va))
			continue;
		if (start < va)
			drupe_unmap(start, va - start);
		start = va + PAGE_SIZE;
	}
	if (start < end)
		drupe_unmap(start, end - start);
}
