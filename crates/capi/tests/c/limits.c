/* A program that may start no thread: copies are an error, or do with one. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
	const struct rlimit none = {0, 0};
	static char big[4 << 20];
	drupe_kernel *kernel;
	drupe_mount *mount;
	drupe_file *file;
	size_t done;
	int archive;

	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(mount, drupe_mount_virtual(kernel, "tmpfs", NULL, &error));
	MAKE(file, drupe_open(mount, "/file", O_WRONLY | O_CREAT, 0644, &error));
	OK(drupe_file_write(file, big, sizeof(big), &done, &error));
	drupe_file_close(file);
	archive = open("/dev/null", O_WRONLY);
	CHECK(archive >= 0);

	/* The limit does not hold for root. */
	if (geteuid() == 0)
		CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
	FAILS(drupe_copy(mount, "/file", mount, "/copy", NULL, &error), EAGAIN, "start thread");
	FAILS(drupe_copy_out(mount, "/file", "/nowhere/copy", NULL, &error), EAGAIN,
	      "start thread");
	FAILS(drupe_tar(mount, "/", archive, NULL, &error), EAGAIN, "start thread");
	OK(drupe_umount(mount, &error));
	drupe_kernel_free(kernel);
	return 0;
}
