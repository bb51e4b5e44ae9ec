// SPDX-License-Identifier: GPL-2.0
/* Copies that may fault; what is left is what the processor had left. */
#include <linux/export.h>
#include <linux/uaccess.h>

/**
 * drupe_copy_user - copy from or to the host program
 * @to: destination
 * @from: source
 * @n: bytes
 *
 * Return: number of bytes that were not copied.
 */
unsigned long drupe_copy_user(void *to, const void *from, unsigned long n)
{
	asm volatile("1:	rep movsb\n"
		     "2:\n"
		     DRUPE_EXTABLE(1b, 2b)
		     : "+c" (n), "+D" (to), "+S" (from)
		     :
		     : "memory");
	return n;
}
EXPORT_SYMBOL(drupe_copy_user);

/**
 * drupe_clear_user - zero memory of the host program
 * @to: address
 * @n: bytes
 *
 * Return: number of bytes that were not zeroed.
 */
unsigned long drupe_clear_user(void *to, unsigned long n)
{
	asm volatile("1:	rep stosb\n"
		     "2:\n"
		     DRUPE_EXTABLE(1b, 2b)
		     : "+c" (n), "+D" (to)
		     : "a" (0)
		     : "memory");
	return n;
}
EXPORT_SYMBOL(drupe_clear_user);
