/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CHECKSUM_H
#define _ASM_DRUPE_CHECKSUM_H

/* lib/csum.c; all else is made of it. */
unsigned int do_csum(const unsigned char *buff, int len);
#define do_csum do_csum

#include <asm-generic/checksum.h>

#endif /* _ASM_DRUPE_CHECKSUM_H */
