/* image IMAGE TREE OUT ARCHIVE: a tree of the host into an ext4 image, looked at, out again
 * as a tree and as an archive, and the archive in. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static drupe_mount *mount_image(drupe_disk *disk, uint32_t flags)
{
	struct drupe_mount_options options;
	drupe_partition *whole;
	drupe_mount *mount;

	DRUPE_INIT(&options);
	options.flags = flags;
	options.options = "noatime";
	MAKE(whole, drupe_disk_whole(disk, &error));
	MAKE(mount, drupe_partition_mount(whole, &options, &error));
	drupe_partition_free(whole);
	return mount;
}

/* Calls on paths and on an open file, in a directory of their own. */
static void files(drupe_mount *mount)
{
	struct drupe_time times[2] = {{0, DRUPE_TIME_OMIT, 0}, {-5, 123456789, 0}};
	struct drupe_stat stat;
	struct drupe_statfs space;
	drupe_file *file;
	drupe_dir *dir;
	char buffer[64], *text;
	const char *name;
	uint32_t type;
	uint64_t ino, position;
	size_t done;
	int found = 0, more;

	OK(drupe_mkdir(mount, "work", 0711, &error));
	OK(drupe_mkdir_all(mount, "/work/a/b", &error));
	MAKE(file, drupe_open(mount, "/work/file", O_RDWR | O_CREAT | O_EXCL, 0600, &error));
	OK(drupe_file_write(file, "hello world", 11, &done, &error));
	CHECK(done == 11);
	OK(drupe_file_pwrite(file, "W", 1, 6, &done, &error));
	OK(drupe_file_seek(file, -5, SEEK_END, &position, &error));
	CHECK(position == 6);
	OK(drupe_file_read(file, buffer, sizeof(buffer), &done, &error));
	CHECK(done == 5 && memcmp(buffer, "World", 5) == 0);
	OK(drupe_file_read(file, buffer, sizeof(buffer), &done, &error));
	CHECK(done == 0);
	OK(drupe_file_pread(file, buffer, 5, 0, &done, &error));
	CHECK(done == 5 && memcmp(buffer, "hello", 5) == 0);
	OK(drupe_file_truncate(file, 5, &error));
	OK(drupe_file_sync(file, DRUPE_DATA_ONLY, &error));
	OK(drupe_file_chmod(file, 0640, &error));
	OK(drupe_file_stat(file, &stat, &error));
	CHECK(stat.size == 5 && stat.mode == (S_IFREG | 0640) && stat.nlink == 1);
	FAILS(drupe_file_seek(file, -1, SEEK_SET, NULL, &error), EINVAL, "seek");
	drupe_file_close(file);

	OK(drupe_utimens(mount, "/work/file", times, 0, &error));
	OK(drupe_chown(mount, "/work/file", 1234, UINT32_MAX, 0, &error));
	OK(drupe_stat(mount, "/work/file", 0, &stat, &error));
	CHECK(stat.mtime.sec == -5 && stat.mtime.nsec == 123456789);
	CHECK(stat.uid == 1234 && stat.gid == 0);
	OK(drupe_symlink(mount, "file", "/work/link", &error));
	OK(drupe_stat(mount, "/work/link", DRUPE_NOFOLLOW, &stat, &error));
	CHECK(S_ISLNK(stat.mode) && stat.size == 4);
	OK(drupe_readlink(mount, "/work/link", &text, &error));
	CHECK(strcmp(text, "file") == 0);
	drupe_free(text);
	OK(drupe_link(mount, "/work/file", "/work/other", &error));
	OK(drupe_rename(mount, "/work/other", "/work/a/other", &error));
	OK(drupe_chmod(mount, "/work/link", 0604, &error));
	OK(drupe_truncate(mount, "/work/link", 3, &error));
	OK(drupe_stat(mount, "/work/a/other", 0, &stat, &error));
	CHECK(stat.nlink == 2 && stat.size == 3 && (stat.mode & 07777) == 0604);
	OK(drupe_mknod(mount, "/work/null", S_IFCHR | 0666, 1, 3, &error));

	OK(drupe_setxattr(mount, "/work/file", "user.note", "a\0b", 3, 0, &error));
	OK(drupe_getxattr(mount, "/work/file", "user.note", 0, &text, &done, &error));
	CHECK(done == 3 && memcmp(text, "a\0b", 4) == 0);
	drupe_free(text);
	OK(drupe_listxattr(mount, "/work/file", 0, &text, &done, &error));
	CHECK(done == 10 && strcmp(text, "user.note") == 0);
	drupe_free(text);
	OK(drupe_removexattr(mount, "/work/file", "user.note", 0, &error));
	FAILS(drupe_getxattr(mount, "/work/file", "user.note", 0, &text, &done, &error), ENODATA,
	      "ENODATA");

	MAKE(dir, drupe_dir_open(mount, "/work", &error));
	do {
		drupe_error *error = NULL;
		more = drupe_dir_read(dir, &name, &type, &ino, &error);
		if (more < 0)
			check_failed(__FILE__, __LINE__, "drupe_dir_read", error);
		if (more && strcmp(name, "null") == 0)
			found = type == DT_CHR && ino != 0;
	} while (more);
	CHECK(found);
	drupe_dir_close(dir);

	FAILS(drupe_mkdir(mount, "/work", 0755, &error), EEXIST, "/work");
	FAILS(drupe_rmdir(mount, "/work", &error), ENOTEMPTY, "ENOTEMPTY");
	FAILS(drupe_stat(mount, "/../../work/none", 0, &stat, &error), ENOENT, "ENOENT");
	OK(drupe_unlink(mount, "/work/null", &error));
	OK(drupe_rmdir(mount, "/work/a/b", &error));
	FAILS(drupe_rmdir_all(mount, "/", &error), EBUSY, "/");
	FAILS(drupe_rmdir_all(mount, "/work/..", &error), EBUSY, "/work/..");
	FAILS(drupe_rmdir_all(mount, ".", &error), EBUSY, ".");
	OK(drupe_stat(mount, "/work", 0, &stat, &error));
	OK(drupe_rmdir_all(mount, "/work", &error));
	OK(drupe_statfs(mount, &space, &error));
	CHECK(space.name_max == 255 && space.magic == 0xef53 && space.bytes > space.bytes_free);
}

