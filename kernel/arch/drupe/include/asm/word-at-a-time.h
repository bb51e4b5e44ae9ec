/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_WORD_AT_A_TIME_H
#define _ASM_DRUPE_WORD_AT_A_TIME_H

#include <linux/bitops.h>
#include <linux/wordpart.h>

struct word_at_a_time {
	const unsigned long one_bits, high_bits;
};

#define WORD_AT_A_TIME_CONSTANTS { REPEAT_BYTE(0x01), REPEAT_BYTE(0x80) }

/* The mask has the high bit set of the first zero byte, maybe of later ones. */
static inline unsigned long has_zero(unsigned long val, unsigned long *bits,
				     const struct word_at_a_time *c)
{
	*bits = (val - c->one_bits) & ~val & c->high_bits;
	return *bits;
}

static inline unsigned long prep_zero_mask(unsigned long val,
					   unsigned long bits,
					   const struct word_at_a_time *c)
{
	return bits;
}

static inline unsigned long create_zero_mask(unsigned long bits)
{
	return ((bits - 1) & ~bits) >> 7;
}

static inline unsigned long find_zero(unsigned long mask)
{
	return fls64(mask) >> 3;
}

#define zero_bytemask(mask)	(mask)

/*
 * Used for names inside kernel memory only.  The page behind may not exist:
 * near a page's end, load the aligned word instead and shift.
 */
static inline unsigned long load_unaligned_zeropad(const void *addr)
{
	unsigned long p = (unsigned long)addr;
	unsigned long off = p % sizeof(long);

	if (likely(p % 4096 <= 4096 - sizeof(long)))
		return *(const unsigned long *)p;
	return *(const unsigned long *)(p - off) >> (off * 8);
}

#endif /* _ASM_DRUPE_WORD_AT_A_TIME_H */
