/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PTRACE_H
#define _ASM_DRUPE_PTRACE_H

#include <uapi/asm/ptrace.h>

#ifndef __ASSEMBLY__
/*
 * No registers are ever saved here: all that core code wants to know of an
 * interrupt is whether it hit the kernel or a task that is parked outside.
 */
struct pt_regs {
	unsigned long ip;
	unsigned long sp;
	unsigned long user;
};

extern struct pt_regs drupe_user_regs, drupe_kernel_regs;

#define user_mode(regs)			((regs)->user)
#define instruction_pointer(regs)	((regs)->ip)
#define user_stack_pointer(regs)	((regs)->sp)
#define profile_pc(regs)		((regs)->ip)
#define current_pt_regs()		(&drupe_user_regs)

static inline void instruction_pointer_set(struct pt_regs *regs,
					   unsigned long val)
{
	regs->ip = val;
}

static inline long regs_return_value(struct pt_regs *regs)
{
	return 0;
}
#endif /* !__ASSEMBLY__ */

#endif /* _ASM_DRUPE_PTRACE_H */
