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
 * left; and who gets none waits as long as others still do.
 */
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/panic.h>
#include <linux/shrinker.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>

/* Jiffies in which somebody must get memory, or there is none to be had. */
#define PATIENCE	(10 * HZ)

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

static void flush_metadata(struct super_block *sb, void *unused)
{
	if (sb_rdonly(sb))
		return;
	if (sb->s_op->sync_fs)
		sb->s_op->sync_fs(sb, 1);
	/* Not sync_blockdev(), which takes errors that others are to be told. */
	sync_blockdev_nowait(sb->s_bdev);
}

/*
 * Flusher threads take memory: for extents that have yet to be allocated, for
 * the blocks that inodes are in.  So what takes none comes first: journals, and
 * blocks of metadata.
 */
static void flush_filesystems(struct work_struct *work)
{
	iterate_supers(flush_metadata, NULL);
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

/* Reclaim has given up.  oom_lock, which is held, protects the variables. */
static int oom_wait(struct notifier_block *self, unsigned long unused,
		    void *freed)
{
	static unsigned long before, since;
	unsigned long now = raw_cpu_read(vm_event_states.event[PGALLOC_NORMAL]);

	if (now - before >= SWAP_CLUSTER_MAX)
		since = jiffies;
	before = now;
	/* Who may not wait for filesystems would otherwise try for ever. */
	if (time_after(jiffies, since + PATIENCE)) {
		show_mem();
		panic("out of memory");
	}
	queue_work(system_unbound_wq, &filesystems_work);
	schedule_timeout_uninterruptible(1);
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
