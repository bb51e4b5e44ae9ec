/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_ATOMIC_H
#define _ASM_DRUPE_ATOMIC_H

/*
 * One CPU, and interrupts at poll points only: a plain read-modify-write is
 * atomic.  Words that host threads share with the kernel do not use these
 * (see futex.h and &drupe_cpu.pending).
 */
#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/cmpxchg.h>

#define ATOMIC64_INIT(i)		{ (i) }

#define arch_atomic_read(v)		READ_ONCE((v)->counter)
#define arch_atomic_set(v, i)		WRITE_ONCE((v)->counter, (i))
#define arch_atomic64_read(v)		READ_ONCE((v)->counter)
#define arch_atomic64_set(v, i)		WRITE_ONCE((v)->counter, (i))

#define DRUPE_ATOMIC_OP(pfx, word_t, val_t, op, c_op)			\
static __always_inline void						\
arch_##pfx##_##op(val_t i, word_t *v)					\
{									\
	v->counter = v->counter c_op i;					\
}									\
static __always_inline val_t						\
arch_##pfx##_fetch_##op(val_t i, word_t *v)				\
{									\
	val_t old = v->counter;						\
									\
	v->counter = old c_op i;					\
	return old;							\
}

#define DRUPE_ATOMIC_OP_RETURN(pfx, word_t, val_t, op, c_op)		\
static __always_inline val_t						\
arch_##pfx##_##op##_return(val_t i, word_t *v)				\
{									\
	v->counter = v->counter c_op i;					\
	return v->counter;						\
}

DRUPE_ATOMIC_OP(atomic, atomic_t, int, add, +)
DRUPE_ATOMIC_OP(atomic, atomic_t, int, sub, -)
DRUPE_ATOMIC_OP(atomic, atomic_t, int, and, &)
DRUPE_ATOMIC_OP(atomic, atomic_t, int, or, |)
DRUPE_ATOMIC_OP(atomic, atomic_t, int, xor, ^)
DRUPE_ATOMIC_OP_RETURN(atomic, atomic_t, int, add, +)
DRUPE_ATOMIC_OP_RETURN(atomic, atomic_t, int, sub, -)
DRUPE_ATOMIC_OP(atomic64, atomic64_t, s64, add, +)
DRUPE_ATOMIC_OP(atomic64, atomic64_t, s64, sub, -)
DRUPE_ATOMIC_OP(atomic64, atomic64_t, s64, and, &)
DRUPE_ATOMIC_OP(atomic64, atomic64_t, s64, or, |)
DRUPE_ATOMIC_OP(atomic64, atomic64_t, s64, xor, ^)
DRUPE_ATOMIC_OP_RETURN(atomic64, atomic64_t, s64, add, +)
DRUPE_ATOMIC_OP_RETURN(atomic64, atomic64_t, s64, sub, -)

#undef DRUPE_ATOMIC_OP_RETURN
#undef DRUPE_ATOMIC_OP

#define arch_atomic_fetch_add		arch_atomic_fetch_add
#define arch_atomic_fetch_sub		arch_atomic_fetch_sub
#define arch_atomic_fetch_and		arch_atomic_fetch_and
#define arch_atomic_fetch_or		arch_atomic_fetch_or
#define arch_atomic_fetch_xor		arch_atomic_fetch_xor
#define arch_atomic_add_return		arch_atomic_add_return
#define arch_atomic_sub_return		arch_atomic_sub_return
#define arch_atomic64_fetch_add		arch_atomic64_fetch_add
#define arch_atomic64_fetch_sub		arch_atomic64_fetch_sub
#define arch_atomic64_fetch_and		arch_atomic64_fetch_and
#define arch_atomic64_fetch_or		arch_atomic64_fetch_or
#define arch_atomic64_fetch_xor		arch_atomic64_fetch_xor
#define arch_atomic64_add_return	arch_atomic64_add_return
#define arch_atomic64_sub_return	arch_atomic64_sub_return

#endif /* _ASM_DRUPE_ATOMIC_H */
