/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the kernel image and the program that hosts it.
 *
 * This is the only boundary.  crates/abi mirrors every type in Rust and both
 * sides assert the layouts.  Units are bytes and nanoseconds unless a name
 * says otherwise; errors are negative errno values; every pointer is an
 * address in the one address space that image and host share.
 *
 * "Holding the CPU" means: being the one host thread that may be inside
 * &drupe_image.enter for that CPU.  Every host operation is called by the
 * thread that holds the CPU, on that thread's own stack (the image switches
 * away from the kernel stack first).
 *
 * The state of a CPU, which all of the kernel looks at, is in asm/cpu.h.
 */
#ifndef _ASM_DRUPE_HOST_H
#define _ASM_DRUPE_HOST_H

#include <linux/types.h>
#include <asm/cpu.h>

/* Raised whenever anything in this file or in asm/cpu.h changes. */
#define DRUPE_ABI_VERSION	5

/* No deadline: the argument of @timer_set that turns the timer off. */
#define DRUPE_NO_DEADLINE	(~0ULL)

/*
 * Bytes of a task's stack.  Signal handlers of the program run on it too, with
 * frames of up to 11 KiB; what is never touched costs nothing.
 */
#define DRUPE_STACK_SIZE	(124 << 10)

/**
 * enum drupe_leave - why &drupe_image.enter returned
 * @DRUPE_LEAVE_IDLE: no task is runnable; only an interrupt can change that
 * @DRUPE_LEAVE_DONE: &drupe_cpu.done is complete; the machine has let go of it
 * @DRUPE_LEAVE_YIELD: %DRUPE_IRQ_YIELD was seen; a task is in mid-computation
 * @DRUPE_LEAVE_STOPPED: the kernel halted or died; it must not be entered again
 */
enum drupe_leave {
	DRUPE_LEAVE_IDLE = 0,
	DRUPE_LEAVE_DONE = 1,
	DRUPE_LEAVE_YIELD = 2,
	DRUPE_LEAVE_STOPPED = 3,
};

/**
 * enum drupe_stop - why a kernel stopped, in &drupe_cpu.stop
 * @DRUPE_STOP_NONE: it has not
 * @DRUPE_STOP_HALT: reboot(2), %LINUX_REBOOT_CMD_HALT
 * @DRUPE_STOP_POWER_OFF: reboot(2), %LINUX_REBOOT_CMD_POWER_OFF
 * @DRUPE_STOP_RESTART: reboot(2), %LINUX_REBOOT_CMD_RESTART
 * @DRUPE_STOP_PANIC: panic(), BUG() or a fault without an exception table entry
 */
enum drupe_stop {
	DRUPE_STOP_NONE = 0,
	DRUPE_STOP_HALT = 1,
	DRUPE_STOP_POWER_OFF = 2,
	DRUPE_STOP_RESTART = 3,
	DRUPE_STOP_PANIC = 4,
};

/**
 * enum drupe_irq - interrupt lines: bits of &drupe_cpu.pending
 * @DRUPE_IRQ_CALL: &drupe_cpu.inbox has something; also raised by the image
 *	itself when an entry brings a request to a CPU that is not parked in the
 *	request's own task
 * @DRUPE_IRQ_YIELD: leave at the next poll point (%DRUPE_LEAVE_YIELD)
 * @DRUPE_IRQ_TIMER: the deadline of @timer_set has passed
 * @DRUPE_IRQ_DISK: @disk_reap has something
 * @DRUPE_IRQ_LINK: @link_news has something
 */
enum drupe_irq {
	DRUPE_IRQ_CALL = 0,
	DRUPE_IRQ_YIELD = 1,
	DRUPE_IRQ_TIMER = 2,
	DRUPE_IRQ_DISK = 3,
	DRUPE_IRQ_LINK = 4,
};

