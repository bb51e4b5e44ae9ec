// SPDX-License-Identifier: GPL-2.0
/* Copies that may fault; what is left is what the processor had left. */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/word-at-a-time.h>

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

/*
 * Copies words as long as they end in the page they begin in.  @max is the number
 * of bytes that are copied at most, the zero byte included.
 */
static long copy_string(char *dst, const char __user *src, unsigned long max)
{
	const struct word_at_a_time constants = WORD_AT_A_TIME_CONSTANTS;
	const size_t size = sizeof(unsigned long);
	unsigned long word, zeros, done = 0;
	char byte;

	while (done < max) {
		if (max - done < size ||
		    offset_in_page(src + done) > PAGE_SIZE - size) {
			if (__get_user(byte, src + done))
				return -EFAULT;
			dst[done] = byte;
			if (!byte)
				break;
			done++;
			continue;
		}
		if (__get_user(word, (const unsigned long __user *)(src + done)))
			return -EFAULT;
		if (has_zero(word, &zeros, &constants)) {
			zeros = create_zero_mask(zeros);
			*(unsigned long *)(dst + done) = word & zero_bytemask(zeros);
			return done + find_zero(zeros);
		}
		*(unsigned long *)(dst + done) = word;
		done += size;
	}
	return done;
}

/**
 * strncpy_from_user - copy a string of the host program
 * @dst: destination, @count bytes
 * @src: source
 * @count: bytes to copy at most, the zero byte included
 *
 * Does not touch the page behind the one with the zero byte.  The generic
 * function does, and relies on the fault where that page does not exist.  Here a
 * fault is a signal of the host program's, which may block or handle it: a valid
 * string must not need one.
 *
 * Return: length without the zero byte, @count if there is none within @count
 * bytes, or -EFAULT.
 */
long strncpy_from_user(char *dst, const char __user *src, long count)
{
	unsigned long addr = (unsigned long)src, max = count, ret;

	might_fault();
	if (count <= 0)
		return 0;
	if (addr >= TASK_SIZE_MAX)
		return -EFAULT;
	max = min(max, TASK_SIZE_MAX - addr);
	ret = copy_string(dst, src, max);
	/* The address space ends before the string does. */
	if (ret == max && max < count)
		return -EFAULT;
	return ret;
}
EXPORT_SYMBOL(strncpy_from_user);
