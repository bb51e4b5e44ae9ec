/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_LINKAGE_H
#define _ASM_DRUPE_LINKAGE_H

#ifdef __ASSEMBLY__
/* As assembly of arch/x86 returns. */
#define RET	ret
#endif

#endif /* _ASM_DRUPE_LINKAGE_H */
