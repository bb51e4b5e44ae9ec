/* A kernel, its system calls, and its second life. */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char printed[1 << 16];
static int printed_len, panics;

static void print(const char *text, int len)
{
	if (printed_len + len < (int)sizeof(printed)) {
		memcpy(printed + printed_len, text, len);
		printed_len += len;
		printed[printed_len] = '\0';
	}
}

static void note_panic(void)
{
	panics++;
}

static void texts(void)
{
	char long_text[3000];

	CHECK(!strcmp(lkl_strerror(-LKL_ENOENT), "No such file or directory"));
	CHECK(!strcmp(lkl_strerror(LKL_ENOENT), "No such file or directory"));
	CHECK(!strcmp(lkl_strerror(0), "Success"));
	CHECK(!strcmp(lkl_strerror(99999), lkl_strerror(-99999)));

	printed_len = 0;
	RETURNS(43, lkl_printf("%d %s %c %ld %x %d %.2f %d %d %.1f %s\n", 1, "two", '3', 4L, 5, 6, 7.25,
			       8, 9, 1e3, "the eleventh"));
	CHECK(!strcmp(printed, "1 two 3 4 5 6 7.25 8 9 1000.0 the eleventh\n"));
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	RETURNS((long)sizeof(long_text), lkl_printf("%s.", long_text));
	printed_len = 0;
	lkl_perror("open", -LKL_EACCES);
	CHECK(!strcmp(printed, "open: Permission denied\n"));
}

static void files(void)
{
	struct lkl_stat stat;
	struct lkl_dir *dir;
	struct lkl_linux_dirent64 *entry;
	char text[16] = "", name[32];
	int err, fd, seen = 0, other;

	RETURNS(022, lkl_sys_umask(0));
	/* No descriptor is open. */
	RETURNS(0, lkl_sys_creat("/file", 0721));
	OK(lkl_sys_close(0));
	errno = 77;
	RETURNS(-LKL_ENOENT, lkl_sys_open("/none", LKL_O_RDONLY, 0));
	CHECK(errno == 77);
	RETURNS(-LKL_EFAULT, lkl_sys_open((const char *)8, LKL_O_RDONLY, 0));
	RETURNS(-LKL_ENOSYS, lkl_syscall(100000, (long[6]){0}));
	RETURNS(-LKL_ENOSYS, lkl_sys_new_thread_group_leader());
	RETURNS(-LKL_ENOSYS, lkl_sys_mmap(NULL, 4096, 1, 2, -1, 0));

	MAKE(fd, lkl_sys_open("/file", LKL_O_RDWR, 0));
	RETURNS(5, lkl_sys_write(fd, "hello", 5));
	RETURNS(1, lkl_sys_lseek(fd, 1, LKL_SEEK_SET));
	RETURNS(4, lkl_sys_read(fd, text, sizeof(text)));
	CHECK(!strcmp(text, "ello"));
	OK(lkl_sys_fstat(fd, &stat));
	CHECK(stat.st_size == 5 && stat.st_mode == (LKL_S_IFREG | 0721));
	RETURNS(fd, lkl_sys_dup2(fd, fd));
	MAKE(other, lkl_sys_dup2(fd, 40));
	RETURNS(40, other);
	OK(lkl_sys_close(other));
	OK(lkl_sys_close(fd));

	/* What the kernel has with directories only. */
	OK(lkl_sys_mkdir("/dir", 0700));
	OK(lkl_sys_symlink("/file", "/dir/link"));
	RETURNS(5, lkl_sys_readlink("/dir/link", text, sizeof(text)));
	OK(lkl_sys_lstat("/dir/link", &stat));
	CHECK(LKL_S_ISLNK(stat.st_mode));
	OK(lkl_sys_stat("/dir/link", &stat));
	CHECK(LKL_S_ISREG(stat.st_mode));
	OK(lkl_sys_link("/file", "/dir/hard"));
	OK(lkl_sys_rename("/dir/hard", "/dir/harder"));
	OK(lkl_sys_chmod("/file", 0600));
	OK(lkl_sys_chown("/file", 1, 2));
	OK(lkl_sys_access("/file", 4));
	OK(lkl_sys_mknod("/dir/fifo", LKL_S_IFIFO | 0600, 0));
	OK(lkl_sys_stat("/file", &stat));
	CHECK(stat.st_mode == (LKL_S_IFREG | 0600) && stat.st_uid == 1 && stat.st_gid == 2);
	CHECK(stat.st_nlink == 2 && stat.lkl_st_mtime > 0);

	/* More entries than are read at once. */
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "/dir/a-long-name-%d", i);
		MAKE(fd, lkl_sys_creat(name, 0600));
		OK(lkl_sys_close(fd));
	}
	dir = lkl_opendir("/dir", &err);
	CHECK(dir && err == 0 && lkl_dirfd(dir) >= 0);
	for (int round = 0; round < 2; round++) {
		seen = 0;
		while ((entry = lkl_readdir(dir)))
			seen += !strncmp(entry->d_name, "a-long-name-", 12) &&
				entry->d_type == 8;
		OK(lkl_errdir(dir));
		RETURNS(300, seen);
		lkl_rewinddir(dir);
	}
	OK(lkl_closedir(dir));
	CHECK(!lkl_opendir("/none", &err));
	RETURNS(-LKL_ENOENT, err);
	MAKE(fd, lkl_sys_open("/file", LKL_O_RDONLY, 0));
	dir = lkl_fdopendir(fd, &err);
	CHECK(dir && !lkl_readdir(dir) && !lkl_readdir(dir));
	RETURNS(-LKL_ENOTDIR, lkl_errdir(dir));
	OK(lkl_closedir(dir));
	RETURNS(-LKL_EBADF, lkl_sys_close(fd));

	OK(lkl_mount_fs("proc"));
	RETURNS(1, lkl_mount_fs("proc"));
	RETURNS(-LKL_ENODEV, lkl_mount_fs("no-such"));
	RETURNS(-LKL_ENOENT, lkl_sys_access("/no-such", 0));
	CHECK(!strncmp(contents("/proc/sys/kernel/osrelease"), "6.12", 4));
	OK(lkl_umount_timeout("/proc", 0, 1000));
	RETURNS(-LKL_EINVAL, lkl_umount_timeout("/proc", 0, 1000));
	OK(lkl_sysctl("kernel.hostname", "lkl"));
	CHECK(!strcmp(contents("/proc/sys/kernel/hostname"), "lkl\n"));
	RETURNS(-LKL_ENOENT, lkl_sysctl("kernel.no_such", "1"));
	lkl_sysctl_parse_write("kernel.domainname=here;kernel.hostname = there ;");
	CHECK(!strcmp(contents("/proc/sys/kernel/hostname"), "there\n"));
	CHECK(!strcmp(contents("/proc/sys/kernel/domainname"), "here\n"));

	OK(lkl_set_fd_limit(50));
	RETURNS(-LKL_EBADF, lkl_sys_dup3(lkl_sys_open("/file", 0, 0), 50, 0));
}

