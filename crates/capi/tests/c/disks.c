/* disks IMAGE: the same image as a buffer and as functions of the program's; the file keeps
 * what it was. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* A disk in memory, whose functions count. */
struct memory {
	pthread_mutex_t lock;
	unsigned char *bytes;
	size_t len;
	int reads, writes, flushes, releases, fails, read_fails;
	drupe_kernel *halts; /* what is halted while it is written to */
	int refused;         /* how often that was refused */
	mode_t umask;        /* what the process's is to be; 0: anything */
	int other_umasks;
};

/* A kernel that waits for a disk cannot be halted by it. */
static void halts(struct memory *memory)
{
	drupe_error *error = NULL;

	if (memory->halts && drupe_kernel_halt(memory->halts, &error) == -1) {
		memory->refused += drupe_error_code(error) == DRUPE_ERROR_REENTERED;
		drupe_error_free(error);
	}
}

static int memory_read(void *data, void *buffer, size_t len, uint64_t offset)
{
	struct memory *memory = data;

	int failed;

	pthread_mutex_lock(&memory->lock);
	if (memory->umask)
		memory->other_umasks += umask(memory->umask) != memory->umask;
	memory->reads++;
	failed = memory->read_fails;
	if (!failed)
		memcpy(buffer, memory->bytes + offset, len);
	pthread_mutex_unlock(&memory->lock);
	return failed ? EIO : 0;
}

static int memory_write(void *data, const void *buffer, size_t len, uint64_t offset)
{
	struct memory *memory = data;
	int failed;

	pthread_mutex_lock(&memory->lock);
	halts(memory);
	memory->writes++;
	failed = memory->fails;
	if (!failed)
		memcpy(memory->bytes + offset, buffer, len);
	pthread_mutex_unlock(&memory->lock);
	return failed ? EIO : 0;
}

