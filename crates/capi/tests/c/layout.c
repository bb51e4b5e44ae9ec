/* The structures are as the library has them; drupe.h stands alone, as old C too. */
#include "drupe.h"
#include "drupe_nr.h"

#define SAME(name, size) typedef char name##_is_##size[sizeof(struct name) == (size) ? 1 : -1]

SAME(drupe_kernel_options, 48);
SAME(drupe_disk_options, 24);
SAME(drupe_disk_callbacks, 64);
SAME(drupe_disk_info, 128);
SAME(drupe_partition_info, 672);
SAME(drupe_mount_options, 32);
SAME(drupe_statfs, 128);
SAME(drupe_stat, 160);
SAME(drupe_tree_options, 40);
SAME(drupe_event, 16);

int main(void)
{
	struct drupe_mount_options options;

	DRUPE_INIT(&options);
	return options.size == sizeof(options) && DRUPE_NR_openat == 56 ? 0 : 1;
}
