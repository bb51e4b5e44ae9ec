/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CPU_H
#define _ASM_DRUPE_CPU_H

/*
 * All state of a CPU, reached in one way.  There is one CPU; where there are
 * more, the accessor is what changes.
 */
#include <linux/types.h>

struct drupe_request;

/**
 * struct drupe_cpu - the state of one CPU
 * @pending: bitmap of &enum drupe_irq; set with an atomic OR by any host
 *	thread at any time, taken with an atomic exchange by the holder
 * @inbox: requests that any host thread has posted, the newest first, linked by
 *	&drupe_request.next; the holder takes the whole list
 * @request: the request this entry brings, or NULL; written by enter
 * @done: the completed request, with %DRUPE_LEAVE_DONE
 * @host_sp: stack pointer of the host thread inside enter
 * @kernel_sp: stack pointer of the machine while it is left
 * @current_task: the running task (current)
 * @irqs_off: interrupts are disabled
 * @leave: &enum drupe_leave of the last leave
 * @runnable: with %DRUPE_LEAVE_DONE: other tasks want to run
 * @stop: &enum drupe_stop, with %DRUPE_LEAVE_STOPPED
 * @cpu: number of this CPU
 * @stop_message: NUL-terminated panic message, with %DRUPE_STOP_PANIC
 *
 * All but @pending and @inbox belong to the thread that holds the CPU.  These
 * two, which others write, have a cache line to themselves.
 */
struct drupe_cpu {
	u64 pending __aligned(64);
	struct drupe_request *inbox;
	struct drupe_request *request __aligned(64);
	struct drupe_request *done;
	u64 host_sp;
	u64 kernel_sp;
	void *current_task;
	u64 irqs_off;
	u32 leave;
	u32 runnable;
	u32 stop;
	u32 cpu;
	const char *stop_message;
};

extern struct drupe_cpu drupe_cpus[];

static __always_inline struct drupe_cpu *this_drupe_cpu(void)
{
	return &drupe_cpus[0];
}

#endif /* _ASM_DRUPE_CPU_H */
