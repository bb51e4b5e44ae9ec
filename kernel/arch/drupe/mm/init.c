// SPDX-License-Identifier: GPL-2.0
/*
 * Memory: the image, and the RAM behind it, are one range that begins at page
 * frame 0.
 */
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <asm/machine.h>
#include <asm/sections.h>

unsigned long empty_zero_page[PAGE_SIZE / sizeof(unsigned long)]
	__page_aligned_bss;

/**
 * drupe_memory_init - tell the kernel what memory there is
 */
void __init drupe_memory_init(void)
{
	unsigned long zones[MAX_NR_ZONES] = { };
	unsigned long size = drupe_boot->memory_size;

#ifdef CONFIG_MMU
	drupe_vmalloc_start = PAGE_OFFSET + size;
	drupe_vmalloc_end = drupe_vmalloc_start + drupe_boot->vmalloc_size;
#endif
	memblock_add(0, size);
	memblock_reserve(0, PAGE_ALIGN(__pa(_end)));
	min_low_pfn = 0;
	max_low_pfn = size >> PAGE_SHIFT;
	max_pfn = max_low_pfn;
	high_memory = __va(size);
	zones[ZONE_NORMAL] = max_pfn;
	free_area_init(zones);
}

void __init mem_init(void)
{
	max_mapnr = max_pfn;
	/* What nobody uses any more is not to be in a snapshot. */
	if (drupe_boot->flags & DRUPE_BOOT_SNAPSHOT)
		static_branch_enable(&init_on_free);
	memblock_free_all();
}

/*
 * The image is a private mapping of a file, the RAM a shared one of memory:
 * pages of the image must not get into the allocator, they could not be
 * mapped a second time by vmap().
 */
void free_initmem(void)
{
}
