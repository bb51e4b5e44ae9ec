/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_MACHINE_H
#define _ASM_DRUPE_MACHINE_H

/*
 * The machine: what the files of this architecture tell each other.  The
 * host's view is asm/host.h.
 */
#include <linux/compiler.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <asm/cpu.h>
#include <asm/host.h>

struct drupe_watch;
struct mmsghdr;
struct sockaddr;
struct task_struct;
struct user_msghdr;

extern const struct drupe_boot *drupe_boot;

/* Of mm/shrinker.c, which no header declares. */
extern struct list_head shrinker_list;

/* Of the linker script. */
extern const struct drupe_extable_entry __start___ex_table[];
extern const struct drupe_extable_entry __stop___ex_table[];

extern char drupe_secrets[], drupe_secrets_end[];

/* kernel/entry.S */
u32 drupe_enter(struct drupe_cpu *cpu, struct drupe_request *request);
void drupe_abandon(struct drupe_cpu *cpu);
u64 drupe_call_host(struct drupe_cpu *cpu, void *fn, u64 a, u64 b, u64 c,
		    u64 d);
void drupe_ret_from_fork(void);
void drupe_boot_start(void);
void drupe_task_start(struct task_struct *prev);

/* kernel/host.c */
void drupe_timer_set(u64 deadline);
void drupe_console_write(const char *text, unsigned int len);
s64 drupe_map(unsigned long va, phys_addr_t pa, size_t len);
void drupe_unmap(unsigned long va, size_t len);
void *drupe_stack_alloc(void);
void drupe_stack_free(void *stack);
bool drupe_disk_submit(struct drupe_io *io);
struct drupe_io *drupe_disk_reap(void);
u32 drupe_link_send(u32 link, const struct drupe_frame *frames, u32 count);
s64 drupe_link_receive(u32 link, struct drupe_frame *frame);
u64 drupe_link_news(void);
void drupe_notify(u64 cookie);
u64 drupe_clock(void);
s64 drupe_wall_clock(void);
void __noreturn drupe_stop(enum drupe_stop stop, const char *message);

/* kernel/process.c: what the first entry brought; completed by process 1 */
extern struct drupe_request *drupe_boot_request;

/* kernel/request.c */
bool drupe_task_interrupt(struct task_struct *tsk,
			  struct drupe_request *request);
s64 drupe_do_request(struct drupe_request *request);

/* kernel/syscall.c */
s64 drupe_do_syscall(u64 nr, const u64 *args);

/* kernel/zerocopy.c */
long drupe_sendto(int fd, void __user *buf, size_t len, unsigned int flags,
		  struct sockaddr __user *addr, int addr_len);
long drupe_sendmsg(int fd, struct user_msghdr __user *umsg, unsigned int flags);
long drupe_sendmmsg(int fd, struct mmsghdr __user *umsg, unsigned int count,
		    unsigned int flags);

/* kernel/traps.c */
void drupe_fault(const struct drupe_fault *fault);

/* drivers/console.c */
void drupe_console_init(void);
void drupe_cpu_init(void);

/* mm/buffers.c */
#ifdef CONFIG_MMU
int drupe_map_buffers(void);
#else
static inline int drupe_map_buffers(void)
{
	return 0;
}
#endif
void *drupe_pages_alloc(size_t len);
void drupe_pages_free(void *start, size_t len);

/* mm/init.c */
void drupe_memory_init(void);
void drupe_panic_init(void);

#ifdef CONFIG_MMU
/* mm/vmap.c */
void drupe_vmap_disk_done(void);
#else
static inline void drupe_vmap_disk_done(void)
{
}
#endif

/* drivers/disk.c */
s64 drupe_disk_add(u32 number, u64 size, u32 block_size, u32 flags);
s64 drupe_disk_remove(u32 number);
#ifdef CONFIG_DRUPE_DISK
bool drupe_disk_wait(void);
#else
static inline bool drupe_disk_wait(void)
{
	return false;
}
#endif

/* drivers/link.c */
s64 drupe_link_add(u32 number, const u8 *mac, u32 mtu, u32 flags);
s64 drupe_link_remove(u32 number);

/* kernel/snapshot.c */
s64 drupe_freeze(void);
s64 drupe_thaw(const u32 *secrets, size_t count);

/* kernel/time.c */
void drupe_set_wall_clock(void);

/* kernel/watch.c */
s64 drupe_watch(int fd, u64 cookie);
void drupe_unwatch(struct drupe_watch *watch);

/**
 * drupe_leave - leave the machine: return from the drupe_enter() that runs it
 * @cpu: this CPU
 * @leave: what drupe_enter() returns
 *
 * Returns when the machine is entered again, maybe by another host thread,
 * which may have brought a request (&drupe_cpu.request).
 *
 * Inline, and the other half of drupe_enter(): nothing but the frame pointer
 * and the address to go on at is kept, the compiler saves what it needs.
 */
static __always_inline void drupe_leave(struct drupe_cpu *cpu, u32 leave)
{
	cpu->leave = leave;
	asm volatile("lea	1f(%%rip), %%rcx\n"
		     "push	%%rcx\n"
		     "push	%%rbp\n"
		     "mov	%%rsp, %c[kernel_sp](%%rdi)\n"
		     "mov	%c[leave](%%rdi), %%eax\n"
		     "mov	%c[host_sp](%%rdi), %%rsp\n"
		     "pop	%%r15\n"
		     "pop	%%r14\n"
		     "pop	%%r13\n"
		     "pop	%%r12\n"
		     "pop	%%rbx\n"
		     "pop	%%rbp\n"
		     "ret\n"
		     "1:\n"
		     : "+D" (cpu)
		     : [kernel_sp] "i" (offsetof(struct drupe_cpu, kernel_sp)),
		       [host_sp] "i" (offsetof(struct drupe_cpu, host_sp)),
		       [leave] "i" (offsetof(struct drupe_cpu, leave))
		     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10",
		       "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
		       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
		       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
		       "xmm15", "cc", "memory");
}

#endif /* _ASM_DRUPE_MACHINE_H */
