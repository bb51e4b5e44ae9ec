/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CACHEFLUSH_H
#define _ASM_DRUPE_CACHEFLUSH_H

#ifdef CONFIG_MMU
/* "Flushing" a new kernel mapping makes it real in the host's address space. */
void drupe_vmap_range(unsigned long start, unsigned long end);

#define flush_cache_vmap(start, end)		drupe_vmap_range(start, end)
#define flush_cache_vmap_early(start, end)	drupe_vmap_range(start, end)
#endif

#include <asm-generic/cacheflush.h>

#endif /* _ASM_DRUPE_CACHEFLUSH_H */
