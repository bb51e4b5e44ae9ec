/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_FUTEX_H
#define _ASM_DRUPE_FUTEX_H

/*
 * Futex words are shared with threads of the host program that run at the
 * same time: here, and only here, the lock prefix is needed.
 */
#include <linux/futex.h>
#include <linux/uaccess.h>
#include <asm/errno.h>
#include <asm/extable.h>

static __always_inline int
futex_atomic_cmpxchg_inatomic(u32 *uval, u32 __user *uaddr, u32 old, u32 new)
{
	int ret = -EFAULT;

	asm volatile("1:	lock cmpxchgl	%[new], %[word]\n"
		     "	xor	%[ret], %[ret]\n"
		     "2:\n"
		     DRUPE_EXTABLE(1b, 2b)
		     : [ret] "+r" (ret), [word] "+m" (*(__force u32 *)uaddr),
		       [old] "+a" (old)
		     : [new] "r" (new)
		     : "cc", "memory");
	*uval = old;
	return ret;
}

static inline int
arch_futex_atomic_op_inuser(int op, u32 oparg, int *oval, u32 __user *uaddr)
{
	u32 old, new, seen;
	int ret;

	if (get_user(old, uaddr))
		return -EFAULT;
	for (;;) {
		switch (op) {
		case FUTEX_OP_SET:
			new = oparg;
			break;
		case FUTEX_OP_ADD:
			new = old + oparg;
			break;
		case FUTEX_OP_OR:
			new = old | oparg;
			break;
		case FUTEX_OP_ANDN:
			new = old & ~oparg;
			break;
		case FUTEX_OP_XOR:
			new = old ^ oparg;
			break;
		default:
			return -ENOSYS;
		}
		ret = futex_atomic_cmpxchg_inatomic(&seen, uaddr, old, new);
		if (ret)
			return ret;
		if (seen == old)
			break;
		old = seen;
	}
	*oval = old;
	return 0;
}

#endif /* _ASM_DRUPE_FUTEX_H */