/**
 * enum drupe_op - requests that are not system calls, in &drupe_request.nr
 * @DRUPE_OP_BOOT: completed when the kernel has booted; brought by the first
 *	entry, which starts start_kernel()
 * @DRUPE_OP_TASK_NEW: make a host task; args: name (at most 15 bytes and NUL);
 *	returns its handle for &drupe_request.task
 * @DRUPE_OP_TASK_EXIT: end the request's own task
 * @DRUPE_OP_TASK_INTERRUPT: belongs to no task, and is done as an interrupt;
 *	args: handle of a host task, address of a request or 0; the call that the
 *	task is in ends with %EINTR if it can be interrupted (signal(7)); 0: or
 *	its next one if it is in none; else: nothing happens unless it is in that
 *	request, and one that waits for its turn ends with %EINTR at once
 * @DRUPE_OP_DISK_ADD: args: disk number, size in bytes, logical block size,
 *	flags (&enum drupe_disk_flags); the disk is /dev/vd[a-z], its
 *	partitions have been read when the request completes
 * @DRUPE_OP_DISK_REMOVE: args: disk number; %EBUSY while it is open
 * @DRUPE_OP_PAGES_ALLOC: args: length; returns the address of contiguous
 *	kernel memory, page aligned, which system calls can pin (with an MMU)
 * @DRUPE_OP_PAGES_FREE: args: address, length; what is pinned lives on until it
 *	is not
 * @DRUPE_OP_PREAD: args: file descriptor, address in kernel memory, length,
 *	file offset; pread(2), whose O_DIRECT needs no MMU
 * @DRUPE_OP_PWRITE: like %DRUPE_OP_PREAD, pwrite(2)
 * @DRUPE_OP_CRASH: args: &enum drupe_crash; breaks the kernel, for tests
 * @DRUPE_OP_LINK_ADD: args: link number, address of 6 bytes of hardware address
 *	or 0, MTU in bytes, flags (&enum drupe_link_flags); the link is an
 *	Ethernet device in the task's network namespace; returns its index
 * @DRUPE_OP_LINK_REMOVE: args: link number
 * @DRUPE_OP_WATCH: args: file descriptor, cookie; from now on @notify is called
 *	whenever the file becomes ready, and once if it is; returns a handle;
 *	%EPERM for files that cannot be watched
 * @DRUPE_OP_UNWATCH: args: handle; @notify is not called for it any more
 * @DRUPE_OP_FREEZE: to process 1 of a kernel booted with %DRUPE_BOOT_SNAPSHOT:
 *	take apart what depends on the address of the image; to be repeated when
 *	the machine is idle again, nothing else may be asked then
 * @DRUPE_OP_THAW: to process 1 of a frozen kernel, wherever its memory is now:
 *	put that together again, with time and random numbers of &drupe_boot;
 *	the host has what the other kernel had asked it to @map;
 *	args: address and number of the secrets (u32) to be drawn again: their
 *	offsets from the base (u32)
 */
enum drupe_op {
	DRUPE_OP_BASE = 0x10000,
	DRUPE_OP_BOOT = DRUPE_OP_BASE,
	DRUPE_OP_TASK_NEW,
	DRUPE_OP_TASK_EXIT,
	DRUPE_OP_TASK_INTERRUPT,
	DRUPE_OP_DISK_ADD,
	DRUPE_OP_DISK_REMOVE,
	DRUPE_OP_PAGES_ALLOC,
	DRUPE_OP_PAGES_FREE,
	DRUPE_OP_PREAD,
	DRUPE_OP_PWRITE,
	DRUPE_OP_CRASH,
	DRUPE_OP_LINK_ADD,
	DRUPE_OP_LINK_REMOVE,
	DRUPE_OP_WATCH,
	DRUPE_OP_UNWATCH,
	DRUPE_OP_FREEZE,
	DRUPE_OP_THAW,
};

/**
 * enum drupe_crash - ways to die, for tests of containment
 * @DRUPE_CRASH_PANIC: panic()
 * @DRUPE_CRASH_BUG: BUG()
 * @DRUPE_CRASH_READ: read from address 8
 * @DRUPE_CRASH_JUMP: jump to address 8
 * @DRUPE_CRASH_OVERFLOW: use more stack than there is
 */
