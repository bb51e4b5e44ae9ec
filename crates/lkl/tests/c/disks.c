/* Disks: a file, a file that is read only, one with a partition, the program's own.
 * Arguments: an ext4 image, a disk whose first partition is one. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char *memory;
static unsigned long long memory_size;
static int flushes, broken, panics;

static int capacity(struct lkl_disk disk, unsigned long long *size)
{
	CHECK(disk.handle == &memory);
	*size = memory_size;
	return 0;
}

static int request(struct lkl_disk disk, struct lkl_blk_req *req)
{
	unsigned long long offset = req->sector * 512;

	CHECK(disk.handle == &memory);
	if (broken)
		return LKL_DEV_BLK_STATUS_IOERR;
	switch (req->type) {
	case LKL_DEV_BLK_TYPE_FLUSH:
	case LKL_DEV_BLK_TYPE_FLUSH_OUT:
		__atomic_add_fetch(&flushes, 1, __ATOMIC_RELAXED);
		return LKL_DEV_BLK_STATUS_OK;
	case LKL_DEV_BLK_TYPE_READ:
	case LKL_DEV_BLK_TYPE_WRITE:
		break;
	default:
		return LKL_DEV_BLK_STATUS_UNSUP;
	}
	for (int i = 0; i < req->count; i++) {
		CHECK(offset + req->buf[i].iov_len <= memory_size);
		if (req->type == LKL_DEV_BLK_TYPE_READ)
			memcpy(req->buf[i].iov_base, memory + offset, req->buf[i].iov_len);
		else
			memcpy(memory + offset, req->buf[i].iov_base, req->buf[i].iov_len);
		offset += req->buf[i].iov_len;
	}
	return LKL_DEV_BLK_STATUS_OK;
}

static struct lkl_dev_blk_ops own_ops = {.get_capacity = capacity, .request = request};

/* Writes a file, and finds it again after another mount. */
static void use(int disk, unsigned int part)
{
	char path[64], mount[32], text[16] = "";
	int fd;

	for (int round = 0; round < 2; round++) {
		OK(lkl_mount_dev(disk, part, "ext4", 0, NULL, mount, sizeof(mount)));
		snprintf(path, sizeof(path), "%s/file", mount);
		if (round == 0) {
			MAKE(fd, lkl_sys_creat(path, 0600));
			RETURNS(5, lkl_sys_write(fd, "hello", 5));
			OK(lkl_sys_fsync(fd));
		} else {
			MAKE(fd, lkl_sys_open(path, LKL_O_RDONLY, 0));
			RETURNS(5, lkl_sys_read(fd, text, sizeof(text)));
			CHECK(!strcmp(text, "hello"));
		}
		/* It is busy as long as the file is open. */
		RETURNS(-LKL_EBUSY, lkl_umount_dev(disk, part, 0, 20));
		OK(lkl_sys_close(fd));
		OK(lkl_umount_dev(disk, part, 0, 1000));
		RETURNS(-LKL_ENOENT, lkl_sys_access(mount, 0));
	}
}

static void note_panic(void)
{
	panics++;
}

/* The kernel is told to die when the disk fails. The program does not. */
static void die(int disk)
{
	char mount[32];

	OK(lkl_mount_dev(disk, 0, "ext4", 0, "errors=panic", mount, sizeof(mount)));
	OK(lkl_sysctl("vm.drop_caches", "3"));
	broken = 1;
	RETURNS(0, panics);
	RETURNS(-LKL_ENOTRECOVERABLE, lkl_sys_access(strcat(mount, "/none"), 0));
	RETURNS(-LKL_ENOTRECOVERABLE, lkl_sys_getpid());
	RETURNS(1, panics);
	broken = 0;
}

static void read_all(const char *path)
{
	struct stat stat;
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0 && fstat(fd, &stat) == 0);
	memory_size = stat.st_size;
	memory = malloc(memory_size);
	CHECK(memory && read(fd, memory, memory_size) == stat.st_size);
	close(fd);
}

