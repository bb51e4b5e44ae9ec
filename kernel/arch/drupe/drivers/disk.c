// SPDX-License-Identifier: GPL-2.0
/*
 * Disks of the host program: /dev/vda to /dev/vdz.
 *
 * Data moves between the page cache and the host in one step: a request's
 * segments are handed over as they are.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <asm/machine.h>

#define MAX_DISKS	26
#define MINORS		16
#define QUEUE_DEPTH	32
#define MAX_SEGMENTS	128
#define MAX_SECTORS	8192	/* 4 MiB */

/**
 * struct drupe_disk - a disk
 * @number: what the host calls it
 * @tags: of its queue
 * @gendisk: what the kernel calls it
 */
struct drupe_disk {
	u32 number;
	struct blk_mq_tag_set tags;
	struct gendisk *gendisk;
};

/* What the host needs for one request: the driver's part of struct request. */
struct drupe_disk_cmd {
	struct drupe_io io;
	struct drupe_iovec iov[MAX_SEGMENTS];
};

/* Requests that the host has, and how many it has handed back. */
static atomic_t on_their_way = ATOMIC_INIT(0);
static atomic_t handed_back = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(hand_back);

static struct drupe_disk *disks[MAX_DISKS];
static DEFINE_MUTEX(disks_lock);
static int disk_major;

/* Adjacent segments become one vector. */
static u32 fill_vectors(struct drupe_iovec *iov, struct request *rq)
{
	struct req_iterator iter;
	struct bio_vec bvec;
	u32 n = 0;

	rq_for_each_segment(bvec, rq, iter) {
		void *base = page_address(bvec.bv_page) + bvec.bv_offset;

		if (n && iov[n - 1].base + iov[n - 1].len == base) {
			iov[n - 1].len += bvec.bv_len;
			continue;
		}
		if (WARN_ON_ONCE(n == MAX_SEGMENTS))
			return 0;
		iov[n++] = (struct drupe_iovec) { base, bvec.bv_len };
	}
	return n;
}

static blk_status_t disk_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct request *rq = bd->rq;
	struct drupe_disk_cmd *cmd = blk_mq_rq_to_pdu(rq);
	struct drupe_disk *disk = rq->q->queuedata;
	struct drupe_io *io = &cmd->io;

	*io = (struct drupe_io) {
		.disk = disk->number,
		.offset = (u64)blk_rq_pos(rq) << SECTOR_SHIFT,
		.len = blk_rq_bytes(rq),
		.iov = cmd->iov,
	};
	switch (req_op(rq)) {
	case REQ_OP_READ:
		io->op = DRUPE_IO_READ;
		break;
	case REQ_OP_WRITE:
		io->op = DRUPE_IO_WRITE;
		if (rq->cmd_flags & REQ_FUA)
			io->flags = DRUPE_IO_FUA;
		break;
	case REQ_OP_FLUSH:
		io->op = DRUPE_IO_FLUSH;
		break;
	case REQ_OP_DISCARD:
		io->op = DRUPE_IO_DISCARD;
		break;
	case REQ_OP_WRITE_ZEROES:
		io->op = DRUPE_IO_WRITE_ZEROES;
		break;
	default:
		return BLK_STS_NOTSUPP;
	}
	if (io->op == DRUPE_IO_READ || io->op == DRUPE_IO_WRITE) {
		io->iov_count = fill_vectors(cmd->iov, rq);
		if (!io->iov_count)
			return BLK_STS_IOERR;
	}
	blk_mq_start_request(rq);
	atomic_inc(&on_their_way);
	if (drupe_disk_submit(io)) {
		atomic_dec(&on_their_way);
		blk_mq_end_request(rq, errno_to_blk_status(io->error));
	}
	return BLK_STS_OK;
}

static irqreturn_t disk_interrupt(int irq, void *dev_id)
{
	struct drupe_io *io;
	struct request *rq;

	while ((io = drupe_disk_reap())) {
		rq = blk_mq_rq_from_pdu(container_of(io, struct drupe_disk_cmd,
						     io));
		atomic_dec(&on_their_way);
		atomic_inc(&handed_back);
		blk_mq_end_request(rq, errno_to_blk_status(io->error));
	}
	wake_up(&hand_back);
	drupe_vmap_disk_done();
	return IRQ_HANDLED;
}

/**
 * drupe_disk_wait - wait until a disk has done something
 *
 * Return: false if no disk has anything to do.
 */
bool drupe_disk_wait(void)
{
	int before = atomic_read(&handed_back);

	if (!atomic_read(&on_their_way))
		return false;
	wait_event(hand_back, atomic_read(&handed_back) != before);
	return true;
}