enum drupe_crash {
	DRUPE_CRASH_PANIC = 0,
	DRUPE_CRASH_BUG = 1,
	DRUPE_CRASH_READ = 2,
	DRUPE_CRASH_JUMP = 3,
	DRUPE_CRASH_OVERFLOW = 4,
};

/**
 * enum drupe_disk_flags - properties of a disk
 * @DRUPE_DISK_READ_ONLY: writes fail with %EROFS
 * @DRUPE_DISK_DISCARD: the host takes %DRUPE_IO_DISCARD
 * @DRUPE_DISK_WRITE_ZEROES: the host takes %DRUPE_IO_WRITE_ZEROES
 * @DRUPE_DISK_STABLE_WRITES: the host looks at what is written twice: pages
 *	must not change while they are on their way
 */
enum drupe_disk_flags {
	DRUPE_DISK_READ_ONLY = 1,
	DRUPE_DISK_DISCARD = 2,
	DRUPE_DISK_WRITE_ZEROES = 4,
	DRUPE_DISK_STABLE_WRITES = 8,
};

/**
 * enum drupe_link_flags - what a link takes and brings unfinished
 * @DRUPE_LINK_CSUM: checksums
 * @DRUPE_LINK_TSO: TCP segmentation
 * @DRUPE_LINK_USO: UDP segmentation
 */
enum drupe_link_flags {
	DRUPE_LINK_CSUM = 1,
	DRUPE_LINK_TSO = 2,
	DRUPE_LINK_USO = 4,
};

/**
 * struct drupe_request - one call into the kernel
 * @nr: system call number (include/uapi/asm-generic/unistd.h) or &enum drupe_op
 * @args: its arguments
 * @task: handle of the host task that is to run it
 * @ret: result, negative errno on failure; valid once complete
 * @next: link of whatever list it is in; NULL in a request that an entry brings
 *
 * The host owns it.  The image may touch it from the entry that brings it, or
 * from when it is linked into &drupe_cpu.inbox, until the entry that leaves with
 * %DRUPE_LEAVE_DONE and this request in &drupe_cpu.done; those may be entries of
 * different host threads.  Requests to one task are served in turn.
 */
struct drupe_request {
	u64 nr;
	u64 args[6];
	u64 task;
	s64 ret;
	struct drupe_request *next;
};

/**
 * enum drupe_io_op - what a disk is asked to do
 * @DRUPE_IO_READ: fill the vectors from the disk
 * @DRUPE_IO_WRITE: write the vectors to the disk
 * @DRUPE_IO_FLUSH: make all writes durable that were submitted before; the block
 *                  layer only asks for those that have completed
 * @DRUPE_IO_DISCARD: the range's content is no longer needed
 * @DRUPE_IO_WRITE_ZEROES: the range must read as zeroes
 */
enum drupe_io_op {
	DRUPE_IO_READ = 0,
	DRUPE_IO_WRITE = 1,
	DRUPE_IO_FLUSH = 2,
	DRUPE_IO_DISCARD = 3,
	DRUPE_IO_WRITE_ZEROES = 4,
};

/* &drupe_io.flags: the data must be durable when the write completes. */
#define DRUPE_IO_FUA		1

/**
 * struct drupe_iovec - one piece of kernel memory; struct iovec of the host
 * @base: address
 * @len: length
 */
struct drupe_iovec {
	void *base;
	u64 len;
};

/**
 * struct drupe_io - one request to a disk
 * @disk: number given to %DRUPE_OP_DISK_ADD
 * @op: &enum drupe_io_op
 * @flags: %DRUPE_IO_FUA
 * @iov_count: number of vectors
 * @offset: first byte on the disk, a multiple of the logical block size
 * @len: bytes in all, a multiple of the logical block size
 * @iov: the vectors; none for flush, discard and write-zeroes
 * @error: 0 or a negative errno; valid once complete
 *
 * The image owns it and keeps it and the memory behind @iov in place until
 * it is complete: when @disk_submit returns true, or when @disk_reap returns it.
 */
