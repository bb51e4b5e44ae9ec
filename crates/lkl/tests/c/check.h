/* What the programs share: every call must return what it should. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lkl.h>
#include <lkl_host.h>

/* Something is so. */
#define CHECK(condition)                                                              \
	do {                                                                          \
		if (!(condition)) {                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

/* A call returns a number: an error, too. */
#define RETURNS(wanted, call)                                                         \
	do {                                                                          \
		long check_result = (long)(call), check_wanted = (wanted);            \
		if (check_result != check_wanted) {                                   \
			fprintf(stderr, "%s:%d: %s: %ld (%s), not %ld\n", __FILE__,   \
				__LINE__, #call, check_result,                        \
				lkl_strerror((int)check_result), check_wanted);       \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

/* A call succeeds. */
#define OK(call) RETURNS(0, call)

/* A call makes a descriptor or a number. */
#define MAKE(variable, call)                                                          \
	do {                                                                          \
		(variable) = (int)(call);                                             \
		if ((variable) < 0) {                                                 \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				lkl_strerror(variable));                              \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

/* What a file of the kernel's contains. */
static inline const char *contents(const char *path)
{
	static char text[8192];
	long fd = lkl_sys_open(path, LKL_O_RDONLY, 0), len = 0, more;

	if (fd < 0)
		return "";
	while ((more = lkl_sys_read((unsigned)fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += more;
	lkl_sys_close((unsigned)fd);
	text[len] = '\0';
	return text;
}

#endif
