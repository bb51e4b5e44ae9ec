/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every change of stacks: host thread to machine (drupe_enter), machine to
 * host thread (drupe_leave() in asm/machine.h), task to task (__switch_to), and a
 * visit of the kernel on the host's stack (drupe_call_host).
 */
#include <linux/init.h>
#include <linux/linkage.h>
#include <generated/asm-offsets.h>

	.macro	push_callee_saved
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.endm

	.macro	pop_callee_saved
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.endm

	.text

/*
 * u32 drupe_enter(struct drupe_cpu *cpu, struct drupe_request *request)
 *
 * Goes on where the machine was left.  What drupe_leave() pushed is popped here
 * and its address jumped to, not returned to, so that the processor's return
 * predictor still has our caller on top when the machine is left by "ret".
 */
SYM_FUNC_START(drupe_enter)
	push_callee_saved
	mov	%rsi, CPU_REQUEST(%rdi)
	mov	%rsp, CPU_HOST_SP(%rdi)
	mov	CPU_KERNEL_SP(%rdi), %rsp
	pop	%rbp
	pop	%rcx
	jmp	*%rcx
SYM_FUNC_END(drupe_enter)

/*
 * void drupe_abandon(struct drupe_cpu *cpu)
 *
 * The host's half of drupe_leave(), for a kernel that will not be entered again.
 */
SYM_FUNC_START(drupe_abandon)
	movl	$LEAVE_STOPPED, CPU_LEAVE(%rdi)
	movl	$LEAVE_STOPPED, %eax
	mov	CPU_HOST_SP(%rdi), %rsp
	pop_callee_saved
	ret
SYM_FUNC_END(drupe_abandon)

/*
 * u64 drupe_call_host(struct drupe_cpu *cpu, void *fn, u64 a, u64 b, u64 c,
 *		       u64 d)
 *
 * Calls fn(a, b, c, d) on the stack of the host thread that entered, which
 * lies unused below what drupe_enter pushed: kernel stacks are small, and
 * what a host operation needs is the host's business.
 */
SYM_FUNC_START(drupe_call_host)
	push	%rbp
	mov	%rsp, %rbp
	mov	CPU_HOST_SP(%rdi), %rsp
	and	$-16, %rsp
	mov	%rsi, %rax
	mov	%rdx, %rdi
	mov	%rcx, %rsi
	mov	%r8, %rdx
	mov	%r9, %rcx
	call	*%rax
	mov	%rbp, %rsp
	pop	%rbp
	ret
SYM_FUNC_END(drupe_call_host)

/*
 * struct task_struct *__switch_to(struct task_struct *prev,
 *				   struct task_struct *next)
 */
SYM_FUNC_START(__switch_to)
	push_callee_saved
	mov	%rsp, TASK_THREAD_SP(%rdi)
	mov	TASK_THREAD_SP(%rsi), %rsp
	mov	%rsi, drupe_cpus + CPU_CURRENT(%rip)
	mov	%rdi, %rax
	pop_callee_saved
	ret
SYM_FUNC_END(__switch_to)

/* First thing a new task does; %rax is what __switch_to returned. */
SYM_CODE_START(drupe_ret_from_fork)
	mov	%rax, %rdi
	call	drupe_task_start
	ud2
SYM_CODE_END(drupe_ret_from_fork)

/*
 * First thing a kernel does; it may refer to what is gone later.  The registers
 * are the host's, and would stay on the stack of the idle task.
 */
	__REF
SYM_CODE_START(drupe_boot_start)
	xor	%ebx, %ebx
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	call	start_kernel
	ud2
SYM_CODE_END(drupe_boot_start)
