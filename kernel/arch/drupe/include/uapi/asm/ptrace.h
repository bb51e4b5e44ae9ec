/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_ASM_DRUPE_PTRACE_H
#define _UAPI_ASM_DRUPE_PTRACE_H

/* There is no user mode; the structure is here because others embed it. */
struct user_pt_regs {
	unsigned long ip;
	unsigned long sp;
};

#endif /* _UAPI_ASM_DRUPE_PTRACE_H */
