/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of the Linux Kernel Library: a Linux in this process, one at a time.
 *
 *     lkl_init(&lkl_host_ops);
 *     lkl_start_kernel("mem=64M");
 *     long fd = lkl_sys_open("/file", LKL_O_CREAT | LKL_O_RDWR, 0600);
 *
 * Numbers, flags and structures of the kernel have the prefix lkl_ or LKL_. Calls return
 * a negative number of LKL_E… when they fail (lkl_strerror()), and do not set errno. Any
 * thread may make any call. docs/lkl.md has what differs from LKL.
 */
#ifndef LKL_H
#define LKL_H

#include "lkl_autoconf.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
/* A member of structures of the kernel's. */
#define class __lkl__class
#endif

#include <lkl/asm/syscalls.h>

#ifdef __cplusplus
#undef class
#endif

/* ---- System calls that the kernel has in another form ---------------------------------- */

static inline long lkl_sys_stat(const char *path, struct lkl_stat *buf)
{
	return lkl_sys_newfstatat(LKL_AT_FDCWD, path, buf, 0);
}

static inline long lkl_sys_lstat(const char *path, struct lkl_stat *buf)
{
	return lkl_sys_newfstatat(LKL_AT_FDCWD, path, buf, LKL_AT_SYMLINK_NOFOLLOW);
}

static inline long lkl_sys_fstatat(int dirfd, const char *path, struct lkl_stat *buf, int flags)
{
	return lkl_sys_newfstatat(dirfd, path, buf, flags);
}

static inline long lkl_sys_open(const char *path, int flags, int mode)
{
	return lkl_sys_openat(LKL_AT_FDCWD, path, flags, (lkl_umode_t)mode);
}

static inline long lkl_sys_creat(const char *path, int mode)
{
	return lkl_sys_open(path, LKL_O_CREAT | LKL_O_WRONLY | LKL_O_TRUNC, mode);
}

static inline long lkl_sys_access(const char *path, int mode)
{
	return lkl_sys_faccessat(LKL_AT_FDCWD, path, mode);
}

static inline long lkl_sys_chown(const char *path, lkl_uid_t uid, lkl_gid_t gid)
{
	return lkl_sys_fchownat(LKL_AT_FDCWD, path, uid, gid, 0);
}

static inline long lkl_sys_lchown(const char *path, lkl_uid_t uid, lkl_gid_t gid)
{
	return lkl_sys_fchownat(LKL_AT_FDCWD, path, uid, gid, LKL_AT_SYMLINK_NOFOLLOW);
}

static inline long lkl_sys_chmod(const char *path, mode_t mode)
{
	return lkl_sys_fchmodat(LKL_AT_FDCWD, path, (lkl_umode_t)mode);
}

static inline long lkl_sys_link(const char *existing, const char *path)
{
	return lkl_sys_linkat(LKL_AT_FDCWD, existing, LKL_AT_FDCWD, path, 0);
}

static inline long lkl_sys_unlink(const char *path)
{
	return lkl_sys_unlinkat(LKL_AT_FDCWD, path, 0);
}

static inline long lkl_sys_rmdir(const char *path)
{
	return lkl_sys_unlinkat(LKL_AT_FDCWD, path, LKL_AT_REMOVEDIR);
}

static inline long lkl_sys_symlink(const char *target, const char *path)
{
	return lkl_sys_symlinkat(target, LKL_AT_FDCWD, path);
}

static inline long lkl_sys_readlink(const char *path, char *buf, size_t size)
{
	return lkl_sys_readlinkat(LKL_AT_FDCWD, path, buf, (int)size);
}

static inline long lkl_sys_rename(const char *from, const char *to)
{
	return lkl_sys_renameat2(LKL_AT_FDCWD, from, LKL_AT_FDCWD, to, 0);
}

#ifndef __lkl__NR_renameat
static inline long lkl_sys_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return lkl_sys_renameat2(from_dir, from, to_dir, to, 0);
}
#endif

static inline long lkl_sys_mkdir(const char *path, mode_t mode)
{
	return lkl_sys_mkdirat(LKL_AT_FDCWD, path, (lkl_umode_t)mode);
}

