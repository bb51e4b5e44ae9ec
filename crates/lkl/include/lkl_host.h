/* SPDX-License-Identifier: GPL-2.0-only */
/* What a program needs to bring disks and network devices of its own. */
#ifndef LKL_HOST_H
#define LKL_HOST_H

#include <lkl.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <lkl/asm/host_ops.h>

/* The operations that programs give to lkl_init(). They may set `print` and `panic`. */
extern struct lkl_host_operations lkl_host_ops;

/* Does nothing: it is needed where the host's thread-local variables are changed. */
void lkl_change_tls_mode(void);

/* Empty: devices are not named on the command line. */
extern char lkl_virtio_devs[4096];

/* ---- Disks -------------------------------------------------------------------------- */

#define LKL_DEV_BLK_TYPE_READ 0
#define LKL_DEV_BLK_TYPE_WRITE 1
#define LKL_DEV_BLK_TYPE_FLUSH 4
#define LKL_DEV_BLK_TYPE_FLUSH_OUT 5

struct lkl_blk_req {
	unsigned int type;         /* LKL_DEV_BLK_TYPE_… */
	unsigned int prio;         /* 0 */
	unsigned long long sector; /* where it begins: sectors of 512 bytes */
	struct iovec *buf;         /* what is read or written */
	int count;                 /* how many of them */
};

#define LKL_DEV_BLK_STATUS_OK 0
#define LKL_DEV_BLK_STATUS_IOERR 1
#define LKL_DEV_BLK_STATUS_UNSUP 2

/* Called in threads of the library's, several at a time. They must not call into the
 * kernel. */
struct lkl_dev_blk_ops {
	/* Size in bytes. 0 or a negative number. */
	int (*get_capacity)(struct lkl_disk disk, unsigned long long *res);
	/* Does what is asked. LKL_DEV_BLK_STATUS_… */
	int (*request)(struct lkl_disk disk, struct lkl_blk_req *req);
};

/* Those of disks without: pread(2), pwrite(2) and fdatasync(2) of `disk.fd`. */
extern struct lkl_dev_blk_ops lkl_dev_blk_ops;

/* ---- Network devices ---------------------------------------------------------------- */

/* A device of the program's begins with this. */
struct lkl_netdev {
	struct lkl_dev_net_ops *ops;
	int id;                   /* set by lkl_netdev_add() */
	uint8_t has_vnet_hdr : 1; /* frames have a struct lkl_virtio_net_hdr_v1 before them */
	uint8_t mac[6];           /* set by lkl_netdev_add() */
};

#define LKL_DEV_NET_POLL_RX 1
#define LKL_DEV_NET_POLL_TX 2
#define LKL_DEV_NET_POLL_HUP 4

struct lkl_dev_net_ops {
	/* Sends one Ethernet frame. Bytes sent, or a negative number: it can take none now,
	 * and poll() tells when it can. It must not block. */
	int (*tx)(struct lkl_netdev *nd, struct iovec *iov, int cnt);
	/* Receives one Ethernet frame. Its bytes, or a negative number: there is none now. It
	 * must not block. */
	int (*rx)(struct lkl_netdev *nd, struct iovec *iov, int cnt);
	/* Waits until something of LKL_DEV_NET_POLL_… has come to pass since the last time.
	 * These, or a negative number: the device is broken. */
	int (*poll)(struct lkl_netdev *nd);
	/* Has poll() return LKL_DEV_NET_POLL_HUP. */
	void (*poll_hup)(struct lkl_netdev *nd);
	/* Frees the device. NULL: nothing is to be freed. */
	void (*free)(struct lkl_netdev *nd);
};

#ifdef __cplusplus
}
#endif

#endif
