// SPDX-License-Identifier: GPL-2.0
/*
 * The processor's features, for the sources of arch/x86/crypto and lib/raid6
 * that use its instructions.  A snapshot of a booted kernel is used only on a
 * processor with the same features (crates/machine/src/snapshot).
 */
#include <linux/cache.h>
#include <linux/init.h>
#include <asm/cpu_device_id.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/machine.h>

/* Words of drupe_cpu_features. */
#define WORD_1_EDX	0
#define WORD_1_ECX	4
#define WORD_7_EBX	9
#define WORD_7_ECX	16

u32 drupe_cpu_features[NCAPINTS] __ro_after_init;

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static struct cpuid __init cpuid(u32 leaf)
{
	struct cpuid r;

	asm("cpuid" : "=a" (r.eax), "=b" (r.ebx), "=c" (r.ecx), "=d" (r.edx)
		    : "a" (leaf), "c" (0));
	return r;
}

/* The kinds of registers that the host saves for its threads. */
static u64 __init xfeatures(void)
{
	u32 low, high;

	if (!boot_cpu_has(X86_FEATURE_OSXSAVE))
		return 0;
	asm("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	return low | (u64)high << 32;
}

static void __init clear(unsigned int feature)
{
	drupe_cpu_features[feature / 32] &= ~BIT(feature % 32);
}

void __init drupe_cpu_init(void)
{
	u32 leaves = cpuid(0).eax;
	struct cpuid r = cpuid(1);
	u64 saved;

	drupe_cpu_features[WORD_1_EDX] = r.edx;
	drupe_cpu_features[WORD_1_ECX] = r.ecx;
	if (leaves >= 7) {
		r = cpuid(7);
		drupe_cpu_features[WORD_7_EBX] = r.ebx;
		drupe_cpu_features[WORD_7_ECX] = r.ecx;
	}
	saved = xfeatures();
	if (~saved & (XFEATURE_MASK_SSE | XFEATURE_MASK_YMM)) {
		clear(X86_FEATURE_AVX);
		clear(X86_FEATURE_AVX2);
		clear(X86_FEATURE_VAES);
		clear(X86_FEATURE_VPCLMULQDQ);
	}
	if (~saved & (XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512)) {
		clear(X86_FEATURE_AVX512F);
		clear(X86_FEATURE_AVX512BW);
		clear(X86_FEATURE_AVX512DQ);
		clear(X86_FEATURE_AVX512VL);
	}
}

/*
 * The first entry that names a feature of this processor.  Models of
 * processors are not told apart: where that would matter, it is a preference.
 */
const struct x86_cpu_id *x86_match_cpu(const struct x86_cpu_id *match)
{
	for (; match->flags & X86_CPU_ID_FLAG_ENTRY_VALID; match++)
		if (match->model == X86_MODEL_ANY &&
		    (match->feature == X86_FEATURE_ANY || boot_cpu_has(match->feature)))
			return match;
	return NULL;
}