static inline long lkl_sys_mknod(const char *path, mode_t mode, dev_t dev)
{
	return lkl_sys_mknodat(LKL_AT_FDCWD, path, (lkl_umode_t)mode, (unsigned)dev);
}

static inline long lkl_sys_dup2(int from, int to)
{
	/* dup3(2) refuses what dup2(2) has nothing to do for. */
	if (from == to) {
		long flags = lkl_sys_fcntl((unsigned)from, LKL_F_GETFD, 0);

		return flags < 0 ? flags : to;
	}
	return lkl_sys_dup3((unsigned)from, (unsigned)to, 0);
}

static inline long lkl_sys_pipe(int fd[2])
{
	return lkl_sys_pipe2(fd, 0);
}

static inline long lkl_sys_eventfd(unsigned int count)
{
	return lkl_sys_eventfd2(count, 0);
}

static inline long lkl_sys_send(int fd, void *buf, size_t len, int flags)
{
	return lkl_sys_sendto(fd, buf, len, (unsigned)flags, NULL, 0);
}

static inline long lkl_sys_recv(int fd, void *buf, size_t len, int flags)
{
	return lkl_sys_recvfrom(fd, buf, len, (unsigned)flags, NULL, NULL);
}

static inline long lkl_sys_select(int n, lkl_fd_set *rfds, lkl_fd_set *wfds, lkl_fd_set *efds,
				  struct lkl_timeval *tv)
{
	struct __lkl__kernel_timespec ts;

	if (tv) {
		if (tv->tv_sec < 0 || tv->tv_usec < 0)
			return -LKL_EINVAL;
		ts.tv_sec = tv->tv_sec + tv->tv_usec / 1000000;
		ts.tv_nsec = tv->tv_usec % 1000000 * 1000;
	}
	return lkl_sys_pselect6(n, rfds, wfds, efds, tv ? &ts : NULL, NULL);
}

static inline long lkl_sys_poll(struct lkl_pollfd *fds, int n, int timeout)
{
	struct __lkl__kernel_timespec ts;

	if (timeout >= 0) {
		ts.tv_sec = timeout / 1000;
		ts.tv_nsec = timeout % 1000 * 1000000;
	}
	return lkl_sys_ppoll(fds, (unsigned)n, timeout >= 0 ? &ts : NULL, NULL, _LKL_NSIG / 8);
}

static inline long lkl_sys_epoll_create(int size)
{
	return size > 0 ? lkl_sys_epoll_create1(0) : -LKL_EINVAL;
}

static inline long lkl_sys_epoll_wait(int fd, struct lkl_epoll_event *ev, int cnt, int timeout)
{
	return lkl_sys_epoll_pwait(fd, ev, cnt, timeout, NULL, _LKL_NSIG / 8);
}

/* The kernel maps no memory of the program's: -LKL_ENOSYS, also as a pointer. */
static inline long lkl_sys_mmap_pgoff(unsigned long addr, unsigned long length,
				      unsigned long prot, unsigned long flags,
				      unsigned long fd, unsigned long page)
{
	long words[6] = {(long)addr, (long)length, (long)prot, (long)flags, (long)fd, (long)page};

	return lkl_syscall(__lkl__NR_mmap, words);
}

#define lkl_sys_mmap2 lkl_sys_mmap_pgoff

static inline void *lkl_sys_mmap(void *addr, size_t length, int prot, int flags, int fd,
				 off_t offset)
{
	return (void *)lkl_sys_mmap_pgoff((unsigned long)addr, length, (unsigned long)prot,
					  (unsigned long)flags, (unsigned long)fd,
					  (unsigned long)(offset >> 12));
}

/* LKL's own: makes the calling thread another process of the kernel's. Here all threads are
 * of one: -LKL_ENOSYS. */
static inline long lkl_sys_new_thread_group_leader(void)
{
	return -LKL_ENOSYS;
}

/* ---- Errors ------------------------------------------------------------------------------ */

/* What an error means, for a number that a call has returned. Never NULL. */
const char *lkl_strerror(int err);

/* Prints "MESSAGE: what the error means" with the operation `print`. */
void lkl_perror(char *msg, int err);

/* ---- Disks ------------------------------------------------------------------------------- */

struct lkl_dev_blk_ops;

