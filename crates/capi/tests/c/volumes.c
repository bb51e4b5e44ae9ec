/* volumes IMAGE FILESYSTEM: a GPT with a filesystem called "first", and an empty LUKS volume
 * called "secret" (its passphrase is "pass"), which gets the other filesystem. */
#include <errno.h>
#include <fcntl.h>

#include "check.h"
#include "drupe_nr.h"

/* Tries a wrong passphrase first. */
static ptrdiff_t passphrase(void *data, const char *id, uint32_t wrong, char *buffer,
			    size_t capacity)
{
	const char *text = wrong == 0 ? "no" : "pass";

	CHECK(strcmp(id, "2") == 0 && capacity >= 5);
	++*(int *)data;
	memcpy(buffer, text, strlen(text));
	return (ptrdiff_t)strlen(text);
}

/* A disk is of one kernel. */
static void another_kernel(drupe_disk *disk)
{
	drupe_kernel *other;

	MAKE(other, drupe_kernel_boot(NULL, &error));
	MAKES_NONE(drupe_volumes_find(other, &disk, 1, NULL, NULL, &error), DRUPE_ERROR_ARGUMENT,
		   "`disks[0]` is a disk of another kernel");
	drupe_kernel_free(other);
}

static void mounts(drupe_partition *partition)
{
	struct drupe_mount_options options;
	drupe_mount *mount;

	DRUPE_INIT(&options);
	options.fstype = "ext4";
	MAKE(mount, drupe_partition_mount(partition, &options, &error));
	OK(drupe_umount(mount, &error));
	drupe_partition_free(partition);
}

static uint64_t system_call(drupe_kernel *kernel, int64_t number, uint64_t one, const void *two,
			    uint64_t three)
{
	uint64_t arguments[6] = {one, (uint64_t)(uintptr_t)two, three, 0, 0, 0}, result;

	OK(drupe_syscall(kernel, number, arguments, &result, &error));
	return result;
}

/* Writes a filesystem to a device, with the kernel's own system calls. */
static void fill(drupe_kernel *kernel, drupe_partition *partition, const char *path)
{
	static char buffer[1 << 16];
	struct drupe_partition_info info;
	char device[64];
	FILE *stream = fopen(path, "rb");
	uint64_t file;
	size_t len;

	CHECK(stream);
	OK(drupe_partition_info(partition, &info, &error));
	snprintf(device, sizeof(device), "/dev/%s", info.device);
	file = system_call(kernel, DRUPE_NR_openat, (uint64_t)AT_FDCWD, device, O_WRONLY);
	while ((len = fread(buffer, 1, sizeof(buffer), stream)) > 0)
		CHECK(system_call(kernel, DRUPE_NR_write, file, buffer, len) == len);
	system_call(kernel, DRUPE_NR_fsync, file, NULL, 0);
	system_call(kernel, DRUPE_NR_close, file, NULL, 0);
	fclose(stream);
}

int main(int argc, char **argv)
{
	struct drupe_partition_info info;
	drupe_kernel *kernel;
	drupe_disk *disk;
	drupe_partition *partition, *unlocked;
	drupe_volumes *volumes;
	uint32_t numbers[1] = {0};
	const char *id;
	size_t count;
	int asked = 0;

	CHECK(argc == 3);
	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(disk, drupe_disk_add_file(kernel, argv[1], NULL, &error));
	OK(drupe_disk_partitions(disk, NULL, 0, &count, &error));
	CHECK(count == 2);
	OK(drupe_disk_partitions(disk, numbers, 1, &count, &error));
	CHECK(count == 2 && numbers[0] == 1);
	FAILS(drupe_disk_partitions(disk, NULL, 1, &count, &error), DRUPE_ERROR_ARGUMENT,
	      "numbers");
	MAKES_NONE(drupe_disk_partition(disk, 7, &error), DRUPE_ERROR_NO_PARTITION, "1, 2");
	MAKES_NONE(drupe_disk_partition_labelled(disk, "none", &error),
		   DRUPE_ERROR_NO_PARTITION, "none");

	MAKE(partition, drupe_disk_partition(disk, 1, &error));
	OK(drupe_partition_info(partition, &info, &error));
	CHECK(info.number == 1 && strcmp(info.device, "vda1") == 0);
	CHECK(strcmp(info.type, "ext4") == 0 && strcmp(info.label, "lower") == 0);
	CHECK(strcmp(info.name, "first") == 0 && info.start == 1 << 20);
	mounts(partition);
	/* By the filesystem's label, and by the partition's. */
	MAKE(partition, drupe_disk_partition_labelled(disk, "lower", &error));
	mounts(partition);
	MAKE(partition, drupe_disk_partition_labelled(disk, "secret", &error));
	OK(drupe_partition_info(partition, &info, &error));
	CHECK(strcmp(info.type, "crypto_LUKS") == 0);
	MAKES_NONE(drupe_partition_mount(partition, NULL, &error), DRUPE_ERROR_NO_FILESYSTEM,
		   "crypto_LUKS");
	MAKES_NONE(drupe_partition_unlock(partition, "wrong", 5, &error),
		   DRUPE_ERROR_PASSPHRASE, "passphrase");
	MAKE(unlocked, drupe_partition_unlock(partition, "pass", 4, &error));
	drupe_partition_free(partition);
	fill(kernel, unlocked, argv[2]);
	mounts(unlocked);

	another_kernel(disk);
	MAKE(volumes, drupe_volumes_find(kernel, &disk, 1, passphrase, &asked, &error));
	CHECK(asked == 2);
	CHECK(drupe_volumes_count(volumes) == 4);
	OK(drupe_volumes_id(volumes, 3, &id, &error));
	CHECK(strcmp(id, "2/luks") == 0);
	OK(drupe_volumes_trouble(volumes, 2, &error));
	MAKE(partition, drupe_volumes_open(volumes, "2/luks", &error));
	mounts(partition);
	MAKES_NONE(drupe_volumes_open(volumes, "3", &error), DRUPE_ERROR_NO_PARTITION, "\"3\"");
	drupe_volumes_free(volumes);
	MAKE(volumes, drupe_volumes_find(kernel, &disk, 1, NULL, NULL, &error));
	FAILS(drupe_volumes_trouble(volumes, 2, &error), DRUPE_ERROR_LOCKED, "encrypted");
	FAILS(drupe_volumes_id(volumes, 9, &id, &error), DRUPE_ERROR_ARGUMENT, "index");
	drupe_volumes_free(volumes);
	drupe_disk_free(disk);
	drupe_kernel_free(kernel);
	return 0;
}
