/* SPDX-License-Identifier: GPL-2.0-only */
/* What this build of the library has. */
#ifndef LKL_AUTOCONF_H
#define LKL_AUTOCONF_H

#define LKL_HOST_CONFIG_POSIX y
#define LKL_HOST_CONFIG_JSMN y
#define LKL_HOST_CONFIG_VIRTIO_NET y
#define LKL_HOST_CONFIG_VIRTIO_NET_FD y
#define LKL_HOST_CONFIG_VIRTIO_NET_MACVTAP y

#endif