struct lkl_disk {
	void *dev; /* set by lkl_disk_add() */
	union {
		int fd; /* an image file or a block device */
		void *handle;
	};
	struct lkl_dev_blk_ops *ops; /* NULL: the library's own, for `fd` (lkl_host.h) */
};

/* Adds a disk, before lkl_start_kernel() or after. Its number, from 0 on, or a negative
 * number. The descriptor is duplicated: the disk does not need `fd` any more. One that was
 * opened read-only makes a read-only disk. */
int lkl_disk_add(struct lkl_disk *disk);

/* Removes a disk. 0, -LKL_EBUSY while something of it is mounted, -LKL_ENODEV. */
int lkl_disk_remove(struct lkl_disk disk);

/* Reads a device number, "MAJOR:MINOR", from a file of sysfs. 0 or a negative number. */
int lkl_encode_dev_from_sysfs(const char *sysfs_path, uint32_t *pdevid);

/* The device number of a disk, or of its partition `part`, from 1 on. 0 or a negative
 * number. Mounts sysfs at "/sysfs". */
int lkl_get_virtio_blkdev(int disk_id, unsigned int part, uint32_t *pdevid);

/* Mounts a disk or a partition at a new directory, whose path is written to `mnt_str`.
 * `fs_type`: as of mount(2). `flags`: LKL_MS_…. `opts`: options of the filesystem's, or
 * NULL. 0 or a negative number. */
long lkl_mount_dev(unsigned int disk_id, unsigned int part, const char *fs_type, int flags,
		   const char *opts, char *mnt_str, unsigned int mnt_str_len);

/* The same for a block device by its number (LKL_MKDEV()). */
long lkl_mount_blkdev(unsigned int dev, const char *fs_type, int flags, const char *opts,
		      char *mnt_str, unsigned int mnt_str_len);

/* Unmounts what lkl_mount_dev() has mounted, and removes the directory. While it is busy,
 * tries again for at most `timeout_ms` milliseconds. 0 or a negative number. */
long lkl_umount_dev(unsigned int disk_id, unsigned int part, int flags, long timeout_ms);
long lkl_umount_blkdev(unsigned int dev, int flags, long timeout_ms);

/* Unmounts what is mounted at a path, in the same way. */
long lkl_umount_timeout(char *path, int flags, long timeout_ms);

/* Mounts a filesystem without a disk, such as "proc", at a directory of its name in "/". 0,
 * 1 if that was done before, or a negative number. */
int lkl_mount_fs(char *fstype);

/* ---- Directories ------------------------------------------------------------------------- */

struct lkl_dir;

/* Opens a directory. NULL, and a negative number in `err`, which is 0 otherwise. */
struct lkl_dir *lkl_opendir(const char *path, int *err);

/* Reads the directory that a descriptor is of, which it closes in the end. */
struct lkl_dir *lkl_fdopendir(int fd, int *err);

/* Begins again. */
void lkl_rewinddir(struct lkl_dir *dir);

/* Closes a directory and its descriptor. 0 or a negative number. */
int lkl_closedir(struct lkl_dir *dir);

/* The next entry, valid until the next call with this directory. NULL at the end, and when
 * it failed: lkl_errdir() tells. */
struct lkl_linux_dirent64 *lkl_readdir(struct lkl_dir *dir);

/* 0, or the negative number with which the last lkl_readdir() failed. */
int lkl_errdir(struct lkl_dir *dir);

/* Its descriptor. */
int lkl_dirfd(struct lkl_dir *dir);

/* ---- Network devices --------------------------------------------------------------------- */

struct lkl_netdev;

struct lkl_netdev_args {
	void *mac;            /* six bytes, or NULL: one is made up */
	unsigned int offload; /* not used: it is done where it is needed */
};

/* Adds a network device, before lkl_start_kernel() or after: it becomes "eth0", "eth1" and
 * so on. `args` may be NULL. Its number, from 0 on, or a negative number. */
int lkl_netdev_add(struct lkl_netdev *nd, struct lkl_netdev_args *args);

/* Removes a network device: nobody calls its operations any more. */
void lkl_netdev_remove(int id);

/* Frees a network device that was removed, or never added. */
void lkl_netdev_free(struct lkl_netdev *nd);

