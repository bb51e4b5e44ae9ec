/* SPDX-License-Identifier: GPL-2.0 */
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SYS_CLONE

#include <uapi/asm/unistd.h>
