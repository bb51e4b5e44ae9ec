// SPDX-License-Identifier: GPL-2.0
/*
 * Watches: the host is told when a file becomes ready, without a task that
 * waits for it.  The file is an epoll as a rule, which stands for many.
 */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <asm/machine.h>

/**
 * struct drupe_watch - a file that is watched
 * @table: finds @head
 * @file: the file, kept open
 * @cookie: what the host is told
 * @head: what those who wait for the file wait on
 * @entry: our place there
 */
struct drupe_watch {
	poll_table table;
	struct file *file;
	u64 cookie;
	wait_queue_head_t *head;
	wait_queue_entry_t entry;
};

/* Called with @head locked, in whatever context made the file ready. */
static int watch_wake(wait_queue_entry_t *entry, unsigned int mode, int sync,
		      void *key)
{
	drupe_notify(container_of(entry, struct drupe_watch, entry)->cookie);
	return 0;
}

static void watch_queue(struct file *file, wait_queue_head_t *head,
			poll_table *table)
{
	struct drupe_watch *watch = container_of(table, struct drupe_watch,
						 table);

	/* Files with two queues are not watched. */
	if (watch->head) {
		watch->head = ERR_PTR(-EPERM);
		return;
	}
	watch->head = head;
}

/**
 * drupe_watch - tell the host whenever a file becomes ready
 * @fd: the file
 * @cookie: what to tell
 *
 * If it is ready already, the host is told at once.
 *
 * Return: what drupe_unwatch() takes, or a negative errno.
 */
s64 drupe_watch(int fd, u64 cookie)
{
	struct drupe_watch *watch;
	s64 ret;

	watch = kzalloc(sizeof(*watch), GFP_KERNEL);
	if (!watch)
		return -ENOMEM;
	watch->cookie = cookie;
	watch->file = fget(fd);
	ret = -EBADF;
	if (!watch->file)
		goto free;
	init_poll_funcptr(&watch->table, watch_queue);
	vfs_poll(watch->file, &watch->table);
	ret = -EPERM;
	if (IS_ERR_OR_NULL(watch->head))
		goto put;
	init_waitqueue_func_entry(&watch->entry, watch_wake);
	add_wait_queue(watch->head, &watch->entry);
	if (vfs_poll(watch->file, NULL))
		drupe_notify(cookie);
	return (s64)watch;

put:
	fput(watch->file);
free:
	kfree(watch);
	return ret;
}

/**
 * drupe_unwatch - end a watch
 * @watch: what drupe_watch() returned
 */
void drupe_unwatch(struct drupe_watch *watch)
{
	remove_wait_queue(watch->head, &watch->entry);
	fput(watch->file);
	kfree(watch);
}
