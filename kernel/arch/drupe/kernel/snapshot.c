// SPDX-License-Identifier: GPL-2.0
/*
 * Snapshots: a kernel whose memory is going to be copied, and one whose memory
 * is such a copy.
 *
 * The host corrects the addresses in a copy.  It cannot correct what was made
 * from addresses: places in hash tables, in search trees and in page tables.
 * Freezing takes these apart, and thawing puts them together again.  The host
 * finds out whether anything was forgotten, by comparing two kernels that were
 * frozen at different addresses.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/mnt_namespace.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/page-flags.h>
#include <linux/pgalloc.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/sort.h>
#include <linux/stringhash.h>
#include <linux/user_namespace.h>
#include <linux/uuid.h>
#include <linux/vmalloc.h>
#include <net/arp.h>
#include <net/ndisc.h>
#include <net/net_namespace.h>
#include <asm/machine.h>
#include "../../../fs/mount.h"
#include "../../../mm/internal.h"
#include "../../../mm/slab.h"
#include "../../../net/core/dev.h"

/* More than a kernel that has just booted has of each. */
#define MAX_DENTRIES	64
#define MAX_SUPERS	8
#define MAX_NODES	16
#define MAX_HASHED	8
#define MAX_MAPPINGS	16

/**
 * struct hashed - something in a hash table of heads, hashed by its address
 * @node: where it is linked
 * @table: the table
 * @index: where it belongs at the addresses that hold now
 * @thing: argument of @index
 */
struct hashed {
	struct hlist_node *node;
	struct hlist_head *table;
	unsigned long (*index)(const void *thing);
	const void *thing;
};

/**
 * struct mapping - pages of the vmalloc area that follow each other
 * @va: first address
 * @pfn: first page frame
 * @count: of pages
 */
struct mapping {
	unsigned long va;
	unsigned long pfn;
	unsigned long count;
};

static struct dentry *dentries[MAX_DENTRIES];
static struct kernfs_node *nodes[MAX_NODES];
static struct hashed hashed[MAX_HASHED];
static struct mapping mappings[MAX_MAPPINGS];
static struct super_block *supers[MAX_SUPERS];
static unsigned int dentry_count, super_count;
static unsigned int node_count, hashed_count, mapping_count;

/* Dentries: hashed by name and by the address of the parent. */

static int unhash_children(struct dentry *parent)
{
	struct dentry *child;
	int ret;

	hlist_for_each_entry(child, &parent->d_children, d_sib) {
		if (!d_unhashed(child)) {
			if (dentry_count == MAX_DENTRIES)
				return -E2BIG;
			dentries[dentry_count++] = child;
			d_drop(child);
			child->d_hash.next = NULL;
			child->d_name.hash = 0;
		}
		ret = unhash_children(child);
		if (ret)
			return ret;
	}
	return 0;
}

static void unhash_dentries(struct super_block *sb, void *ret)
{
	int *error = ret;

	if (!*error)
		*error = unhash_children(sb->s_root);
}

/* The tmpfs's: they draw their UUIDs. */
static void find_supers(struct super_block *sb, void *unused)
{
	if (sb->s_uuid_len == UUID_SIZE && super_count < MAX_SUPERS)
		supers[super_count++] = sb;
}

/* The file is as old as the kernel, not as the snapshot. */
static void renew(struct inode *inode)
{
	struct timespec64 now = inode_set_ctime_current(inode);

	inode_set_atime_to_ts(inode, now);
	inode_set_mtime_to_ts(inode, now);
	if (inode->i_sb->s_magic == TMPFS_MAGIC)
		SHMEM_I(inode)->i_crtime = now;
}

static void rehash_dentries(void)
{
	struct dentry *dentry;
	unsigned int i;

	for (i = 0; i < dentry_count; i++) {
		dentry = dentries[i];
		dentry->d_name.hash = full_name_hash(dentry->d_parent,
						     dentry->d_name.name,
						     dentry->d_name.len);
		d_rehash(dentry);
		if (d_inode(dentry))
			renew(d_inode(dentry));
	}
	for (i = 0; i < super_count; i++)
		renew(d_inode(supers[i]->s_root));
}

