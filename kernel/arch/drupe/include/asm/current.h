/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CURRENT_H
#define _ASM_DRUPE_CURRENT_H

#ifndef __ASSEMBLY__
#include <asm/cpu.h>

struct task_struct;

#define get_current()	((struct task_struct *)this_drupe_cpu()->current_task)
#define current		get_current()
#endif /* !__ASSEMBLY__ */

#endif /* _ASM_DRUPE_CURRENT_H */
