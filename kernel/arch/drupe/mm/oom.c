// SPDX-License-Identifier: GPL-2.0
/*
 * What happens when the kernel runs short of memory.
 *
 * The kernel limits how many dirty pages of files there are.  It does not limit
 * inodes, nor what journals keep of changed metadata.  These can fill the memory,
 * and are freed only after kernel threads have written them to disk.  On other
 * machines these threads run on other CPUs meanwhile, or the OOM killer ends a
 * process.  Here is one CPU, and no process that could be killed.  So:
 *
 * 1. Metadata is flushed early: when slabs take a large part of the memory
 *    (count_objects()).
 * 2. When reclaim finds nothing, the OOM notifier (oom_wait()) starts a flush and
 *    waits, as long as any task gets memory or a disk is at work.
 * 3. When that does not help, kernel threads may use the memory reserve until the
 *    flush is over: they may be the ones that write, as f2fs's thread for
 *    checkpoints does.
 * 4. When nobody has got memory for %ATTEMPTS ticks, a system call fails with
 *    %ENOMEM.  Where an error would break a filesystem, the kernel panics.
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
#include <linux/task_work.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>
#include <asm/machine.h>

/*
 * How often a task waits for memory, while no task gets any, before it gives up.
 * Each time it waits for a tick; if the clock stands still, until all other tasks
 * have run.  A wait in which a disk was at work does not count.  Waits are
 * counted, and time is not measured, because a busy host may keep the whole
 * kernel from running for seconds.
 */
#define ATTEMPTS	250

/* After this many attempts, kernel threads may use the memory reserve. */
#define LEND_AFTER	20

/*
 * How often the reserve is lent, while no task gets memory, before the kernel
 * panics.  Between two times, a flush has ended.
 */
#define LENDINGS	1000

/*
 * How often a task to which memory is refused may scan for more within one system
 * call.  One allocation that fails takes about 200 scans.  One that must not fail
 * (%__GFP_NOFAIL) scans until it gets memory.
 */
#define REFUSED_SCANS	5000

/* While the clock stands still: how often other tasks may run in one attempt. */
#define TURNS		1000

/* The smallest number of slab and dirty pages since the last flush. */
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

/*
 * Writes the metadata of one filesystem.  Skips it while it is being mounted,
 * unmounted or remounted.
 */
static void flush_metadata(struct super_block *sb)
{
	if (!down_read_trylock(&sb->s_umount))
		return;
	if ((sb->s_flags & SB_BORN) && !(sb->s_flags & SB_DYING) &&
	    sb->s_root && !sb_rdonly(sb)) {
		if (sb->s_op->sync_fs)
			sb->s_op->sync_fs(sb, 1);
		/* sync_blockdev() would consume errors that fsync() must report. */
		sync_blockdev_nowait(sb->s_bdev);
	}
	up_read(&sb->s_umount);
}

/*
 * Writes the metadata of all filesystems.
 *
 * iterate_supers() would wait for a superblock that is being unmounted, and that
 * unmount may itself wait for memory.  So the superblocks are found by their
 * shrinkers, which all have the same scan_objects function.  A reference to the
 * shrinker keeps the superblock alive.
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

static void __noreturn die(void)
{
	show_mem();
	panic("out of memory");
}

/* The system call during which memory was refused is over. */
static void stop_refusing(struct callback_head *work)
{
	current->flags &= ~PF_DUMPCORE;
	current->thread.refused = 0;
}

/*
 * Makes the current task's allocations fail, where memory is not free, until its
 * system call is over.  The page allocator does so for tasks that dump core, which
 * no task does here.
 */
static void refuse_memory(void)
{
	struct thread_struct *thread = &current->thread;

	if (!thread->refused) {
		init_task_work(&thread->refused_work, stop_refusing);
		if (task_work_add(current, &thread->refused_work, TWA_RESUME))
			die();
	}
	thread->refused = 1;
	current->flags |= PF_DUMPCORE;
}

/*
 * Whether the current task runs a system call that can fail.  In the middle of a
 * transaction, an error would make the filesystem read-only, or worse.
 */
static bool can_fail(void)
{
	return !(current->flags & (PF_KTHREAD | PF_MEMALLOC_NOFS |
				   PF_MEMALLOC_NOIO)) &&
	       !current->journal_info;
}

/*
 * Called by reclaim, before it scans for memory: starts a flush when slabs or
 * dirty pages have grown by much since the last one.  (f2fs keeps more dirty pages
 * than the kernel's limit.)
 */
static unsigned long count_objects(struct shrinker *shrinker,
				   struct shrink_control *sc)
{
	unsigned long objects = small_objects(), dirty = dirty_pages();
	unsigned long total = totalram_pages();

	if (current->thread.refused &&
	    ++current->thread.refused > REFUSED_SCANS)
		die();
	least = min(least, objects + dirty);
	if ((objects > total / 4 || dirty > total / 3) &&
	    objects + dirty - least > total / 16)
		queue_work(system_unbound_wq, &filesystems_work);
	return SHRINK_EMPTY;
}

/*
 * Whether the clock runs by itself.  A program may set a clock that does not, so
 * one change proves nothing: look for two.
 */
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

/* Runs the other tasks until all of them sleep. */
static void let_others_run(void)
{
	int turn;

	for (turn = 0; turn < TURNS && !single_task_running(); turn++)
		yield();
}

/*
 * Called when reclaim has found nothing.  oom_lock, which the caller holds,
 * protects the static variables.
 */
static int oom_wait(struct notifier_block *self, unsigned long unused,
		    void *freed)
{
	static unsigned int attempts, lendings;
	static unsigned long before;
	unsigned long now = raw_cpu_read(vm_event_states.event[PGALLOC_NORMAL]);

	if (now - before >= SWAP_CLUSTER_MAX) {
		attempts = 0;
		lendings = 0;
	}
	before = now;
	*(unsigned long *)freed = 1;
	queue_work(system_unbound_wq, &filesystems_work);
	if ((current->flags & PF_KTHREAD) && attempts >= LEND_AFTER) {
		if (++lendings > LENDINGS)
			die();
		lend_reserve();
		return NOTIFY_OK;
	}
	if (attempts >= ATTEMPTS) {
		if (!can_fail())
			die();
		refuse_memory();
		return NOTIFY_OK;
	}
	if (clock_runs())
		schedule_timeout_uninterruptible(1);
	else
		let_others_run();
	if (!drupe_disk_wait())
		attempts++;
	return NOTIFY_OK;
}

static struct notifier_block oom_notifier = {
	.notifier_call = oom_wait,
};

/* Makes kswapd, and so the flush, begin while they still have memory to run. */
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