static void *reader(void *pipe)
{
	char text[8];

	return (void *)lkl_sys_read(((int *)pipe)[0], text, sizeof(text));
}

static void waiting(void)
{
	struct __lkl__kernel_timespec now = {.tv_sec = 1000000000};
	struct lkl_epoll_event event = {.events = LKL_EPOLLIN, .data = 7}, found;
	struct lkl_timeval soon = {.tv_usec = 1000};
	struct lkl_pollfd poll = {.events = LKL_POLLIN};
	lkl_fd_set readable = {{0}};
	int pipe[2], epoll;
	pthread_t thread;
	void *result;

	OK(lkl_sys_pipe(pipe));
	OK(pthread_create(&thread, NULL, reader, pipe));
	RETURNS(3, lkl_sys_write(pipe[1], "abc", 3));
	OK(pthread_join(thread, &result));
	RETURNS(3, result);

	poll.fd = pipe[0];
	RETURNS(0, lkl_sys_poll(&poll, 1, 0));
	MAKE(epoll, lkl_sys_epoll_create(1));
	OK(lkl_sys_epoll_ctl(epoll, LKL_EPOLL_CTL_ADD, pipe[0], &event));
	RETURNS(0, lkl_sys_epoll_wait(epoll, &found, 1, 0));
	readable.fds_bits[0] = 1ul << pipe[0];
	RETURNS(0, lkl_sys_select(pipe[0] + 1, &readable, NULL, NULL, &soon));
	RETURNS(1, lkl_sys_write(pipe[1], "d", 1));
	RETURNS(1, lkl_sys_poll(&poll, 1, -1));
	CHECK(poll.revents == LKL_POLLIN);
	RETURNS(1, lkl_sys_epoll_wait(epoll, &found, 1, -1));
	CHECK(found.data == 7);
	readable.fds_bits[0] = 1ul << pipe[0];
	RETURNS(1, lkl_sys_select(pipe[0] + 1, &readable, NULL, NULL, NULL));
	OK(lkl_sys_clock_settime(LKL_CLOCK_REALTIME, &now));
	OK(lkl_sys_clock_gettime(LKL_CLOCK_REALTIME, &now));
	CHECK(now.tv_sec / 1000 == 1000000);
	OK(lkl_create_syscall_thread());
	OK(lkl_stop_syscall_thread());
}

static void *increment(void *count)
{
	++*(int *)count;
	return NULL;
}

