// SPDX-License-Identifier: GPL-2.0
/* The Internet checksum, 64 bits at a time. */
#include <linux/unaligned.h>
#include <net/checksum.h>

static u64 add_carry(u64 sum, u64 word)
{
	sum += word;
	return sum + (sum < word);
}

/**
 * do_csum - ones' complement sum of 16-bit words
 * @buff: the bytes, aligned or not
 * @len: how many
 *
 * Return: the sum, folded to 16 bits.
 */
unsigned int do_csum(const unsigned char *buff, int len)
{
	u64 a = 0, b = 0;

	/* Two sums: neither waits for the other's carry. */
	for (; len >= 32; len -= 32, buff += 32) {
		a = add_carry(a, get_unaligned((u64 *)buff));
		b = add_carry(b, get_unaligned((u64 *)(buff + 8)));
		a = add_carry(a, get_unaligned((u64 *)(buff + 16)));
		b = add_carry(b, get_unaligned((u64 *)(buff + 24)));
	}
	for (; len >= 8; len -= 8, buff += 8)
		a = add_carry(a, get_unaligned((u64 *)buff));
	if (len > 0) {
		u64 rest = 0;

		memcpy(&rest, buff, len);
		b = add_carry(b, rest);
	}
	a = add_carry(a, b);
	a = (a & 0xffffffff) + (a >> 32);
	a = (a & 0xffff) + ((a >> 16) & 0xffff) + (a >> 32);
	a = (a & 0xffff) + (a >> 16);
	return (a & 0xffff) + (a >> 16);
}
