/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_XOR_H
#define _ASM_DRUPE_XOR_H

#include <asm-generic/xor.h>

/* No contest at boot: it takes longer than the choice gains. */
#define XOR_SELECT_TEMPLATE(x)	(&xor_block_32regs)

#endif /* _ASM_DRUPE_XOR_H */
