/* Two threads write and read files of one mount at the same time; then the handles go in an
 * order of their own. */
#include <fcntl.h>
#include <pthread.h>

#include "check.h"

#define ROUNDS 200

struct worker {
	drupe_mount *mount;
	int number;
};

static void *work(void *data)
{
	struct worker *worker = data;
	char path[32], text[32], buffer[32];
	drupe_file *file;
	size_t done;
	int round;

	snprintf(path, sizeof(path), "/%d", worker->number);
	for (round = 0; round < ROUNDS; round++) {
		int len = snprintf(text, sizeof(text), "%d %d", worker->number, round);

		MAKE(file, drupe_open(worker->mount, path, O_RDWR | O_CREAT | O_TRUNC, 0644,
				      &error));
		OK(drupe_file_write(file, text, (size_t)len, &done, &error));
		OK(drupe_file_pread(file, buffer, sizeof(buffer), 0, &done, &error));
		CHECK(done == (size_t)len && memcmp(text, buffer, done) == 0);
		drupe_file_close(file);
	}
	return NULL;
}

int main(void)
{
	struct worker workers[2];
	pthread_t threads[2];
	drupe_kernel *kernel;
	drupe_mount *mount;
	drupe_file *file;
	size_t done;
	int n;

	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(mount, drupe_mount_virtual(kernel, "tmpfs", NULL, &error));
	for (n = 0; n < 2; n++) {
		workers[n].mount = mount;
		workers[n].number = n;
		CHECK(pthread_create(&threads[n], NULL, work, &workers[n]) == 0);
	}
	for (n = 0; n < 2; n++)
		CHECK(pthread_join(threads[n], NULL) == 0);

	/* The file keeps its mount, and that its kernel. */
	MAKE(file, drupe_open(mount, "/last", O_RDWR | O_CREAT, 0644, &error));
	drupe_kernel_free(kernel);
	drupe_mount_free(mount);
	OK(drupe_file_write(file, "x", 1, &done, &error));
	drupe_file_close(file);
	return 0;
}