struct archiver {
	drupe_mount *mount;
	struct drupe_tree_options options;
	int pipe[2];
};

/* Writes an archive to a pipe that nobody reads. */
static void *archive_for_ever(void *data)
{
	struct archiver *archiver = data;

	FAILS(drupe_tar(archiver->mount, "/tree", archiver->pipe[1], &archiver->options, &error),
	      DRUPE_ERROR_CANCELLED, "interrupted");
	return NULL;
}

/* A call that waits is cancelled by another thread. */
static void cancels(drupe_mount *mount)
{
	struct archiver archiver;
	struct pollfd begun;
	pthread_t thread;

	archiver.mount = mount;
	CHECK(pipe2(archiver.pipe, O_NONBLOCK) == 0);
	DRUPE_INIT(&archiver.options);
	MAKE(archiver.options.cancel, drupe_cancel_new(&error));
	CHECK(pthread_create(&thread, NULL, archive_for_ever, &archiver) == 0);
	begun.fd = archiver.pipe[0];
	begun.events = POLLIN;
	CHECK(poll(&begun, 1, -1) == 1);
	OK(drupe_cancel_set(archiver.options.cancel, &error));
	CHECK(pthread_join(thread, NULL) == 0);
	drupe_cancel_free(archiver.options.cancel);
	close(archiver.pipe[0]);
	close(archiver.pipe[1]);
}

static void count(void *data, const char *message)
{
	(void)message;
	++*(int *)data;
}