static int memory_flush(void *data)
{
	struct memory *memory = data;

	pthread_mutex_lock(&memory->lock);
	memory->flushes++;
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_release(void *data)
{
	((struct memory *)data)->releases++;
}

/* The kernel that a log callback calls, though it must not; how often that was refused. */
static drupe_kernel *called;
static int refused;

static void logged(void *data, const char *text, size_t len)
{
	drupe_error *error = NULL;
	char *release;

	(void)data, (void)text, (void)len;
	if (called && drupe_kernel_release(called, &release, &error) == -1) {
		refused += drupe_error_code(error) == DRUPE_ERROR_REENTERED;
		drupe_error_free(error);
	}
}

static drupe_mount *mount(drupe_disk *disk)
{
	drupe_partition *whole;
	drupe_mount *mount;

	MAKE(whole, drupe_disk_whole(disk, &error));
	MAKE(mount, drupe_partition_mount(whole, NULL, &error));
	drupe_partition_free(whole);
	return mount;
}

/* Writes a file, and reads it through another mount. */
static void write_and_read(drupe_disk *disk, const char *text)
{
	char buffer[64];
	drupe_mount *root = mount(disk);
	drupe_file *file;
	size_t done;

	MAKE(file, drupe_open(root, "/note", O_WRONLY | O_CREAT | O_TRUNC, 0644, &error));
	OK(drupe_file_write(file, text, strlen(text), &done, &error));
	OK(drupe_file_sync(file, 0, &error));
	drupe_file_close(file);
	OK(drupe_umount(root, &error));
	root = mount(disk);
	MAKE(file, drupe_open(root, "/note", O_RDONLY, 0, &error));
	OK(drupe_file_read(file, buffer, sizeof(buffer), &done, &error));
	CHECK(done == strlen(text) && memcmp(buffer, text, done) == 0);
	drupe_file_close(file);
	OK(drupe_umount(root, &error));
}

/* A copy leaves the process's umask alone. */
static void copies_out(drupe_disk *disk, struct memory *memory)
{
	char path[] = "/tmp/drupe-XXXXXX", to[32];
	drupe_mount *root = mount(disk);
	struct stat copy;
	int before = memory->reads;

	CHECK(mkdtemp(path));
	snprintf(to, sizeof(to), "%s/note", path);
	memory->umask = 027;
	umask(memory->umask);
	OK(drupe_copy_out(root, "/note", to, NULL, &error));
	CHECK(memory->reads > before && memory->other_umasks == 0);
	memory->umask = 0;
	CHECK(umask(022) == 027);
	CHECK(stat(to, &copy) == 0 && (copy.st_mode & 0777) == 0640);
	CHECK(unlink(to) == 0 && rmdir(path) == 0);
	OK(drupe_umount(root, &error));
}

static void callbacks(drupe_kernel *kernel, struct memory *memory)
{
	struct drupe_disk_callbacks functions;
	drupe_disk *disk;
	drupe_mount *root;
	drupe_file *file;
	size_t done;

	DRUPE_INIT(&functions);
	MAKES_NONE(drupe_disk_add_callbacks(kernel, &functions, memory, &error),
		   DRUPE_ERROR_ARGUMENT, "callbacks->read");
	functions.bytes = memory->len;
	functions.read = memory_read;
	functions.write = memory_write;
	functions.flush = memory_flush;
	functions.release = memory_release;
	functions.block_size = 300;
	MAKES_NONE(drupe_disk_add_callbacks(kernel, &functions, memory, &error),
		   DRUPE_ERROR_ARGUMENT, "block size of 300");
	functions.block_size = 0;
	MAKE(disk, drupe_disk_add_callbacks(kernel, &functions, memory, &error));
	memory->halts = kernel;
	write_and_read(disk, "through functions");
	memory->halts = NULL;
	CHECK(memory->refused > 0);
	copies_out(disk, memory);
	CHECK(memory->reads && memory->writes && memory->flushes && !memory->releases);

	/* Their errors are the kernel's. */
	root = mount(disk);
	MAKE(file, drupe_open(root, "/lost", O_WRONLY | O_CREAT, 0644, &error));
	OK(drupe_file_write(file, "x", 1, &done, &error));
	pthread_mutex_lock(&memory->lock);
	memory->fails = 1;
	pthread_mutex_unlock(&memory->lock);
	FAILS(drupe_file_sync(file, 0, &error), EIO, "EIO");
	drupe_file_close(file);
	CHECK(drupe_umount(root, NULL) == -1);
	CHECK(!memory->releases);
	drupe_disk_free(disk);
	CHECK(memory->releases == 1);
	memory->fails = 0;
}

/* A kernel that panics, because an inode cannot be read, is an error, and the program goes
 * on. */
static void dies(struct memory *memory)
{
	struct drupe_disk_callbacks functions;
	struct drupe_mount_options options;
	struct drupe_stat stat;
	drupe_partition *whole;
	drupe_kernel *kernel;
	drupe_mount *root;
	drupe_disk *disk;
	drupe_dir *dir;
	const char *name;
	char path[16], *text;
	int n;

	DRUPE_INIT(&functions);
	functions.bytes = memory->len;
	functions.read = memory_read;
	functions.write = memory_write;
	MAKE(kernel, drupe_kernel_boot(NULL, &error));
	MAKE(disk, drupe_disk_add_callbacks(kernel, &functions, memory, &error));
	root = mount(disk);
	for (n = 0; n < 100; n++) {
		snprintf(path, sizeof(path), "/%d", n);
		OK(drupe_mkdir(root, path, 0755, &error));
	}
	OK(drupe_umount(root, &error));

	DRUPE_INIT(&options);
	options.options = "errors=panic,inode_readahead_blks=0";
	MAKE(whole, drupe_disk_whole(disk, &error));
	MAKE(root, drupe_partition_mount(whole, &options, &error));
	drupe_partition_free(whole);
	/* The names are read, and the inodes are not. */
	MAKE(dir, drupe_dir_open(root, "/", &error));
	while (drupe_dir_read(dir, &name, NULL, NULL, NULL) == 1)
		;
	drupe_dir_close(dir);
	pthread_mutex_lock(&memory->lock);
	memory->read_fails = 1;
	pthread_mutex_unlock(&memory->lock);
	FAILS(drupe_stat(root, "/99", 0, &stat, &error), DRUPE_ERROR_DEAD, "died");
	memory->read_fails = 0;
	FAILS(drupe_copy_in("/dev/null", root, "/copy", NULL, &error), DRUPE_ERROR_DEAD, "died");
	FAILS(drupe_umount(root, &error), DRUPE_ERROR_DEAD, "died");
	OK(drupe_kernel_log(kernel, &text, &error));
	CHECK(strstr(text, "Kernel panic"));
	drupe_free(text);
	drupe_disk_free(disk);
	drupe_kernel_free(kernel);
}

int main(int argc, char **argv)
{
	struct drupe_kernel_options logging;
	struct drupe_disk_options options;
	struct drupe_disk_info info;
	struct memory memory = {PTHREAD_MUTEX_INITIALIZER, NULL, 0, 0, 0, 0, 0, 0, 0,
				NULL, 0, 0, 0};
	drupe_kernel *kernel;
	drupe_disk *disk;
	FILE *stream;
	void *before;

	CHECK(argc == 2);
	DRUPE_INIT(&logging);
	logging.log = logged;
	MAKE(kernel, drupe_kernel_boot(&logging, &error));
	stream = fopen(argv[1], "rb");
	CHECK(stream && fseek(stream, 0, SEEK_END) == 0);
	memory.len = (size_t)ftell(stream);
	memory.bytes = malloc(memory.len);
	before = malloc(memory.len);
	CHECK(memory.bytes && before && fseek(stream, 0, SEEK_SET) == 0);
	CHECK(fread(memory.bytes, 1, memory.len, stream) == memory.len);
	memcpy(before, memory.bytes, memory.len);

	MAKE(disk, drupe_disk_add_buffer(kernel, memory.bytes, memory.len, NULL, &error));
	/* A filesystem that is mounted is logged. */
	called = kernel;
	write_and_read(disk, "in a buffer");
	called = NULL;
	CHECK(refused > 0);
	CHECK(memcmp(before, memory.bytes, memory.len) != 0);
	OK(drupe_disk_remove(disk, &error));
	drupe_disk_free(disk);

	DRUPE_INIT(&options);
	options.flags = DRUPE_READ_ONLY;
	options.block_size = 4096;
	MAKE(disk, drupe_disk_add_buffer(kernel, before, memory.len, &options, &error));
	OK(drupe_disk_info(disk, &info, &error));
	CHECK(info.flags == DRUPE_READ_ONLY && info.bytes == memory.len);
	CHECK(info.block_size == 4096 && info.format[0] == '\0');
	drupe_disk_free(disk);

	callbacks(kernel, &memory);

	/* The file stays as it is. */
	DRUPE_INIT(&options);
	options.flags = DRUPE_COPY_ON_WRITE;
	options.format = "raw";
	MAKE(disk, drupe_disk_add_file(kernel, argv[1], &options, &error));
	write_and_read(disk, "in memory only");
	drupe_disk_free(disk);
	CHECK(fseek(stream, 0, SEEK_SET) == 0);
	CHECK(fread(memory.bytes, 1, memory.len, stream) == memory.len);
	CHECK(memcmp(before, memory.bytes, memory.len) == 0);

	options.format = "tape";
	MAKES_NONE(drupe_disk_add_file(kernel, argv[1], &options, &error), DRUPE_ERROR_ARGUMENT,
		   "tape");
	MAKES_NONE(drupe_disk_add_file(kernel, "/nowhere", NULL, &error), ENOENT, "/nowhere");
	MAKES_NONE(drupe_disk_add_buffer(kernel, NULL, 0, NULL, &error), DRUPE_ERROR_ARGUMENT,
		   "`buffer`");
	dies(&memory);
	fclose(stream);
	free(memory.bytes);
	free(before);
	drupe_kernel_free(kernel);
	return 0;
}
