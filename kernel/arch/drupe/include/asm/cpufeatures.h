/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CPUFEATURES_H
#define _ASM_DRUPE_CPUFEATURES_H

/* The numbers of features.  Which are required here is decided nowhere else. */
#define _ASM_X86_REQUIRED_FEATURES_H
#define _ASM_X86_DISABLED_FEATURES_H
#include "../../../x86/include/asm/cpufeatures.h"

#endif /* _ASM_DRUPE_CPUFEATURES_H */
