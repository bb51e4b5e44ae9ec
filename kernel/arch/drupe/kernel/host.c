// SPDX-License-Identifier: GPL-2.0
/*
 * The boundary: the entry point of the image, and one function for each host
 * operation.
 */
#include <linux/console.h>
#include <linux/extable.h>
#include <linux/printk.h>
#include <linux/sched/task.h>
#include <asm/machine.h>
#include <asm/sections.h>

const struct drupe_boot *drupe_boot;

struct drupe_cpu drupe_cpus[1] = {
	{ .current_task = &init_task, .irqs_off = 1 },
};

/* The layouts, as numbers that crates/abi/src/layout.rs asserts too. */
static_assert(sizeof(struct drupe_request) == 80);
static_assert(offsetof(struct drupe_request, task) == 56);
static_assert(offsetof(struct drupe_request, ret) == 64);
static_assert(offsetof(struct drupe_request, next) == 72);
static_assert(sizeof(struct drupe_cpu) == 192);
static_assert(offsetof(struct drupe_cpu, inbox) == 8);
static_assert(offsetof(struct drupe_cpu, request) == 64);
static_assert(offsetof(struct drupe_cpu, host_sp) == 80);
static_assert(offsetof(struct drupe_cpu, leave) == 112);
static_assert(offsetof(struct drupe_cpu, stop_message) == 128);
static_assert(sizeof(struct drupe_iovec) == 16);
static_assert(sizeof(struct drupe_io) == 48);
static_assert(offsetof(struct drupe_io, iov) == 32);
static_assert(sizeof(struct drupe_frame) == 24);
static_assert(offsetof(struct drupe_frame, iov) == 16);
static_assert(sizeof(struct drupe_host_ops) == 112);
static_assert(sizeof(struct drupe_boot) == 88);
static_assert(offsetof(struct drupe_boot, seed) == 48);
static_assert(sizeof(struct drupe_extable_entry) == 8);
static_assert(sizeof(struct exception_table_entry) == 8);
static_assert(sizeof(struct drupe_fault) == 32);
static_assert(sizeof(struct drupe_image) == 96);
static_assert(offsetof(struct drupe_image, abandon) == 64);

#define drupe_call(op, a, b, c)						\
	drupe_call_host(this_drupe_cpu(), drupe_boot->ops->op,		\
			(u64)drupe_boot->ctx, (u64)(a), (u64)(b), (u64)(c))

u64 drupe_clock(void)
{
	return drupe_call(clock, 0, 0, 0);
}

s64 drupe_wall_clock(void)
{
	return drupe_call(wall_clock, 0, 0, 0);
}

void drupe_console_write(const char *text, unsigned int len)
{
	drupe_call(console_write, text, len, 0);
}

void drupe_timer_set(u64 deadline)
{
	drupe_call(timer_set, this_drupe_cpu()->cpu, deadline, 0);
}

s64 drupe_map(unsigned long va, phys_addr_t pa, size_t len)
{
	return drupe_call(map, va, pa, len);
}

void drupe_unmap(unsigned long va, size_t len)
{
	drupe_call(unmap, va, len, 0);
}

void *drupe_stack_alloc(void)
{
	return (void *)drupe_call(stack_alloc, 0, 0, 0);
}

void drupe_stack_free(void *stack)
{
	drupe_call(stack_free, stack, 0, 0);
}

bool drupe_disk_submit(struct drupe_io *io)
{
	/* Only the low byte of a bool that is returned means anything. */
	return (u8)drupe_call(disk_submit, this_drupe_cpu()->cpu, io, 0);
}

struct drupe_io *drupe_disk_reap(void)
{
	return (struct drupe_io *)drupe_call(disk_reap, this_drupe_cpu()->cpu,
					     0, 0);
}

u32 drupe_link_send(u32 link, const struct drupe_frame *frames, u32 count)
{
	return drupe_call(link_send, link, frames, count);
}

s64 drupe_link_receive(u32 link, struct drupe_frame *frame)
{
	return drupe_call(link_receive, link, frame, 0);
}

u64 drupe_link_news(void)
{
	return drupe_call(link_news, 0, 0, 0);
}

void drupe_notify(u64 cookie)
{
	drupe_call(notify, cookie, 0, 0);
}

/* The end: leave, and never be entered again. */
void __noreturn drupe_stop(enum drupe_stop stop, const char *message)
{
	struct drupe_cpu *cpu = this_drupe_cpu();

	console_flush_on_panic(CONSOLE_FLUSH_PENDING);
	cpu->stop = stop;
	cpu->stop_message = message;
	drupe_leave(cpu, DRUPE_LEAVE_STOPPED);
	__builtin_trap();
}

__visible s64 drupe_entry(const struct drupe_boot *boot,
			  struct drupe_image *image)
{
	struct drupe_cpu *cpu = this_drupe_cpu();
	u64 *sp;

	if (boot->abi_version != DRUPE_ABI_VERSION || boot->cpu_count != 1)
		return -EINVAL;
	drupe_boot = boot;
	init_task.thread.stack = boot->ops->stack_alloc(boot->ctx);
	if (!init_task.thread.stack)
		return -ENOMEM;

	drupe_panic_init();

	/* What drupe_enter() pops: a frame pointer and where to go on. */
	sp = (u64 *)((char *)init_task.thread.stack - 64);
	*--sp = (u64)drupe_boot_start;
	*--sp = 0;
	cpu->kernel_sp = (u64)sp;

	*image = (struct drupe_image) {
		.abi_version = DRUPE_ABI_VERSION,
		.cpu_count = 1,
		.cpus = drupe_cpus,
		.enter = drupe_enter,
		.text_start = (u64)_text,
		.text_end = (u64)_etext,
		.extable = __start___ex_table,
		.extable_end = __stop___ex_table,
		.fault = drupe_fault,
		.abandon = drupe_abandon,
		.boot = &drupe_boot,
		.secrets = (u64)drupe_secrets,
		.secrets_end = (u64)drupe_secrets_end,
	};
	return 0;
}
