// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers: memory of the kernel's that the program may use.  Both see it at the
 * same address.
 *
 * Process 1 has one mapping over all of the RAM.  Its pages appear in there when
 * something pins them (get_user_pages()), and only those of buffers do.  So what
 * works with the pages of a program elsewhere works with a buffer here: direct
 * I/O, io_uring's rings and fixed buffers, MSG_ZEROCOPY, vmsplice(2).  Memory of
 * the program's own has no pages: these calls fail with %EFAULT.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <asm/machine.h>

#ifdef CONFIG_MMU
/* What is in page->private of a buffer's pages: its own address. */
static const struct vm_special_mapping buffers;

static void mark(void *start, size_t len, unsigned long private)
{
	void *page;

	for (page = start; page < start + len; page += PAGE_SIZE)
		set_page_private(virt_to_page(page), private);
}

static vm_fault_t buffer_fault(const struct vm_special_mapping *sm,
			       struct vm_area_struct *vma, struct vm_fault *vmf)
{
	struct page *page = virt_to_page(vmf->address);

	if (page_private(page) != (unsigned long)&buffers)
		return VM_FAULT_SIGBUS;
	return vmf_insert_page(vma, vmf->address, page);
}

static const struct vm_special_mapping buffers = {
	.name = "[buffers]",
	.fault = buffer_fault,
};

/**
 * drupe_map_buffers - give the current process the mapping
 *
 * Return: 0 or a negative errno.
 */
int drupe_map_buffers(void)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	mmap_write_lock(mm);
	vma = _install_special_mapping(mm, PAGE_OFFSET,
				       drupe_boot->memory_size,
				       VM_READ | VM_WRITE | VM_MAYREAD |
				       VM_MAYWRITE | VM_SHARED | VM_MAYSHARE |
				       VM_MIXEDMAP | VM_DONTCOPY | VM_DONTDUMP,
				       &buffers);
	mmap_write_unlock(mm);
	return PTR_ERR_OR_ZERO(vma);
}

static void unmap(void *start, size_t len)
{
	unsigned long addr = (unsigned long)start;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	mark(start, len, 0);
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma)
		zap_page_range_single(vma, addr, PAGE_ALIGN(len), NULL);
	mmap_read_unlock(mm);
}
#endif

/**
 * drupe_pages_alloc - allocate a buffer
 * @len: bytes, not 0
 *
 * Return: its address, page aligned, or NULL.
 */
void *drupe_pages_alloc(size_t len)
{
	/* Who asks can do with an error: nothing has to die for it. */
	void *start = alloc_pages_exact(len, GFP_KERNEL | __GFP_NOWARN |
					     __GFP_RETRY_MAYFAIL);

#ifdef CONFIG_MMU
	if (start)
		mark(start, len, (unsigned long)&buffers);
#endif
	return start;
}

/**
 * drupe_pages_free - free a buffer
 * @start: what drupe_pages_alloc() returned
 * @len: what it was given
 *
 * Pages that are pinned stay until they are not.
 */
void drupe_pages_free(void *start, size_t len)
{
#ifdef CONFIG_MMU
	unmap(start, len);
#endif
	free_pages_exact(start, len);
}
