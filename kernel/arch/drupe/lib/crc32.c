// SPDX-License-Identifier: GPL-2.0
/*
 * crc32c by the processor's own instruction, where it has it: metadata
 * checksums would be at the top of every profile.  Overrides the weak
 * function of lib/crc32.c.
 */
#include <linux/crc32.h>
#include <asm/cpufeature.h>

static u32 crc32c_by_instruction(u32 crc, const u8 *p, size_t len)
{
	u64 c = crc;

	for (; len >= 8; len -= 8, p += 8)
		asm("crc32q	%1, %q0" : "+r" (c) : "rm" (*(const u64 *)p));
	for (crc = c; len; len--, p++)
		asm("crc32b	%1, %0" : "+r" (crc) : "rm" (*p));
	return crc;
}

u32 __pure __crc32c_le(u32 crc, const unsigned char *p, size_t len)
{
	if (likely(boot_cpu_has(X86_FEATURE_XMM4_2)))
		return crc32c_by_instruction(crc, p, len);
	return __crc32c_le_base(crc, p, len);
}
