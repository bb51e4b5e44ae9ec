/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_VMALLOC_H
#define _ASM_DRUPE_VMALLOC_H

/* No huge vmalloc mappings: the host maps page by page anyway. */

#endif /* _ASM_DRUPE_VMALLOC_H */