int main(int argc, char **argv)
{
	struct drupe_tree_options options;
	struct drupe_disk_info info;
	drupe_cancel *cancel;
	drupe_kernel *kernel;
	drupe_disk *disk;
	drupe_mount *mount;
	drupe_file *file;
	size_t done;
	int archive, problems = 0;

	CHECK(argc == 5);
	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(disk, drupe_disk_add_file(kernel, argv[1], NULL, &error));
	OK(drupe_disk_info(disk, &info, &error));
	CHECK(strcmp(info.device, "vda") == 0 && strcmp(info.format, "raw") == 0);
	mount = mount_image(disk, 0);

	DRUPE_INIT(&options);
	options.flags = DRUPE_ARCHIVE;
	OK(drupe_copy_in(argv[2], mount, "/tree", &options, &error));
	files(mount);
	OK(drupe_mount_sync(mount, &error));
	OK(drupe_umount(mount, &error));

	/* Again, to read only. */
	mount = mount_image(disk, DRUPE_READ_ONLY);
	FAILS(drupe_mkdir(mount, "/no", 0755, &error), EROFS, "EROFS");
	FAILS(drupe_disk_remove(disk, &error), EBUSY, "EBUSY");
	umask(022);
	OK(drupe_copy_out(mount, "/tree", argv[3], &options, &error));
	CHECK(umask(022) == 022);
	archive = open(argv[4], O_RDWR | O_CREAT, 0600);
	CHECK(archive >= 0);
	DRUPE_INIT(&options);
	options.compression = DRUPE_ZSTD;
	OK(drupe_tar(mount, "/tree", archive, &options, &error));
	OK(drupe_umount(mount, &error));

	/* The archive in, and a copy within the image. */
	mount = mount_image(disk, 0);
	DRUPE_INIT(&options);
	OK(drupe_mkdir(mount, "/again", 0755, &error));
	CHECK(lseek(archive, 0, SEEK_SET) == 0);
	OK(drupe_untar(mount, "/again", archive, &options, &error));
	options.flags = DRUPE_ARCHIVE;
	OK(drupe_copy(mount, "/again", mount, "/third", &options, &error));
	FAILS(drupe_copy(mount, "/third", mount, "/third/in", &options, &error),
	      DRUPE_ERROR_INCOMPLETE, "into itself");

	/* A source that is not there is the call's own error. */
	options.problem = count;
	options.problem_data = &problems;
	FAILS(drupe_copy_in("/nowhere/at/all", mount, "/x", &options, &error), ENOENT,
	      "/nowhere/at/all");
	FAILS(drupe_copy_out(mount, "/nowhere", argv[3], &options, &error), ENOENT, "/nowhere");
	FAILS(drupe_copy(mount, "/nowhere", mount, "/x", &options, &error), ENOENT, "/nowhere");
	CHECK(problems == 0);

	/* Flags that are others'. */
	FAILS(drupe_tar(mount, "/tree", archive, &options, &error), DRUPE_ERROR_ARGUMENT,
	      "DRUPE_ARCHIVE is for copies");
	FAILS(drupe_untar(mount, "/none", archive, &options, &error), DRUPE_ERROR_ARGUMENT,
	      "DRUPE_ARCHIVE is for copies");
	options.flags = DRUPE_NUMERIC_OWNER;
	FAILS(drupe_copy(mount, "/tree", mount, "/x", &options, &error), DRUPE_ERROR_ARGUMENT,
	      "DRUPE_NUMERIC_OWNER is for archives");
	options.flags = 1u << 7;
	FAILS(drupe_tar(mount, "/tree", archive, &options, &error), DRUPE_ERROR_ARGUMENT,
	      "0x80 have no meaning here, where 0x2 are");
	options.flags = 0;
	FAILS(drupe_tar(mount, "/nowhere", archive, &options, &error), ENOENT, "/nowhere");
	FAILS(drupe_untar(mount, "/none", archive, &options, &error), ENOENT, "/none");
	FAILS(drupe_untar(mount, "/", -1, &options, &error), DRUPE_ERROR_ARGUMENT, "descriptor");
	FAILS(drupe_untar(mount, "/", 4242, &options, &error), EBADF, "duplicate descriptor: ");
	close(archive);

	/* Cancelled before it begins. */
	MAKE(cancel, drupe_cancel_new(&error));
	OK(drupe_cancel_set(cancel, &error));
	OK(drupe_cancel_set(cancel, &error));
	options.cancel = cancel;
	FAILS(drupe_copy_in(argv[2], mount, "/cancelled", &options, &error),
	      DRUPE_ERROR_CANCELLED, "interrupted");
	drupe_cancel_free(cancel);

	cancels(mount);

	/* EBUSY: a file is open. The last handle unmounts. */
	MAKE(file, drupe_open(mount, "/again", O_RDONLY | O_DIRECTORY, 0, &error));
	FAILS(drupe_file_read(file, argv, 1, &done, &error), EISDIR, "read: Is a directory");
	FAILS(drupe_umount(mount, &error), EBUSY, "EBUSY");
	drupe_file_close(file);
	OK(drupe_disk_remove(disk, &error));
	drupe_disk_free(disk);
	OK(drupe_kernel_halt(kernel, &error));
	drupe_kernel_free(kernel);
	return 0;
}
