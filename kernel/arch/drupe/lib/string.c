// SPDX-License-Identifier: GPL-2.0
/*
 * memcpy(), memmove() and memset().  Short ones by overlapping vector loads
 * and stores, long ones by the processor's string instructions, which know
 * its caches best.  Kernel code owns the vector registers here: it is called
 * like any function of the program.
 */
#include <linux/export.h>
#include <linux/string.h>

/* From where on "rep movsb" and "rep stosb" win. */
#define LONG	768

/* In this order: a vector type comes with an alignment of its own. */
typedef u64 v16 __attribute__((vector_size(16), may_alias)) __aligned(1);
typedef u64 v8 __aligned(1) __attribute__((may_alias));
typedef u32 v4 __aligned(1) __attribute__((may_alias));
typedef u16 v2 __aligned(1) __attribute__((may_alias));

#define AT(type, p, off)	(*(type *)((char *)(p) + (off)))

/* The first and the last bytes, which overlap unless n is 2 * sizeof(type). */
#define MOVE_ENDS(type, to, from, n)					\
do {									\
	type __first = AT(const type, from, 0);				\
	type __last = AT(const type, from, (n) - sizeof(type));		\
									\
	AT(type, to, 0) = __first;					\
	AT(type, to, (n) - sizeof(type)) = __last;			\
} while (0)

static __always_inline void move_short(void *to, const void *from, size_t n)
{
	if (n >= 16)
		MOVE_ENDS(v16, to, from, n);
	else if (n >= 8)
		MOVE_ENDS(v8, to, from, n);
	else if (n >= 4)
		MOVE_ENDS(v4, to, from, n);
	else if (n >= 2)
		MOVE_ENDS(v2, to, from, n);
	else if (n)
		*(char *)to = *(const char *)from;
}

/* More than 32 bytes; each step loads all before it stores. */
static void move_up(void *to, const void *from, size_t n)
{
	v16 last0 = AT(const v16, from, n - 32);
	v16 last1 = AT(const v16, from, n - 16);
	size_t off;

	for (off = 0; off + 32 < n; off += 32) {
		v16 a = AT(const v16, from, off);
		v16 b = AT(const v16, from, off + 16);

		AT(v16, to, off) = a;
		AT(v16, to, off + 16) = b;
	}
	AT(v16, to, n - 32) = last0;
	AT(v16, to, n - 16) = last1;
}

static void move_down(void *to, const void *from, size_t n)
{
	v16 first0 = AT(const v16, from, 0);
	v16 first1 = AT(const v16, from, 16);
	size_t off;

	for (off = n; off > 32; off -= 32) {
		v16 a = AT(const v16, from, off - 16);
		v16 b = AT(const v16, from, off - 32);

		AT(v16, to, off - 16) = a;
		AT(v16, to, off - 32) = b;
	}
	AT(v16, to, 0) = first0;
	AT(v16, to, 16) = first1;
}

#undef memmove
void *memmove(void *to, const void *from, size_t n)
{
	void *ret = to;

	if (n <= 32)
		move_short(to, from, n);
	else if ((size_t)(to - from) < n)
		move_down(to, from, n);
	else if (n < LONG || (size_t)(from - to) < 64)
		move_up(to, from, n);
	else
		asm volatile("rep movsb"
			     : "+D" (to), "+S" (from), "+c" (n) : : "memory");
	return ret;
}
EXPORT_SYMBOL(memmove);

#undef memcpy
void *memcpy(void *to, const void *from, size_t n) __alias(memmove);
EXPORT_SYMBOL(memcpy);

#undef memset
void *memset(void *s, int c, size_t n)
{
	u64 word = (u8)c * 0x0101010101010101ULL;
	v16 vec = { word, word };
	void *ret = s;
	size_t off;

	if (n >= LONG) {
		asm volatile("rep stosb"
			     : "+D" (s), "+c" (n) : "a" (c) : "memory");
	} else if (n >= 16) {
		for (off = 0; off + 16 < n; off += 16)
			AT(v16, s, off) = vec;
		AT(v16, s, n - 16) = vec;
	} else if (n >= 8) {
		AT(v8, s, 0) = word;
		AT(v8, s, n - 8) = word;
	} else if (n >= 4) {
		AT(v4, s, 0) = word;
		AT(v4, s, n - 4) = word;
	} else if (n >= 2) {
		AT(v2, s, 0) = word;
		AT(v2, s, n - 2) = word;
	} else if (n) {
		*(u8 *)s = c;
	}
	return ret;
}
EXPORT_SYMBOL(memset);
