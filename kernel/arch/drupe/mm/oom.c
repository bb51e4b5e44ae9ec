// SPDX-License-Identifier: GPL-2.0
/*
 * When memory gets short.
 *
 * The pages that filesystems have yet to write are counted, and whoever makes
 * too many waits.  Nothing counts the inodes, and what journals keep of their
 * changes: they take what memory there is, and can only be freed when kernel
 * threads have written them.  Elsewhere those have CPUs of their own, or a
 * process is killed.  Here reclaim was through with its attempts before they
 * had a turn, and there is no process to kill.
 *
 * So these are written as soon as much memory is in small objects and little is
 * left; and who gets none waits as long as others still do.  When nobody does, a
 * kernel thread has the reserve until they are written: it may be the one that
 * writes.  f2fs's thread for checkpoints takes pages for what it writes.
 */
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/fs_struct.h>
#include <linux/mount.h>
#include <linux/oom.h>
#include <linux/panic.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>
#include <asm/machine.h>

/*
 * Attempts after which there is no memory to be had, if nobody gets any
 * meanwhile.  They are counted, not timed: a host that is busy may keep the whole
 * kernel waiting for seconds.  Between two of them a tick passes, or, while the
 * clock stands still, all others run.  While a disk is at work none counts.
 */
#define ATTEMPTS	(10 * HZ)
#define STILL_ATTEMPTS	1000

/* After so many, waiting helps nobody. */
#define LEND_AFTER	20

/* How often the others may take turns between two attempts. */
#define TURNS		1000

/* Pages that may have to be written: the fewest since the last flush. */
static unsigned long least;

static unsigned long small_objects(void)
{
	return global_node_page_state_pages(NR_SLAB_RECLAIMABLE_B) +
	       global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B);
}

static unsigned long dirty_pages(void)
{
	return global_node_page_state(NR_FILE_DIRTY);
}

/* One that is being mounted or unmounted, or changed, is left out. */
static void flush_metadata(struct super_block *sb)
{
	if (!down_read_trylock(&sb->s_umount))
		return;
	if ((sb->s_flags & SB_BORN) && !(sb->s_flags & SB_DYING) &&
	    sb->s_root && !sb_rdonly(sb)) {
		if (sb->s_op->sync_fs)
			sb->s_op->sync_fs(sb, 1);
		/* Not sync_blockdev(): others are to be told of its errors. */
		sync_blockdev_nowait(sb->s_bdev);
	}
	up_read(&sb->s_umount);
}

/*
 * iterate_supers() waits for each one: if that is being unmounted, for as long as
 * this takes, which may be until those behind it have been flushed.  So find them
 * by their shrinkers, which all have the same function; a superblock lives while
 * somebody has its shrinker.
 */
static void flush_all_metadata(void)
{
	struct shrinker *shrinker, *roots;

	roots = init_task.fs->root.mnt->mnt_sb->s_shrink;
	rcu_read_lock();
	list_for_each_entry_rcu(shrinker, &shrinker_list, list) {
		if (shrinker->scan_objects != roots->scan_objects ||
		    !shrinker_try_get(shrinker))
			continue;
		rcu_read_unlock();
		flush_metadata(shrinker->private_data);
		rcu_read_lock();
		shrinker_put(shrinker);
	}
	rcu_read_unlock();
}

/*
 * Lets the current task use the memory reserve (PF_MEMALLOC).  It was refused
 * memory, so it does not have that right yet.
 */
static void lend_reserve(void)
{
	current->thread.reserve = true;
	current->flags |= PF_MEMALLOC;
}

/*
 * Takes the right to use the memory reserve back from all tasks that
 * lend_reserve() gave it to.
 *
 * A task's flags may be written only by the task itself, since there is no
 * lock.  Writing them here is safe: with one CPU, every other task is inside
 * schedule(), and none is preempted halfway through a change of its flags.
 */