struct drupe_io {
	u32 disk;
	u32 op;
	u32 flags;
	u32 iov_count;
	u64 offset;
	u64 len;
	struct drupe_iovec *iov;
	s64 error;
};

/**
 * struct drupe_frame - an Ethernet frame, or room for one
 * @header: struct virtio_net_hdr of the frame, little endian
 * @iov_count: number of vectors
 * @iov: the vectors
 */
struct drupe_frame {
	u8 header[10];
	u32 iov_count;
	struct drupe_iovec *iov;
};

/**
 * struct drupe_host_ops - what the host does for one kernel
 * @clock: monotonic time in ns; any context, must not block
 * @wall_clock: ns since 1970-01-01 UTC at the time that @clock gave last, may be
 *	negative; during boot and %DRUPE_OP_THAW
 * @console_write: @len bytes of kernel log text at @text, not NUL-terminated,
 *	the kernel's; any context, must not block
 * @timer_set: raise %DRUPE_IRQ_TIMER on CPU @cpu once @clock reaches
 *	@deadline, in ns; replaces the previous deadline; interrupts disabled,
 *	must not block
 * @map: map @len bytes of the kernel's RAM at physical address @pa also at
 *	address @va inside the kernel's vmalloc area, replacing what was there;
 *	0 or a negative errno; %EAGAIN: a disk may write to one of the pages,
 *	and it is to be tried again when a request has completed; %EINVAL: the
 *	pages are no RAM; process context, must not block
 * @unmap: the vmalloc addresses from @va on, @len bytes, are not used any
 *	more; an access faults from now on; any context, must not block
 * @stack_alloc: a stack for a task: its end, below which %DRUPE_STACK_SIZE bytes
 *	can be used, or NULL; process context, must not block
 * @stack_free: a stack is not used any more; any context, must not block
 * @disk_submit: start @io; true: it is complete already; false: it will be
 *	handed back by @disk_reap after %DRUPE_IRQ_DISK was raised on @cpu;
 *	the host owns @io meanwhile; process context or softirq, should not
 *	block: the whole kernel waits
 * @disk_reap: a completed request, which is the kernel's again, or NULL when
 *	there is none; interrupt, must not block
 * @link_send: carry @count frames of link @link; returns how many were taken,
 *	from the first on; the rest is offered again after %DRUPE_IRQ_LINK; the
 *	frames are the host's during the call only; softirq, must not block
 * @link_receive: put the next frame of link @link into @frame, whose vectors
 *	have room for 65,554 bytes; returns its length; 0: there is none, and
 *	%DRUPE_IRQ_LINK will be raised for the next; or a negative errno;
 *	softirq, must not block
 * @link_news: takes the bitmap of the links for which %DRUPE_IRQ_LINK was
 *	raised; interrupt, must not block
 * @notify: the file that was watched with @cookie is ready; any context, must
 *	not block
 *
 * @ctx is &drupe_boot.ctx.  Two kernels in one process may differ in their
 * clock, console, disks and links: that is why this is a table.
 */
struct drupe_host_ops {
	u64 (*clock)(void *ctx);
	s64 (*wall_clock)(void *ctx);
	void (*console_write)(void *ctx, const char *text, u64 len);
	void (*timer_set)(void *ctx, u32 cpu, u64 deadline);
	s64 (*map)(void *ctx, u64 va, u64 pa, u64 len);
	void (*unmap)(void *ctx, u64 va, u64 len);
	void *(*stack_alloc)(void *ctx);
	void (*stack_free)(void *ctx, void *stack);
	bool (*disk_submit)(void *ctx, u32 cpu, struct drupe_io *io);
	struct drupe_io *(*disk_reap)(void *ctx, u32 cpu);
	u32 (*link_send)(void *ctx, u32 link, const struct drupe_frame *frames,
			 u32 count);
	s64 (*link_receive)(void *ctx, u32 link, struct drupe_frame *frame);
	u64 (*link_news)(void *ctx);
	void (*notify)(void *ctx, u64 cookie);
};

