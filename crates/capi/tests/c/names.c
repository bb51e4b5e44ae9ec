/* Functions with the names of what the library contains. */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

const char *ZSTD_versionString(void);
size_t ZSTD_compressStream2(void);
int lzma_code(void);

const char *ZSTD_versionString(void)
{
	return "mine";
}

size_t ZSTD_compressStream2(void)
{
	abort();
}

int lzma_code(void)
{
	abort();
}

/* Archives that are compressed with what is in the library. */
int main(void)
{
	struct drupe_tree_options options;
	drupe_kernel *kernel;
	drupe_mount *mount;
	uint32_t format;
	FILE *archive;

	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(mount, drupe_mount_virtual(kernel, "tmpfs", NULL, &error));
	OK(drupe_mkdir(mount, "/dir", 0755, &error));
	OK(drupe_mkdir(mount, "/out", 0755, &error));
	for (format = DRUPE_GZIP; format <= DRUPE_XZ; format++) {
		DRUPE_INIT(&options);
		options.compression = format;
		archive = tmpfile();
		CHECK(archive);
		OK(drupe_tar(mount, "/dir", fileno(archive), &options, &error));
		CHECK(lseek(fileno(archive), 0, SEEK_SET) == 0);
		options.compression = 0;
		OK(drupe_untar(mount, "/out", fileno(archive), &options, &error));
		fclose(archive);
	}
	CHECK(strcmp(ZSTD_versionString(), "mine") == 0);
	drupe_mount_free(mount);
	drupe_kernel_free(kernel);
	return 0;
}
