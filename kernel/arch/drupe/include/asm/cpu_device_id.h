/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CPU_DEVICE_ID_H
#define _ASM_DRUPE_CPU_DEVICE_ID_H

#include <asm/cpufeature.h>

#define X86_VENDOR_INTEL	0
#define X86_VENDOR_AMD		2

#include "../../../x86/include/asm/cpu_device_id.h"

#endif /* _ASM_DRUPE_CPU_DEVICE_ID_H */