int main(int argc, char **argv)
{
	struct lkl_disk file = {0}, own = {.handle = &memory, .ops = &own_ops}, table = {0},
			only = {0}, none = {.fd = -1}, wrong = {0};
	int file_id, own_id, table_id, only_id;
	unsigned int device, part;
	char mount[32], small[4];

	CHECK(argc == 3);
	read_all(argv[1]);
	OK(lkl_init(&lkl_host_ops));
	lkl_host_ops.print = NULL;
	lkl_host_ops.panic = note_panic;

	RETURNS(-LKL_EBADF, lkl_disk_add(&none));
	wrong.fd = open("/", O_RDONLY);
	RETURNS(-LKL_EINVAL, lkl_disk_add(&wrong));
	close(wrong.fd);
	RETURNS(-LKL_ENODEV, lkl_disk_remove(none));

	file.fd = open(argv[1], O_RDWR);
	MAKE(file_id, lkl_disk_add(&file));
	/* It has a descriptor of its own, and nobody else may write to the file. */
	close(file.fd);
	wrong.fd = open(argv[1], O_RDWR);
	RETURNS(-LKL_EAGAIN, lkl_disk_add(&wrong));
	close(wrong.fd);
	MAKE(own_id, lkl_disk_add(&own));
	OK(lkl_start_kernel("mem=64M"));
	use(file_id, 0);
	use(own_id, 0);
	CHECK(flushes > 0);

	/* Added while the kernel runs, with operations by name. */
	table.fd = open(argv[2], O_RDWR);
	table.ops = &lkl_dev_blk_ops;
	MAKE(table_id, lkl_disk_add(&table));
	use(table_id, 1);
	OK(lkl_get_virtio_blkdev(table_id, 0, &device));
	OK(lkl_get_virtio_blkdev(table_id, 1, &part));
	CHECK(LKL_MAJOR(device) || device != part);
	RETURNS(-LKL_ENOENT, lkl_get_virtio_blkdev(table_id, 2, &part));
	RETURNS(-LKL_ENODEV, lkl_get_virtio_blkdev(99, 0, &part));
	RETURNS(-LKL_EINVAL, lkl_get_virtio_blkdev(-1, 0, &part));
	RETURNS(-LKL_EINVAL, lkl_mount_dev(table_id, 0, "ext4", 0, NULL, mount, sizeof(mount)));
	RETURNS(-LKL_ENODEV, lkl_mount_dev(table_id, 1, "none", 0, NULL, mount, sizeof(mount)));
	RETURNS(-LKL_ENOMEM, lkl_mount_dev(table_id, 1, "ext4", 0, NULL, small, sizeof(small)));
	RETURNS(-LKL_EINVAL, lkl_mount_dev(table_id, 1, "ext4", 0, "no=such", mount, sizeof(mount)));
	OK(lkl_mount_dev(table_id, 1, "ext4", LKL_MS_RDONLY, "noload", mount, sizeof(mount)));
	RETURNS(-LKL_EROFS, lkl_sys_mkdir(strcat(mount, "/dir"), 0700));
	RETURNS(-LKL_EBUSY, lkl_disk_remove(table));
	OK(lkl_umount_dev(table_id, 1, 0, 1000));
	OK(lkl_disk_remove(table));
	RETURNS(-LKL_ENODEV, lkl_disk_remove(table));
	close(table.fd);

	/* A descriptor that cannot write. Its number is free again. */
	only.fd = open(argv[2], O_RDONLY);
	MAKE(only_id, lkl_disk_add(&only));
	RETURNS(table_id, only_id);
	RETURNS(-LKL_EACCES, lkl_mount_dev(only_id, 1, "ext4", 0, NULL, mount, sizeof(mount)));
	OK(lkl_mount_dev(only_id, 1, "ext4", LKL_MS_RDONLY, NULL, mount, sizeof(mount)));
	CHECK(!strcmp(contents(strcat(mount, "/file")), "hello"));
	OK(lkl_umount_dev(only_id, 1, 0, 1000));

	/* A disk that fails. */
	broken = 1;
	RETURNS(-LKL_EIO, lkl_mount_dev(own_id, 0, "ext4", 0, NULL, mount, sizeof(mount)));
	broken = 0;

	/* Disks stay when the kernel goes, and are those of the next one. */
	OK(lkl_sys_halt());
	OK(lkl_disk_remove(only));
	close(only.fd);
	OK(lkl_start_kernel("mem=64M"));
	use(own_id, 0);
	use(file_id, 0);
	die(own_id);
	lkl_cleanup();
	RETURNS(0, lkl_is_running());

	/* The next one knows nothing of it. */
	OK(lkl_init(&lkl_host_ops));
	OK(lkl_start_kernel("mem=64M"));
	use(own_id, 0);
	lkl_cleanup();
	OK(lkl_disk_remove(file));
	OK(lkl_disk_remove(own));
	free(memory);
	return 0;
}
