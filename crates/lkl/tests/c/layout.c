/* Structures are as large as the library takes them for, and names are LKL's. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <lkl_config.h>

#include "check.h"

#include <lkl/linux/input-event-codes.h>
#include <lkl/linux/uhid.h>

_Static_assert(sizeof(struct lkl_disk) == 24, "lkl_disk");
_Static_assert(sizeof(struct lkl_blk_req) == 32, "lkl_blk_req");
_Static_assert(sizeof(struct lkl_dev_blk_ops) == 16, "lkl_dev_blk_ops");
_Static_assert(sizeof(struct lkl_netdev) == 24, "lkl_netdev");
_Static_assert(__builtin_offsetof(struct lkl_netdev, mac) == 13, "lkl_netdev");
_Static_assert(sizeof(struct lkl_netdev_args) == 16, "lkl_netdev_args");
_Static_assert(sizeof(struct lkl_dev_net_ops) == 40, "lkl_dev_net_ops");
_Static_assert(sizeof(struct lkl_host_operations) == 344, "lkl_host_operations");
_Static_assert(__builtin_offsetof(struct lkl_host_operations, time) == 208, "time");
_Static_assert(__builtin_offsetof(struct lkl_host_operations, gettid) == 256, "gettid");
_Static_assert(sizeof(struct lkl_config) == 96, "lkl_config");
_Static_assert(sizeof(struct lkl_config_iface) == 128, "lkl_config_iface");

_Static_assert(LKL_KEY_ENTER == 28, "LKL_KEY_ENTER");

/* The generic table of the kernel's, not that of x86-64. */
_Static_assert(__lkl__NR_read == 63 && __lkl__NR_openat == 56, "numbers of calls");
_Static_assert(__LKL__BITS_PER_LONG == 64, "bits");
_Static_assert(LKL_EINVAL == EINVAL && LKL_O_CREAT == O_CREAT, "numbers of both");
_Static_assert(LKL_S_IFDIR == S_IFDIR && LKL_AF_INET6 == AF_INET6, "numbers of both");
_Static_assert(LKL_MKDEV(1, 2) == (1 << 8 | 2), "LKL_MKDEV");
_Static_assert(sizeof(struct lkl_linux_dirent64) == 24, "lkl_linux_dirent64");
_Static_assert(sizeof(struct lkl_sockaddr_in) == sizeof(struct sockaddr_in), "lkl_sockaddr_in");
_Static_assert(sizeof(struct lkl_sockaddr_in6) == sizeof(struct sockaddr_in6), "lkl_sockaddr_in6");
_Static_assert(sizeof(struct lkl_sockaddr) == sizeof(struct sockaddr), "lkl_sockaddr");

/* Members with a prefix: C libraries define their names. */
#define HAS(structure, member) \
	_Static_assert(sizeof(((structure *)0)->member) > 0, #structure)
HAS(struct lkl_stat, lkl_st_mtime);
HAS(struct lkl_stat, st_mtime_nsec);
HAS(struct lkl_in_addr, lkl_s_addr);
HAS(struct lkl_ifreq, lkl_ifr_ifindex);
HAS(struct lkl_sigaction, lkl_sa_handler);
HAS(struct lkl_epoll_event, data);
HAS(struct lkl_pollfd, revents);
HAS(struct lkl_statfs, f_bsize);
HAS(struct lkl_user_msghdr, msg_iov);
HAS(struct lkl_rlimit, rlim_cur);
HAS(struct lkl_icmphdr, un.echo.sequence);
HAS(struct lkl_iphdr, ttl);
HAS(struct lkl_nlmsghdr, nlmsg_len);
HAS(struct lkl_uhid_event, type);

/* Calls, by the names of the table and of the kernel's functions. */
void *calls[] = {
	lkl_sys_read,       lkl_sys_umount,	lkl_sys_umount2,     lkl_sys_fstat,
	lkl_sys_newfstat,   lkl_sys_uname,	lkl_sys_newuname,    lkl_sys_sendfile,
	lkl_sys_sendfile64, lkl_sys_fadvise64,	lkl_sys_fsetxattr,   lkl_sys_utimensat,
	lkl_sys_renameat,   lkl_sys_renameat2,	lkl_sys_fallocate,   lkl_sys_statx,
	lkl_sys_io_uring_setup, lkl_sys_sendmmsg, lkl_sys_getrandom, lkl_sys_prlimit64,
	lkl_sys_landlock_create_ruleset, lkl_sys_mount_setattr, lkl_sys_openat2,
	lkl_sys_setrlimit,  lkl_sys_eventfd2,	lkl_sys_statfs,	     lkl_sys_chroot,
};

int main(void)
{
	struct lkl_new_utsname name;

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		CHECK(calls[i]);
	OK(lkl_init(&lkl_host_ops));
	lkl_host_ops.print = NULL;
	OK(lkl_start_kernel("mem=64M"));
	OK(lkl_sys_uname(&name));
	CHECK(!strncmp(name.release, "6.12", 4));
	lkl_cleanup();
	return 0;
}