static void increment_later(void *count)
{
	increment(count);
}

/* What programs of LKL's use of the host. */
static void host(void)
{
	struct lkl_sem *sem = lkl_host_ops.sem_alloc(1);
	struct lkl_mutex *mutex = lkl_host_ops.mutex_alloc(1);
	struct lkl_tls_key *key = lkl_host_ops.tls_alloc(NULL);
	unsigned long size = 0, before = lkl_host_ops.time();
	int count = 0;
	lkl_thread_t thread;
	char *memory;

	lkl_host_ops.sem_down(sem);
	lkl_host_ops.sem_up(sem);
	lkl_host_ops.sem_free(sem);
	lkl_host_ops.mutex_lock(mutex);
	lkl_host_ops.mutex_lock(mutex);
	lkl_host_ops.mutex_unlock(mutex);
	lkl_host_ops.mutex_unlock(mutex);
	lkl_host_ops.mutex_free(mutex);
	thread = lkl_host_ops.thread_create(increment_later, &count);
	CHECK(thread);
	OK(lkl_host_ops.thread_join(thread));
	RETURNS(1, count);
	CHECK(lkl_host_ops.thread_equal(lkl_host_ops.thread_self(), lkl_host_ops.thread_self()));
	CHECK(lkl_host_ops.thread_stack(&size) && size >= 4096);
	OK(lkl_host_ops.tls_set(key, &count));
	CHECK(lkl_host_ops.tls_get(key) == &count);
	lkl_host_ops.tls_free(key);
	memory = lkl_host_ops.mem_alloc(10);
	CHECK(memory);
	lkl_host_ops.memset(memory, 1, 10);
	lkl_host_ops.mem_free(memory);
	memory = lkl_host_ops.page_alloc(4096);
	CHECK(memory && (unsigned long)memory % 4096 == 0);
	lkl_host_ops.page_free(memory, 4096);
	CHECK(lkl_host_ops.gettid() > 0 && lkl_host_ops.time() >= before);
}

/* A child of fork(2) has not the kernel, and can have another one. */
static void children(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		RETURNS(-LKL_ECHILD, lkl_sys_getpid());
		RETURNS(-LKL_ECHILD, lkl_sys_halt());
		RETURNS(0, lkl_is_running());
		OK(lkl_start_kernel("mem=64M"));
		RETURNS(-LKL_ENOENT, lkl_sys_access("/file", 0));
		OK(lkl_sys_halt());
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	RETURNS(0, WEXITSTATUS(status));
	OK(lkl_sys_access("/file", 0));
}

int main(void)
{
	host();
	/* Nothing runs yet. */
	RETURNS(0, lkl_is_running());
	RETURNS(-LKL_ENXIO, lkl_sys_getpid());
	OK(lkl_sys_halt());
	RETURNS(-LKL_EINVAL, lkl_init(NULL));

	lkl_host_ops.print = print;
	lkl_host_ops.panic = note_panic;
	OK(lkl_init(&lkl_host_ops));
	RETURNS(-LKL_EINVAL, lkl_start_kernel("mem=%s", "much"));
	OK(lkl_start_kernel("mem=%dM loglevel=%d", 32, 8));
	RETURNS(1, lkl_is_running());
	RETURNS(-LKL_EBUSY, lkl_start_kernel("mem=32M"));
	RETURNS(-LKL_EBUSY, lkl_init(&lkl_host_ops));
	CHECK(strstr(printed, "Linux version 6.12"));
	RETURNS(1, lkl_sys_getpid());
	texts();
	files();
	waiting();
	children();
	OK(lkl_sys_halt());
	RETURNS(0, lkl_is_running());
	RETURNS(-LKL_ENXIO, lkl_sys_getpid());
	lkl_cleanup();

	/* Another one, which knows nothing of the first. */
	printed_len = 0;
	OK(lkl_init(&lkl_host_ops));
	OK(lkl_start_kernel("mem=128M lkl.test=1"));
	RETURNS(-LKL_ENOENT, lkl_sys_access("/file", 0));
	OK(lkl_mount_fs("proc"));
	CHECK(strstr(contents("/proc/cmdline"), "lkl.test=1"));
	CHECK(atoi(strstr(contents("/proc/meminfo"), "MemTotal:") + 9) > 80 << 10);
	CHECK(strstr(printed, "Linux version 6.12"));
	lkl_cleanup();
	RETURNS(0, lkl_is_running());
	lkl_bug("a bug: %d", 3);
	RETURNS(1, panics);
	CHECK(strstr(printed, "a bug: 3"));

	/* And one more. */
	OK(lkl_init(&lkl_host_ops));
	OK(lkl_start_kernel(" "));
	RETURNS(1, lkl_sys_getpid());
	lkl_cleanup();
	return 0;
}