/* Nodes of sysfs with a namespace: sorted by its address. */

static int find_nodes(struct kernfs_node *parent)
{
	struct kernfs_node *node;
	struct rb_node *rb;
	int ret;

	for (rb = rb_first(&parent->dir.children); rb; rb = rb_next(rb)) {
		node = rb_entry(rb, struct kernfs_node, rb);
		if (node->ns == &init_net) {
			if (node_count == MAX_NODES)
				return -E2BIG;
			nodes[node_count++] = node;
		}
		if (kernfs_type(node) != KERNFS_DIR)
			continue;
		ret = find_nodes(node);
		if (ret)
			return ret;
	}
	return 0;
}

static int by_address(const void *a, const void *b)
{
	unsigned long x = *(unsigned long *)a, y = *(unsigned long *)b;

	return x < y ? -1 : x > y;
}

/*
 * While frozen they are in a namespace that does not exist.  The order in which
 * they get there shapes the tree.
 */
static int move_nodes(const void *ns)
{
	unsigned int i;
	int ret;

	sort(nodes, node_count, sizeof(nodes[0]), by_address, NULL);
	for (i = 0; i < node_count; i++) {
		ret = kernfs_rename_ns(nodes[i], nodes[i]->parent,
				       nodes[i]->name, ns);
		if (ret)
			return ret;
	}
	return 0;
}

/* What is in tables of its own, hashed by its address. */

/* m_hash() of fs/namespace.c, for its default size of one page. */
static unsigned long hash_mounts(unsigned long tmp)
{
	const unsigned long heads = PAGE_SIZE / sizeof(struct hlist_head);

	return (tmp + (tmp >> ilog2(heads))) & (heads - 1);
}

static unsigned long mount_index(const void *thing)
{
	const struct mount *mount = thing;

	return hash_mounts((unsigned long)&mount->mnt_parent->mnt /
				   L1_CACHE_BYTES +
			   (unsigned long)mount->mnt_mountpoint /
				   L1_CACHE_BYTES);
}

static unsigned long mountpoint_index(const void *thing)
{
	const struct mountpoint *mountpoint = thing;

	return hash_mounts((unsigned long)mountpoint->m_dentry /
			   L1_CACHE_BYTES);
}

/* ucounts_hashfn() of kernel/ucount.c */
static unsigned long ucounts_index(const void *thing)
{
	const struct ucounts *ucounts = thing;

	return hash_long((unsigned long)__kuid_val(ucounts->uid) +
				 (unsigned long)ucounts->ns, 10);
}

/* dev_name_hash() of net/core/dev.c */
static unsigned long netdev_index(const void *thing)
{
	const struct netdev_name_node *name = thing;
	const struct net *net = dev_net(name->dev);
	unsigned int hash = full_name_hash(net, name->name,
					   strnlen(name->name, IFNAMSIZ));

	return hash_32(hash, NETDEV_HASHBITS);
}

/* The first of its chain leads to the table: its @pprev is in it. */
static int unhash(struct hlist_node *node,
		  unsigned long (*index)(const void *), const void *thing)
{
	struct hlist_head *table;

	if (hlist_unhashed(node))
		return 0;
	if (hashed_count == MAX_HASHED)
		return -E2BIG;
	table = container_of(node->pprev, struct hlist_head, first) -
		index(thing);
	hashed[hashed_count++] = (struct hashed) { node, table, index, thing };
	hlist_del_init(node);
	return 0;
}

static int unhash_ucounts(struct ucounts *ucounts)
{
	return unhash(&ucounts->node, ucounts_index, ucounts);
}

static int unhash_netdevs(void)
{
	struct net_device *dev;
	int ret;

	for_each_netdev(&init_net, dev) {
		ret = unhash(&dev->name_node->hlist, netdev_index,
			     dev->name_node);
		if (ret)
			return ret;
	}
	return 0;
}

