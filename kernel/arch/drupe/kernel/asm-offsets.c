// SPDX-License-Identifier: GPL-2.0
/* Structure offsets for entry.S. */
#include <linux/kbuild.h>
#include <linux/sched.h>
#include <asm/host.h>

int main(void)
{
	OFFSET(TASK_THREAD_SP, task_struct, thread.sp);
	OFFSET(CPU_REQUEST, drupe_cpu, request);
	OFFSET(CPU_HOST_SP, drupe_cpu, host_sp);
	OFFSET(CPU_KERNEL_SP, drupe_cpu, kernel_sp);
	OFFSET(CPU_CURRENT, drupe_cpu, current_task);
	OFFSET(CPU_LEAVE, drupe_cpu, leave);
	DEFINE(LEAVE_STOPPED, DRUPE_LEAVE_STOPPED);
	return 0;
}