/**
 * enum drupe_boot_flags - how to boot
 * @DRUPE_BOOT_SNAPSHOT: memory that is freed is cleared, until
 *	%DRUPE_OP_THAW; for a kernel that is going to be frozen
 */
enum drupe_boot_flags {
	DRUPE_BOOT_SNAPSHOT = 1,
};

/**
 * struct drupe_boot - what the host tells a kernel before it boots
 * @abi_version: %DRUPE_ABI_VERSION
 * @cpu_count: 1
 * @ops: the host operations; in place until the kernel has stopped
 * @ctx: first argument of every operation
 * @memory_size: image plus RAM, from the first byte of the image on
 * @vmalloc_size: reserved address space right behind
 * @command_line: NUL-terminated; read during boot only
 * @seed: random bytes that seed the kernel's generator
 * @flags: &enum drupe_boot_flags
 */
struct drupe_boot {
	u32 abi_version;
	u32 cpu_count;
	const struct drupe_host_ops *ops;
	void *ctx;
	u64 memory_size;
	u64 vmalloc_size;
	const char *command_line;
	u8 seed[32];
	u64 flags;
};

/**
 * struct drupe_extable_entry - an instruction that may fault
 * @insn: address of the instruction, relative to the address of this field
 * @fixup: where to go on, relative to the address of this field
 */
struct drupe_extable_entry {
	s32 insn;
	s32 fixup;
};

/**
 * struct drupe_fault - a fault in the image, for &drupe_image.fault
 * @ip: address of the instruction
 * @sp: stack pointer
 * @addr: faulting address, where there is one
 * @signal: host signal number
 */
struct drupe_fault {
	u64 ip;
	u64 sp;
	u64 addr;
	u64 signal;
};

/**
 * struct drupe_image - what the image tells the host
 * @abi_version: %DRUPE_ABI_VERSION of the image
 * @cpu_count: CPUs in @cpus
 * @cpus: their states
 * @enter: run the machine on CPU @cpu, bringing @request or NULL; the caller
 *	holds the CPU; returns &enum drupe_leave
 * @text_start: start of the image's code
 * @text_end: end of the image's code
 * @extable: exception table
 * @extable_end: its end
 * @fault: reports a fault that has no exception table entry and panics;
 *	never returns to its caller but leaves with %DRUPE_LEAVE_STOPPED; to be
 *	entered on the kernel stack that faulted, in the thread that faulted
 * @abandon: leave with %DRUPE_LEAVE_STOPPED at once, touching nothing but
 *	the CPU's state; for a fault in @fault, or one without a usable stack
 * @boot: where the image keeps the &drupe_boot that drupe_entry() was given
 * @secrets: start of the variables that may hold secrets drawn at boot
 * @secrets_end: their end
 */
struct drupe_image {
	u32 abi_version;
	u32 cpu_count;
	struct drupe_cpu *cpus;
	u32 (*enter)(struct drupe_cpu *cpu, struct drupe_request *request);
	u64 text_start;
	u64 text_end;
	const struct drupe_extable_entry *extable;
	const struct drupe_extable_entry *extable_end;
	void (*fault)(const struct drupe_fault *fault);
	void (*abandon)(struct drupe_cpu *cpu);
	const struct drupe_boot **boot;
	u64 secrets;
	u64 secrets_end;
};

/**
 * drupe_entry - the ELF entry point
 * @boot: in place until the kernel has stopped
 * @image: filled in
 *
 * Prepares CPU 0 such that the first enter, which must bring %DRUPE_OP_BOOT,
 * boots the kernel.  Returns 0, -EINVAL when the versions differ, or -ENOMEM
 * when there is no stack.
 */
s64 drupe_entry(const struct drupe_boot *boot, struct drupe_image *image);

#endif /* _ASM_DRUPE_HOST_H */
