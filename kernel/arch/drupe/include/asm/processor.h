/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_PROCESSOR_H
#define _ASM_DRUPE_PROCESSOR_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <asm/ptrace.h>
#include <asm/vdso/processor.h>

struct drupe_request;
struct task_struct;

/* The host program's addresses: all that an x86-64 process can map. */
#define TASK_SIZE		BIT(47)
#define TASK_SIZE_MAX		TASK_SIZE
#define STACK_TOP		TASK_SIZE
#define STACK_TOP_MAX		TASK_SIZE
#define TASK_UNMAPPED_BASE	PAGE_ALIGN(TASK_SIZE / 3)

/**
 * struct thread_struct - what the architecture keeps of a task
 * @sp: stack pointer while it is switched out
 * @stack: end of the stack it runs on, which grows down from there; the host's
 *	(@stack_alloc of asm/host.h); NULL in a task that has none yet
 * @fn: kernel thread function, or NULL for a host task
 * @arg: its argument
 * @request: what the host task has been asked to do and has not completed
 * @interrupted: the call it is in, or its next one, is to end with %EINTR
 * @refused: not 0: its allocations may fail until its call is over (mm/oom.c)
 * @refused_work: ends that
 * @reserve: it may use the memory reserve for a while (mm/oom.c)
 */
struct thread_struct {
	unsigned long sp;
	void *stack;
	int (*fn)(void *arg);
	void *arg;
	struct drupe_request *request;
	struct callback_head refused_work;
	unsigned int refused;
	bool interrupted;
	bool reserve;
};

#define INIT_THREAD		{ }
#define task_pt_regs(tsk)	(&drupe_user_regs)
#define KSTK_EIP(tsk)		0UL
#define KSTK_ESP(tsk)		0UL

static inline void start_thread(struct pt_regs *regs, unsigned long ip,
				unsigned long sp)
{
}

static inline unsigned long __get_wchan(struct task_struct *tsk)
{
	return 0;
}

#endif /* _ASM_DRUPE_PROCESSOR_H */