/* The number of its interface, or a negative number. */
int lkl_netdev_get_ifindex(int id);

/* Devices of the host: a tap device, by its name; all packets of an interface, by its name;
 * a macvtap, by the path of its device file; two named pipes, "RECEIVE|SEND", between two
 * such programs. NULL, and a line on standard error, when it cannot be opened. */
struct lkl_netdev *lkl_netdev_tap_create(const char *ifname, int offload);
struct lkl_netdev *lkl_netdev_raw_create(const char *ifname);
struct lkl_netdev *lkl_netdev_macvtap_create(const char *path, int offload);
struct lkl_netdev *lkl_netdev_pipe_create(const char *ifname, int offload);

/* Not supported: NULL, and a line on standard error. */
struct lkl_netdev *lkl_netdev_dpdk_create(const char *ifname, int offload, unsigned char *mac);
struct lkl_netdev *lkl_netdev_vde_create(const char *switch_path);
struct lkl_netdev *lkl_netdev_wintap_create(const char *ifparams);

/* ---- Interfaces, addresses, routes ------------------------------------------------------- */
/*
 * All return 0 or a negative number. Addresses are in network byte order, 4 bytes of IPv4
 * and 16 of IPv6; `af` is LKL_AF_INET or LKL_AF_INET6.
 */

/* The number of an interface, by its name. */
int lkl_ifname_to_ifindex(const char *name);

int lkl_if_up(int ifindex);
int lkl_if_down(int ifindex);
int lkl_if_set_mtu(int ifindex, int mtu);

/* Addresses with the length of their prefix in bits. */
int lkl_if_set_ipv4(int ifindex, unsigned int addr, unsigned int netmask_len);
/* Waits until it is known that nobody else has the address. The interface must be up. */
int lkl_if_set_ipv6(int ifindex, void *addr, unsigned int netprefix_len);
int lkl_if_add_ip(int ifindex, int af, void *addr, unsigned int netprefix_len);
int lkl_if_del_ip(int ifindex, int af, void *addr, unsigned int netprefix_len);
/* Waits until it is known whether somebody else has the address. 0: nobody; -1. */
int lkl_if_wait_ipv6_dad(int ifindex, void *addr);

/* Default routes. */
int lkl_set_ipv4_gateway(unsigned int addr);
int lkl_set_ipv6_gateway(void *addr);
int lkl_add_gateway(int af, void *gwaddr);

/* Routes of packets from one address, in a table of its own: ifindex * 2, and one more for
 * IPv6. The first two do what the three below them do. */
int lkl_if_set_ipv4_gateway(int ifindex, unsigned int addr, unsigned int netmask_len,
			    unsigned int gw_addr);
int lkl_if_set_ipv6_gateway(int ifindex, void *addr, unsigned int netmask_len, void *gw_addr);
int lkl_if_add_rule_from_saddr(int ifindex, int af, void *saddr);
int lkl_if_add_linklocal(int ifindex, int af, void *addr, int netprefix_len);
int lkl_if_add_gateway(int ifindex, int af, void *gwaddr);

/* A neighbour's address that stays: 6 bytes of hardware address. */
int lkl_add_neighbor(int ifindex, int af, void *addr, void *mac);

/* A queueing discipline, such as "fq", at "root". */
int lkl_qdisc_add(int ifindex, const char *root, const char *type);
/* Several: "root|fq;…". */
void lkl_qdisc_parse_add(int ifindex, const char *entries);

/* ---- Everything else --------------------------------------------------------------------- */

/* Sets a sysctl: "net.ipv4.tcp_wmem". Mounts proc at "/proc". 0 or a negative number. */
int lkl_sysctl(const char *path, const char *value);
/* Several: "KEY=VALUE;…". */
void lkl_sysctl_parse_write(const char *sysctls);

/* How many descriptors a task may have. 0 or a negative number. */
int lkl_set_fd_limit(unsigned int fd_limit);

/* Every thread has a task of the kernel's: these do nothing, and return 0. */
int lkl_create_syscall_thread(void);
int lkl_stop_syscall_thread(void);

/* Does nothing: there is no debugger in the library. */
void lkl_register_dbg_handler(void);

#ifdef __cplusplus
}
#endif

#endif
