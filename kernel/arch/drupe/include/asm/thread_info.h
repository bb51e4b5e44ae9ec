/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_THREAD_INFO_H
#define _ASM_DRUPE_THREAD_INFO_H

/*
 * What the kernel allocates for each task, and writes its end marker into.  No
 * task runs on it: the host supplies the stacks (&thread_struct.stack).
 */
#define THREAD_SIZE_ORDER	0
#define THREAD_SIZE		(4096 << THREAD_SIZE_ORDER)

#ifndef __ASSEMBLY__
struct thread_info {
	unsigned long	flags;
	int		preempt_count;
	int		cpu;
};

#define INIT_THREAD_INFO(tsk) { .preempt_count = INIT_PREEMPT_COUNT }
#endif /* !__ASSEMBLY__ */

/* As on every architecture: what a task must do before it leaves the kernel. */
#define TIF_SYSCALL_TRACE	0
#define TIF_NOTIFY_RESUME	1
#define TIF_SIGPENDING		2
#define TIF_NEED_RESCHED	3
#define TIF_RESTORE_SIGMASK	4
#define TIF_MEMDIE		5
#define TIF_NOTIFY_SIGNAL	6

#define _TIF_SYSCALL_TRACE	BIT(TIF_SYSCALL_TRACE)
#define _TIF_NOTIFY_RESUME	BIT(TIF_NOTIFY_RESUME)
#define _TIF_SIGPENDING		BIT(TIF_SIGPENDING)
#define _TIF_NEED_RESCHED	BIT(TIF_NEED_RESCHED)
#define _TIF_NOTIFY_SIGNAL	BIT(TIF_NOTIFY_SIGNAL)

#endif /* _ASM_DRUPE_THREAD_INFO_H */
