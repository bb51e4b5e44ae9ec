/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What LKL asks of its host, and how a kernel begins and ends. liblkl needs none of these
 * operations but `print` and `panic`; `lkl_host_ops` has all of them, for programs that
 * call them.
 */
#ifndef _ASM_LKL_HOST_OPS_H
#define _ASM_LKL_HOST_OPS_H

struct lkl_mutex;
struct lkl_sem;
struct lkl_tls_key;
struct lkl_pci_dev;

typedef unsigned long lkl_thread_t;

struct lkl_jmp_buf {
	unsigned long buf[128];
};

/* Devices of the host's PCI bus. Accepted, and not used. */
struct lkl_dev_pci_ops {
	struct lkl_pci_dev *(*add)(const char *name, void *kernel_ram, unsigned long ram_size);
	void (*remove)(struct lkl_pci_dev *dev);
	int (*irq_init)(struct lkl_pci_dev *dev, int irq);
	int (*read)(struct lkl_pci_dev *dev, int where, int size, void *val);
	int (*write)(struct lkl_pci_dev *dev, int where, int size, void *val);
	void *(*resource_alloc)(struct lkl_pci_dev *dev, unsigned long resource_size,
				int resource_index);
	unsigned long long (*map_page)(struct lkl_pci_dev *dev, void *vaddr, unsigned long size);
	void (*unmap_page)(struct lkl_pci_dev *dev, unsigned long long dma_handle,
			   unsigned long size);
};

/* <lkl/linux/mman.h> has the same names as macros. */
#ifndef LKL_PROT_READ
enum lkl_prot {
	LKL_PROT_NONE = 0,
	LKL_PROT_READ = 1,
	LKL_PROT_WRITE = 2,
	LKL_PROT_EXEC = 4,
};
#else
enum lkl_prot { lkl_prot_none, lkl_prot_all = 7 };
#endif

struct lkl_host_operations {
	/* Not used: what is added with lkl_disk_add() and lkl_netdev_add() needs no words. */
	const char *virtio_devices;

	/* Gets the kernel's log, in pieces that do not end with a NUL. NULL: nobody does. It
	 * must not call into the kernel. */
	void (*print)(const char *str, int len);
	/* The kernel has died. Called once, by the thread that finds out; may return. */
	void (*panic)(void);

	/* Semaphores. */
	struct lkl_sem *(*sem_alloc)(int count);
	void (*sem_free)(struct lkl_sem *sem);
	void (*sem_up)(struct lkl_sem *sem);
	void (*sem_down)(struct lkl_sem *sem);

	/* Mutexes, perhaps recursive. */
	struct lkl_mutex *(*mutex_alloc)(int recursive);
	void (*mutex_free)(struct lkl_mutex *mutex);
	void (*mutex_lock)(struct lkl_mutex *mutex);
	void (*mutex_unlock)(struct lkl_mutex *mutex);

	/* Threads. thread_create() returns 0 when there can be none. */
	lkl_thread_t (*thread_create)(void (*f)(void *), void *arg);
	void (*thread_detach)(void);
	void (*thread_exit)(void);
	int (*thread_join)(lkl_thread_t tid);
	lkl_thread_t (*thread_self)(void);
	int (*thread_equal)(lkl_thread_t a, lkl_thread_t b);
	void *(*thread_stack)(unsigned long *size);

	/* Variables of which each thread has its own. */
	struct lkl_tls_key *(*tls_alloc)(void (*destructor)(void *));
	void (*tls_free)(struct lkl_tls_key *key);
	int (*tls_set)(struct lkl_tls_key *key, void *data);
	void *(*tls_get)(struct lkl_tls_key *key);

	/* Memory. */
	void *(*mem_alloc)(unsigned long size);
	void (*mem_free)(void *memory);
	void *(*page_alloc)(unsigned long size);
	void (*page_free)(void *addr, unsigned long size);

	/* Nanoseconds of a clock that never goes back. */
	unsigned long long (*time)(void);

	/* Timers and memory of devices: NULL in `lkl_host_ops`. */
	void *(*timer_alloc)(void (*fn)(void));
	int (*timer_set_oneshot)(void *timer, unsigned long delta);
	void (*timer_free)(void *timer);
	void *(*ioremap)(long addr, int size);
	int (*iomem_access)(const volatile void *addr, void *val, int size, int write);

	/* The host's number of the calling thread. LKL has it no more. */
	long (*gettid)(void);

	/* Jumps: NULL in `lkl_host_ops`. */
	void (*jmp_buf_set)(struct lkl_jmp_buf *jmpb, void (*f)(void));
	void (*jmp_buf_longjmp)(struct lkl_jmp_buf *jmpb, int val);

	void *(*memcpy)(void *dest, const void *src, unsigned long count);
	void *(*memset)(void *s, int c, unsigned long count);
	void *(*memmove)(void *dest, const void *src, unsigned long count);

	/* Anonymous memory at an address. */
	void *(*mmap)(void *addr, unsigned long size, enum lkl_prot prot);
	int (*munmap)(void *addr, unsigned long size);

	/* Memory that is mapped several times: NULL in `lkl_host_ops`. */
	void (*shmem_init)(unsigned long size);
	void *(*shmem_mmap)(void *addr, unsigned long pg_off, unsigned long size,
			    enum lkl_prot prot);

	/* Not used. */
	struct lkl_dev_pci_ops *pci_ops;
};

/* Names the operations; they must stay. 0, or -LKL_EBUSY while a kernel runs. */
int lkl_init(struct lkl_host_operations *lkl_ops);

/* Boots a kernel. The text, made as printf() makes one, is added to its command line, but
 * for mem=, which is its memory. 0 or a negative number. */
int lkl_start_kernel(const char *cmd_line, ...) __attribute__((format(printf, 1, 2)));

/* Lets go of what lkl_init() was given. A kernel that runs is halted. */
void lkl_cleanup(void);

/* 1 from lkl_start_kernel() to lkl_sys_halt(), otherwise 0. */
int lkl_is_running(void);

/* printf() with the operation `print`. */
int lkl_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, and then `panic`. */
void lkl_bug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
