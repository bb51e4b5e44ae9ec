/* SPDX-License-Identifier: GPL-2.0-only */
/* What kind of kernel this is. */
#ifndef _ASM_LKL_CONFIG_H
#define _ASM_LKL_CONFIG_H

#define LKL_CONFIG_64BIT 1
#define LKL_CONFIG_MMU 1

#endif
