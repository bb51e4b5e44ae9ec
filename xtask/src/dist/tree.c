/* Copies a tree into the filesystem of an image and out again, with libdrupe. */
#include <drupe.h>
#include <stdio.h>

static void told(void *data, const char *message)
{
	(void)data;
	fprintf(stderr, "%s\n", message);
}

static int failed(drupe_error *error)
{
	fprintf(stderr, "%s\n", drupe_error_message(error));
	drupe_error_free(error);
	return 1;
}

int main(int argc, char **argv)
{
	struct drupe_tree_options options = {
		.size = sizeof(options), .flags = DRUPE_ARCHIVE, .problem = told,
	};
	drupe_error *error = NULL;

	if (argc != 4)
		return 2;
	drupe_kernel *kernel = drupe_kernel_boot(NULL, &error);
	if (!kernel)
		return failed(error);
	drupe_disk *disk = drupe_disk_add_file(kernel, argv[1], NULL, &error);
	if (!disk)
		return failed(error);
	drupe_partition *whole = drupe_disk_whole(disk, &error);
	if (!whole)
		return failed(error);
	drupe_mount *root = drupe_partition_mount(whole, NULL, &error);
	if (!root)
		return failed(error);
	if (drupe_copy_in(argv[2], root, "/tree", &options, &error) != 0)
		return failed(error);
	if (drupe_copy_out(root, "/tree", argv[3], &options, &error) != 0)
		return failed(error);
	if (drupe_umount(root, &error) != 0)
		return failed(error);
	drupe_partition_free(whole);
	drupe_disk_free(disk);
	drupe_kernel_free(kernel);
	return 0;
}
