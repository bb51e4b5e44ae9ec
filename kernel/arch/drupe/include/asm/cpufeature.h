/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CPUFEATURE_H
#define _ASM_DRUPE_CPUFEATURE_H

/*
 * What the sources that are taken from arch/x86 and lib/raid6 ask about the
 * processor.  kernel/cpu.c answers, by CPUID at boot.
 */
#include <linux/bits.h>
#include <linux/types.h>
#include <asm/cpufeatures.h>

/* The processor's features, those without the state that they need left out. */
extern u32 drupe_cpu_features[NCAPINTS];

static inline bool boot_cpu_has(unsigned int feature)
{
	return drupe_cpu_features[feature / 32] & BIT(feature % 32);
}

/* drupe_cpu_features has no feature whose registers the host does not save. */
static inline bool cpu_has_xfeatures(u64 xfeatures, const char **missing)
{
	return true;
}

#endif /* _ASM_DRUPE_CPUFEATURE_H */