static const struct blk_mq_ops disk_mq_ops = { .queue_rq = disk_queue_rq };
static const struct block_device_operations disk_fops = { };

static struct queue_limits disk_limits(u32 block_size, u32 flags)
{
	struct queue_limits lim = {
		.logical_block_size = block_size,
		.max_hw_sectors = MAX_SECTORS,
		.max_segments = MAX_SEGMENTS,
		.max_segment_size = UINT_MAX,
		.io_opt = MAX_SECTORS << SECTOR_SHIFT,
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	if (flags & DRUPE_DISK_DISCARD) {
		lim.max_hw_discard_sectors = UINT_MAX;
		lim.discard_granularity = max_t(u32, block_size, PAGE_SIZE);
	}
	if (flags & DRUPE_DISK_WRITE_ZEROES)
		lim.max_write_zeroes_sectors = UINT_MAX;
	if (flags & DRUPE_DISK_STABLE_WRITES)
		lim.features |= BLK_FEAT_STABLE_WRITES;
	return lim;
}

static struct drupe_disk *disk_alloc(u32 number, u32 block_size, u32 flags)
{
	struct queue_limits lim = disk_limits(block_size, flags);
	struct drupe_disk *disk;
	struct gendisk *gd;
	int ret;

	disk = kzalloc(sizeof(*disk), GFP_KERNEL);
	if (!disk)
		return ERR_PTR(-ENOMEM);
	disk->number = number;
	disk->tags.ops = &disk_mq_ops;
	disk->tags.nr_hw_queues = 1;
	disk->tags.queue_depth = QUEUE_DEPTH;
	disk->tags.numa_node = NUMA_NO_NODE;
	disk->tags.cmd_size = sizeof(struct drupe_disk_cmd);
	ret = blk_mq_alloc_tag_set(&disk->tags);
	if (ret)
		goto free_disk;
	gd = blk_mq_alloc_disk(&disk->tags, &lim, disk);
	if (IS_ERR(gd)) {
		ret = PTR_ERR(gd);
		goto free_tags;
	}
	gd->major = disk_major;
	gd->first_minor = number * MINORS;
	gd->minors = MINORS;
	gd->fops = &disk_fops;
	gd->private_data = disk;
	snprintf(gd->disk_name, sizeof(gd->disk_name), "vd%c", 'a' + number);
	disk->gendisk = gd;
	return disk;

free_tags:
	blk_mq_free_tag_set(&disk->tags);
free_disk:
	kfree(disk);
	return ERR_PTR(ret);
}

static void disk_free(struct drupe_disk *disk)
{
	put_disk(disk->gendisk);
	blk_mq_free_tag_set(&disk->tags);
	kfree(disk);
}

/**
 * drupe_disk_add - add a disk and read its partition table
 * @number: 0 for /dev/vda
 * @size: in bytes
 * @block_size: logical block size in bytes
 * @flags: &enum drupe_disk_flags
 *
 * Return: 0 or a negative errno.
 */
s64 drupe_disk_add(u32 number, u64 size, u32 block_size, u32 flags)
{
	struct drupe_disk *disk;
	int ret;

	guard(mutex)(&disks_lock);
	if (number >= MAX_DISKS)
		return -EINVAL;
	if (disks[number])
		return -EEXIST;
	disk = disk_alloc(number, block_size, flags);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	set_capacity(disk->gendisk, size >> SECTOR_SHIFT);
	set_disk_ro(disk->gendisk, flags & DRUPE_DISK_READ_ONLY);
	ret = add_disk(disk->gendisk);
	if (ret) {
		disk_free(disk);
		return ret;
	}
	disks[number] = disk;
	return 0;
}

/**
 * drupe_disk_remove - remove a disk that nobody uses
 * @number: its number
 *
 * Return: 0, -ENODEV when there is none, -EBUSY when it is open.
 */
s64 drupe_disk_remove(u32 number)
{
	struct drupe_disk *disk;

	guard(mutex)(&disks_lock);
	if (number >= MAX_DISKS || !disks[number])
		return -ENODEV;
	disk = disks[number];
	if (disk_openers(disk->gendisk))
		return -EBUSY;
	disks[number] = NULL;
	del_gendisk(disk->gendisk);
	disk_free(disk);
	return 0;
}

static int __init disk_init(void)
{
	disk_major = register_blkdev(0, "vd");
	if (disk_major < 0)
		return disk_major;
	return request_irq(DRUPE_IRQ_DISK, disk_interrupt, 0, "disk", NULL);
}
device_initcall(disk_init);
