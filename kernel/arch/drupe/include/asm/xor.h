/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_XOR_H
#define _ASM_DRUPE_XOR_H

#include "../../../x86/include/asm/xor.h"

/* No contest at boot: it takes longer than the choice gains. */
#undef XOR_SELECT_TEMPLATE
#define XOR_SELECT_TEMPLATE(x)	AVX_SELECT(&xor_block_sse)

#endif /* _ASM_DRUPE_XOR_H */
