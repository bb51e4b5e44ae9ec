/* What the programs share: every call must succeed, or fail as it should. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drupe.h"

/* Ends the program with the error of a call. */
static inline void check_failed(const char *file, int line, const char *what,
				drupe_error *error)
{
	fprintf(stderr, "%s:%d: %s: %s (%d)\n", file, line, what,
		error ? drupe_error_message(error) : "false", drupe_error_code(error));
	drupe_error_free(error);
	exit(1);
}

/* A call, whose last argument is `&error`, succeeds. */
#define OK(call)                                                           \
	do {                                                               \
		drupe_error *error = NULL;                                 \
		if ((call) != 0)                                           \
			check_failed(__FILE__, __LINE__, #call, error);    \
	} while (0)

/* A call makes a handle. */
#define MAKE(variable, call)                                               \
	do {                                                               \
		drupe_error *error = NULL;                                 \
		(variable) = (call);                                       \
		if (!(variable))                                           \
			check_failed(__FILE__, __LINE__, #call, error);    \
	} while (0)

/* Something is so. */
#define CHECK(condition)                                                   \
	do {                                                               \
		if (!(condition))                                          \
			check_failed(__FILE__, __LINE__, #condition, NULL); \
	} while (0)

/* A call that returns -1 fails with this number, and a message that has this in it. */
#define FAILS(call, number, text)                                          \
	do {                                                               \
		drupe_error *error = NULL;                                 \
		if ((call) != -1 || drupe_error_code(error) != (number) || \
		    !strstr(drupe_error_message(error), (text)))           \
			check_failed(__FILE__, __LINE__, #call, error);    \
		drupe_error_free(error);                                   \
	} while (0)

/* The same of a call that makes a handle. */
#define MAKES_NONE(call, number, text)                                     \
	do {                                                               \
		drupe_error *error = NULL;                                 \
		if ((call) || drupe_error_code(error) != (number) ||       \
		    !strstr(drupe_error_message(error), (text)))           \
			check_failed(__FILE__, __LINE__, #call, error);    \
		drupe_error_free(error);                                   \
	} while (0)

#endif