static void take_reserve_back(void)
{
	struct task_struct *tsk;

	rcu_read_lock();
	for_each_process(tsk) {
		if (!tsk->thread.reserve)
			continue;
		tsk->thread.reserve = false;
		tsk->flags &= ~PF_MEMALLOC;
	}
	rcu_read_unlock();
}

/*
 * Writes out what is dirty, to free memory.  Flusher threads need memory
 * themselves, to allocate extents and to read the blocks of inodes.  So journals
 * and blocks of metadata, which need none, are written first.
 */
static void flush_filesystems(struct work_struct *work)
{
	flush_all_metadata();
	take_reserve_back();
	least = small_objects() + dirty_pages();
	wakeup_flusher_threads(WB_REASON_VMSCAN);
}

static DECLARE_WORK(filesystems_work, flush_filesystems);

/* Called by reclaim.  f2fs keeps many dirty pages, which others may not. */
static unsigned long count_objects(struct shrinker *shrinker,
				   struct shrink_control *sc)
{
	unsigned long objects = small_objects(), dirty = dirty_pages();
	unsigned long total = totalram_pages();

	least = min(least, objects + dirty);
	if ((objects > total / 4 || dirty > total / 3) &&
	    objects + dirty - least > total / 16)
		queue_work(system_unbound_wq, &filesystems_work);
	return SHRINK_EMPTY;
}

/* Whether time passes: twice, since somebody may move a clock that does not run. */
static bool clock_runs(void)
{
	int again, reads;
	u64 start;

	for (again = 0; again < 2; again++) {
		start = drupe_clock();
		for (reads = 0; drupe_clock() == start; reads++)
			if (reads == 100)
				return false;
	}
	return true;
}

/* Lets all run that need not wait for time. */
static void let_others_run(void)
{
	int turn;

	for (turn = 0; turn < TURNS && !single_task_running(); turn++)
		yield();
}

/* Reclaim has given up.  oom_lock, which is held, protects the variables. */
static int oom_wait(struct notifier_block *self, unsigned long unused,
		    void *freed)
{
	static unsigned int attempts, still_attempts;
	static unsigned long before;
	unsigned long now = raw_cpu_read(vm_event_states.event[PGALLOC_NORMAL]);

	if (now - before >= SWAP_CLUSTER_MAX) {
		attempts = 0;
		still_attempts = 0;
	}
	before = now;
	/* Who may not wait for filesystems would otherwise try for ever. */
	if (attempts > ATTEMPTS || still_attempts > STILL_ATTEMPTS) {
		show_mem();
		panic("out of memory");
	}
	queue_work(system_unbound_wq, &filesystems_work);
	if ((current->flags & PF_KTHREAD) &&
	    max(attempts, still_attempts) >= LEND_AFTER) {
		lend_reserve();
	} else if (clock_runs()) {
		schedule_timeout_uninterruptible(1);
		if (!drupe_disk_wait())
			attempts++;
	} else {
		let_others_run();
		if (!drupe_disk_wait())
			still_attempts++;
	}
	*(unsigned long *)freed = 1;
	return NOTIFY_OK;
}

static struct notifier_block oom_notifier = {
	.notifier_call = oom_wait,
};

/* kswapd, and with it flushing, is to begin while there is memory for it. */
static void __init raise_watermarks(void)
{
	struct zone *zone = &NODE_DATA(0)->node_zones[ZONE_NORMAL];
	unsigned long step = zone_managed_pages(zone) / 32;
	int mark;

	for (mark = WMARK_MIN; mark <= WMARK_HIGH; mark++)
		zone->_watermark[mark] += (mark + 1) * step;
}

static int __init oom_init(void)
{
	struct shrinker *shrinker = shrinker_alloc(0, "drupe-flush");

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count_objects;
	shrinker_register(shrinker);
	raise_watermarks();
	return register_oom_notifier(&oom_notifier);
}
late_initcall(oom_init);
