/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_VDSO_PROCESSOR_H
#define _ASM_DRUPE_VDSO_PROCESSOR_H

#ifndef __ASSEMBLY__
/*
 * A function, and one that takes interrupts: code that waits for jiffies or
 * for a flag which an interrupt sets would spin for ever otherwise.
 */
void cpu_relax(void);
#endif /* !__ASSEMBLY__ */

#endif /* _ASM_DRUPE_VDSO_PROCESSOR_H */