static void rehash(void)
{
	struct hashed *h;

	for (h = hashed; h < hashed + hashed_count; h++)
		hlist_add_head(h->node, h->table + h->index(h->thing));
}

static int unhash_mounts(struct mnt_namespace *ns)
{
	struct mount *mount;
	struct rb_node *rb;
	int ret = unhash_ucounts(ns->ucounts);

	if (ret)
		return ret;
	for (rb = rb_first(&ns->mounts); rb; rb = rb_next(rb)) {
		mount = rb_entry(rb, struct mount, mnt_node);
		if (!mnt_has_parent(mount))
			continue;
		ret = unhash(&mount->mnt_hash, mount_index, mount);
		if (!ret)
			ret = unhash(&mount->mnt_mp->m_hash, mountpoint_index,
				     mount->mnt_mp);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * The vmalloc area: its place in page tables.  The host's mappings are none of
 * this: a copy has them too.
 */

static int find_mappings(void)
{
	struct mapping *last = NULL;
	struct page *page;
	unsigned long va;

	for (va = VMALLOC_START; va < VMALLOC_END; va += PAGE_SIZE) {
		page = vmalloc_to_page((void *)va);
		if (!page)
			continue;
		if (last && last->va + last->count * PAGE_SIZE == va &&
		    last->pfn + last->count == page_to_pfn(page)) {
			last->count++;
			continue;
		}
		if (mapping_count == MAX_MAPPINGS)
			return -E2BIG;
		last = &mappings[mapping_count++];
		*last = (struct mapping) { va, page_to_pfn(page), 1 };
	}
	return 0;
}

static void free_pmds(pmd_t *pmds)
{
	int i;

	for (i = 0; i < PTRS_PER_PMD; i++) {
		if (pmd_none(pmds[i]))
			continue;
		pte_free_kernel(&init_mm,
				(pte_t *)pmd_page_vaddr(pmds[i]));
		mm_dec_nr_ptes(&init_mm);
	}
	pmd_free(&init_mm, pmds);
	mm_dec_nr_pmds(&init_mm);
}

static void free_tables(void)
{
	pud_t *puds;
	p4d_t *p4d;
	int i, j;

	for (i = 0; i < PTRS_PER_PGD; i++) {
		p4d = p4d_offset(&swapper_pg_dir[i], 0);
		if (p4d_none(*p4d))
			continue;
		puds = p4d_pgtable(*p4d);
		set_p4d(p4d, __p4d(0));
		for (j = 0; j < PTRS_PER_PUD; j++)
			if (!pud_none(puds[j]))
				free_pmds(pud_pgtable(puds[j]));
		pud_free(&init_mm, puds);
		mm_dec_nr_puds(&init_mm);
	}
}

static int map_page(pte_t *pte, unsigned long va, void *data)
{
	struct mapping *mapping = data;

	set_pte(pte, pfn_pte(mapping->pfn + ((va - mapping->va) >> PAGE_SHIFT),
			     PAGE_KERNEL));
	return 0;
}

static int map_again(void)
{
	struct mapping *m;
	int ret;

	for (m = mappings; m < mappings + mapping_count; m++) {
		ret = apply_to_page_range(&init_mm, m->va,
					  m->count * PAGE_SIZE, map_page, m);
		if (ret)
			return ret;
	}
	return 0;
}

/* Memory that is kept for what may come goes back to where all take it from. */
static void release_memory(void)
{
	struct kmem_cache *cache;

	vm_unmap_aliases();
	drop_slab();
	rcu_barrier();
	mutex_lock(&slab_mutex);
	list_for_each_entry(cache, &slab_caches, list)
		kmem_cache_shrink(cache);
	mutex_unlock(&slab_mutex);
	drain_all_pages(NULL);
}

/* What is left behind: links of pages that are in no list, below stacks. */

static void clear_links(void)
{
	unsigned long pfn, end;
	struct page *page;

	for (pfn = 0; pfn < max_pfn; pfn++) {
		page = pfn_to_page(pfn);
		if (PageReserved(page))
			page->lru = (struct list_head) { };
		if (!PageBuddy(page))
			continue;
		for (end = pfn + (1 << buddy_order(page)); ++pfn < end;)
			pfn_to_page(pfn)->lru = (struct list_head) { };
		pfn--;
	}
}

static void clear_stack(struct task_struct *tsk)
{
	char *start = (char *)tsk->thread.stack - DRUPE_STACK_SIZE;

	if (tsk != current && tsk->thread.stack)
		memset(start, 0, (char *)tsk->thread.sp - start);
}

/**
 * drupe_freeze - take apart what depends on addresses
 *
 * Called by process 1 of a kernel that has just booted and is idle.  To be
 * repeated when it is idle again: what happened since may have left traces.
 * Nobody may call the kernel after that, until drupe_thaw().
 *
 * Return: 0 or a negative errno.
 */
s64 drupe_freeze(void)
{
	struct task_struct *p, *t;
	struct mnt_namespace *ns;
	int ret = 0;

	release_memory();
	iterate_supers(unhash_dentries, &ret);
	if (!super_count)
		iterate_supers(find_supers, NULL);
	if (!ret && !node_count)
		ret = find_nodes(kernel_kobj->sd->parent);
	if (!ret)
		ret = move_nodes(ERR_PTR(-ENOENT));
	if (!ret)
		ret = unhash_ucounts(&init_ucounts);
	if (!ret)
		ret = unhash_netdevs();
	if (!ret && !mapping_count)
		ret = find_mappings();
	if (ret)
		return ret;
	free_tables();
	clear_stack(&init_task);
	for_each_process_thread(p, t) {
		clear_stack(t);
		ns = t->nsproxy->mnt_ns;
		ret = unhash_mounts(ns);
		if (ret)
			return ret;
	}
	release_memory();
	clear_links();
	return 0;
}

/* What hashes an empty table can be drawn again. */
static void reseed_neighbours(struct neigh_table *table)
{
	struct neigh_hash_table *nht = rcu_access_pointer(table->nht);
	int i;

	if (atomic_read(&table->entries))
		return;
	for (i = 0; i < NEIGH_NUM_HASH_RND; i++)
		nht->hash_rnd[i] = get_random_u32() | 1;
}

/*
 * The generator first, since the rest comes from it.  Secrets that are drawn
 * when they are first needed have not been.
 */
static int reseed(const u32 *secrets, size_t count)
{
	unsigned int i;
	uuid_t uuid;
	int ret;

	add_device_randomness(drupe_boot->seed, sizeof(drupe_boot->seed));
	ret = urandom_fops.unlocked_ioctl(NULL, RNDRESEEDCRNG, 0);
	if (ret)
		return ret;
	while (count--)
		*(u32 *)__va(secrets[count]) = get_random_u32();
	/* No socket is hashed yet. */
	init_net.hash_mix = get_random_u32();
	init_net.ipv4.sysctl_fib_multipath_hash_seed.mp_seed = get_random_u32();
	reseed_neighbours(&arp_tbl);
	reseed_neighbours(&nd_tbl);
	for (i = 0; i < super_count; i++) {
		uuid_gen(&uuid);
		super_set_uuid(supers[i], uuid.b, sizeof(uuid));
	}
	return 0;
}

/**
 * drupe_thaw - put together again what drupe_freeze() took apart
 * @secrets: offsets of secrets of files that are to be drawn again
 * @count: how many
 *
 * Called by process 1, with a new @drupe_boot; the time and random numbers are
 * those of the host from here on.
 *
 * Return: 0 or a negative errno.
 */
s64 drupe_thaw(const u32 *secrets, size_t count)
{
	int ret;

	static_branch_disable(&init_on_free);
	ret = reseed(secrets, count);
	if (ret)
		return ret;
	drupe_set_wall_clock();
	rehash_dentries();
	rehash();
	ret = move_nodes(&init_net);
	if (ret)
		return ret;
	return map_again();
}
