/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_DRUPE_CMPXCHG_H
#define _ASM_DRUPE_CMPXCHG_H

/* See atomic.h for why these need no lock prefix. */
#define arch_xchg(ptr, val)						\
({									\
	typeof(ptr) __ptr = (ptr);				\
	typeof(*(ptr)) __old = READ_ONCE(*__ptr);			\
									\
	WRITE_ONCE(*__ptr, (typeof(*(ptr)))(val));			\
	__old;								\
})

#define arch_cmpxchg(ptr, old, new)					\
({									\
	typeof(ptr) __ptr = (ptr);					\
	typeof(*(ptr)) __new = (typeof(*(ptr)))(new);			\
	typeof(*(ptr)) __old = (typeof(*(ptr)))(old);			\
	typeof(*(ptr)) __cur = READ_ONCE(*__ptr);			\
									\
	if (__cur == __old)						\
		WRITE_ONCE(*__ptr, __new);				\
	__cur;								\
})

#define arch_cmpxchg_local	arch_cmpxchg
#define arch_cmpxchg64		arch_cmpxchg
#define arch_cmpxchg64_local	arch_cmpxchg

#endif /* _ASM_DRUPE_CMPXCHG_H */
