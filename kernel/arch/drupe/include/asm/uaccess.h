/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_UACCESS_H
#define _ASM_DRUPE_UACCESS_H

/*
 * "User space" is the host program: its memory is accessed where it is.  An
 * address that is not mapped faults and is answered by the exception table.
 */
#include <linux/processor.h>
#include <linux/string.h>
#include <asm/extable.h>

unsigned long drupe_copy_user(void *to, const void *from, unsigned long n);
unsigned long drupe_clear_user(void *to, unsigned long n);

#define DRUPE_MOVE(type, suffix, to, from, n)				\
({									\
	type __val;							\
									\
	asm volatile("1:	mov" suffix "	%[src], %[val]\n"	\
		     "2:	mov" suffix "	%[val], %[dst]\n"	\
		     "	xor	%k[left], %k[left]\n"			\
		     "3:\n"						\
		     DRUPE_EXTABLE(1b, 3b)				\
		     DRUPE_EXTABLE(2b, 3b)				\
		     : [left] "+r" (n), [val] "=&r" (__val),		\
		       [dst] "=m" (*(type *)(to))			\
		     : [src] "m" (*(const type *)(from))		\
		     : "cc");						\
})

static __always_inline unsigned long
drupe_move_user(void *to, const void *from, unsigned long n)
{
	if (!__builtin_constant_p(n))
		return drupe_copy_user(to, from, n);
	switch (n) {
	case 1:
		DRUPE_MOVE(u8, "b", to, from, n);
		return n;
	case 2:
		DRUPE_MOVE(u16, "w", to, from, n);
		return n;
	case 4:
		DRUPE_MOVE(u32, "l", to, from, n);
		return n;
	case 8:
		DRUPE_MOVE(u64, "q", to, from, n);
		return n;
	default:
		return drupe_copy_user(to, from, n);
	}
}

static __always_inline unsigned long
raw_copy_from_user(void *to, const void __user *from, unsigned long n)
{
	return drupe_move_user(to, (__force const void *)from, n);
}

static __always_inline unsigned long
raw_copy_to_user(void __user *to, const void *from, unsigned long n)
{
	return drupe_move_user((__force void *)to, from, n);
}

static __always_inline unsigned long
__clear_user(void __user *to, unsigned long n)
{
	return drupe_clear_user((__force void *)to, n);
}

#define __clear_user	__clear_user
#define INLINE_COPY_FROM_USER
#define INLINE_COPY_TO_USER

#include <asm-generic/uaccess.h>

#endif /* _ASM_DRUPE_UACCESS_H */
