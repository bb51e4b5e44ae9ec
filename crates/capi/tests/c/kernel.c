/* Kernels: boot, log, version, system calls, halt; and what is an error of them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "drupe_nr.h"

static void count(void *data, const char *text, size_t len)
{
	(void)text;
	*(size_t *)data += len;
}

/* A child of fork(2) has no kernels but its own. */
static void forks(drupe_kernel *kernel)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		drupe_kernel *own;

		FAILS(drupe_kernel_halt(kernel, &error), DRUPE_ERROR_FORKED, "parent");
		MAKE(own, drupe_kernel_boot(NULL, &error));
		drupe_kernel_free(own);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
	struct drupe_kernel_options options;
	drupe_kernel *kernel, *second;
	char *text, *release;
	char words[512] = "";
	size_t logged = 0;
	uint64_t result = 77;
	uint64_t arguments[6] = {0};
	struct utsname name;

	CHECK(drupe_api_version() >= DRUPE_API_VERSION);
	CHECK(strchr(drupe_version(), '.'));

	DRUPE_INIT(&options);
	options.memory = 48 << 20;
	options.command_line = "drupe.test=1";
	options.log = count;
	options.log_data = &logged;
	MAKE(kernel, drupe_kernel_boot(&options, &error));
	CHECK(logged > 0);
	OK(drupe_kernel_log(kernel, &text, &error));
	CHECK(strstr(text, "Linux version") && strstr(text, "drupe.test=1"));
	drupe_free(text);

	OK(drupe_kernel_release(kernel, &release, &error));
	arguments[0] = (uint64_t)(uintptr_t)&name;
	OK(drupe_syscall(kernel, DRUPE_NR_uname, arguments, &result, &error));
	CHECK(result == 0 && strcmp(name.release, release) == 0);
	drupe_free(release);

	/* Results are written on success only. */
	result = 77;
	arguments[0] = 12345;
	FAILS(drupe_syscall(kernel, DRUPE_NR_close, arguments, &result, &error), EBADF, "EBADF");
	CHECK(result == 77);
	FAILS(drupe_syscall(kernel, DRUPE_NR_execve, arguments, &result, &error), ENOSYS, "");
	FAILS(drupe_syscall(kernel, -1, arguments, &result, &error), DRUPE_ERROR_ARGUMENT,
	      "drupe_syscall: `number`");

	/* Arguments that can't be are named. */
	FAILS(drupe_kernel_halt(NULL, &error), DRUPE_ERROR_ARGUMENT,
	      "drupe_kernel_halt: `kernel` is NULL");
	FAILS(drupe_kernel_log(kernel, NULL, &error), DRUPE_ERROR_ARGUMENT, "`text` is NULL");
	CHECK(drupe_kernel_halt(NULL, NULL) == -1);
	DRUPE_INIT(&options);
	options.flags = 1u << 31;
	MAKES_NONE(drupe_kernel_boot(&options, &error), DRUPE_ERROR_ARGUMENT, "flags");
	options.flags = 0;
	options.command_line = "\xff";
	MAKES_NONE(drupe_kernel_boot(&options, &error), DRUPE_ERROR_ARGUMENT, "command_line");
	memset(words, 'x', sizeof(words) - 1);
	options.command_line = words;
	MAKES_NONE(drupe_kernel_boot(&options, &error), DRUPE_ERROR_BOOT,
		   "command line has 511 bytes; at most");
	options.size = 3;
	MAKES_NONE(drupe_kernel_boot(&options, &error), DRUPE_ERROR_ARGUMENT, "DRUPE_INIT");
	CHECK(drupe_error_code(NULL) == 0 && *drupe_error_message(NULL) == '\0');
	drupe_error_free(NULL);
	drupe_kernel_free(NULL);
	drupe_free(NULL);

	/* An older program's options are shorter, a newer one's longer. */
	{
		struct {
			struct drupe_kernel_options options;
			uint64_t newer;
		} longer;
		memset(&longer, 0, sizeof(longer));
		longer.options.size = sizeof(longer);
		MAKE(second, drupe_kernel_boot(&longer.options, &error));
		drupe_kernel_free(second);
		longer.newer = 1;
		MAKES_NONE(drupe_kernel_boot(&longer.options, &error), DRUPE_ERROR_ARGUMENT,
			   "newer drupe.h");
		longer.options.size = sizeof(size_t) + sizeof(uint64_t);
		longer.options.flags = 1u << 31; /* beyond what it has */
		MAKE(second, drupe_kernel_boot(&longer.options, &error));
		drupe_kernel_free(second);
	}

	forks(kernel);
	OK(drupe_kernel_halt(kernel, &error));
	FAILS(drupe_syscall(kernel, DRUPE_NR_getpid, arguments, &result, &error),
	      DRUPE_ERROR_HALTED, "halted");
	OK(drupe_kernel_log(kernel, &text, &error));
	drupe_free(text);
	drupe_kernel_free(kernel);
	return 0;
}
