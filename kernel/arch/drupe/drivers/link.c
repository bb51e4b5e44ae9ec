// SPDX-License-Identifier: GPL-2.0
/*
 * Network links of the host program: Ethernet devices eth0, eth1, ...
 *
 * What is sent is handed to the host as it lies in memory, several frames at a
 * time; what is received, the host puts into pages that become those of the
 * socket buffer.  Checksums and segmentation are left to whoever is at the other
 * end, as struct virtio_net_hdr describes it.
 */
#include <linux/bitops.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/timer.h>
#include <linux/virtio_net.h>
#include <asm/machine.h>

#define NR_LINKS	64
#define TX_BATCH	16
#define TX_VECTORS	(MAX_SKB_FRAGS + 1)

/* The largest frame: an IP packet of 64 KiB, Ethernet header, VLAN tag. */
#define RX_ROOM		(SZ_64K + VLAN_ETH_HLEN)
#define RX_ORDER	3
#define RX_CHUNKS	MAX_SKB_FRAGS
#define RX_HEADERS	256
/* Shorter frames are copied: their pages are used again. */
#define RX_COPY		1024
#define RX_ALIGN	64
/* With no memory at all, try again after this many ticks. */
#define RX_RETRY	10

/**
 * struct rx_chunk - memory that the next frame may be put into
 * @page: the page
 * @used: bytes at its start that earlier frames lie in
 */
struct rx_chunk {
	struct page *page;
	u32 used;
};

/**
 * struct drupe_link - a link
 * @dev: its device
 * @napi: receives, and sends again after the host was full
 * @retry: has it receive again when there was no memory
 * @number: what the host calls it
 * @tx_count: frames that the host has not taken yet
 * @tx_skbs: their buffers
 * @tx_frames: what the host is shown of them
 * @tx_iov: their pieces
 * @rx_count: chunks that there are
 * @rx_chunks: these chunks
 *
 * The tx fields belong to the holder of the device's tx lock, the rx fields to
 * the holder of @napi.
 */
struct drupe_link {
	struct net_device *dev;
	struct napi_struct napi;
	struct timer_list retry;
	u32 number;
	u32 tx_count;
	struct sk_buff *tx_skbs[TX_BATCH];
	struct drupe_frame tx_frames[TX_BATCH];
	struct drupe_iovec tx_iov[TX_BATCH][TX_VECTORS];
	u32 rx_count;
	struct rx_chunk rx_chunks[RX_CHUNKS];
};

static struct drupe_link *links[NR_LINKS];
static DEFINE_MUTEX(links_lock);

static_assert(sizeof(struct virtio_net_hdr) == sizeof_field(struct drupe_frame,
							    header));

static int frame_fill(struct drupe_frame *frame, struct drupe_iovec *iov,
		      struct sk_buff *skb)
{
	struct virtio_net_hdr *hdr = (void *)frame->header;
	u32 n = 0;
	int i;

	if (virtio_net_hdr_from_skb(skb, hdr, true, false, 0))
		return -EINVAL;
	iov[n++] = (struct drupe_iovec) { skb->data, skb_headlen(skb) };
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		iov[n++] = (struct drupe_iovec) {
			skb_frag_address(frag), skb_frag_size(frag),
		};
	}
	frame->iov_count = n;
	frame->iov = iov;
	return 0;
}

/* Hands over what waits; what the host does not take stays. */
static void link_flush(struct drupe_link *link)
{
	u32 taken, i;

	if (!link->tx_count)
		return;
	taken = drupe_link_send(link->number, link->tx_frames, link->tx_count);
	taken = min(taken, link->tx_count);
	for (i = 0; i < taken; i++) {
		dev_sw_netstats_tx_add(link->dev, 1, link->tx_skbs[i]->len);
		dev_consume_skb_any(link->tx_skbs[i]);
	}
	link->tx_count -= taken;
	if (likely(!link->tx_count))
		return;
	netif_stop_queue(link->dev);
	/* The vectors move too: a frame's pointer to them stays valid. */
	for (i = 0; i < link->tx_count; i++) {
		struct drupe_frame *frame = &link->tx_frames[i];

		link->tx_skbs[i] = link->tx_skbs[i + taken];
		*frame = link->tx_frames[i + taken];
		memcpy(link->tx_iov[i], frame->iov,
		       frame->iov_count * sizeof(*frame->iov));
		frame->iov = link->tx_iov[i];
	}
}

static netdev_tx_t link_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct drupe_link *link = netdev_priv(dev);
	u32 n = link->tx_count;

	if (unlikely(n == TX_BATCH))
		return NETDEV_TX_BUSY;
	skb_tx_timestamp(skb);
	if (frame_fill(&link->tx_frames[n], link->tx_iov[n], skb)) {
		dev_core_stats_tx_dropped_inc(dev);
		dev_kfree_skb_any(skb);
	} else {
		link->tx_skbs[n] = skb;
		link->tx_count++;
	}
	if (!netdev_xmit_more() || link->tx_count == TX_BATCH)
		link_flush(link);
	return NETDEV_TX_OK;
}

/* The host may take more: what waits goes first. */
static void link_resume(struct drupe_link *link)
{
	if (likely(!netif_queue_stopped(link->dev)))
		return;
	netif_tx_lock(link->dev);
	link_flush(link);
	if (!link->tx_count)
		netif_wake_queue(link->dev);
	netif_tx_unlock(link->dev);
}

static u32 chunk_room(const struct rx_chunk *chunk)
{
	return page_size(chunk->page) - chunk->used;
}

/* Sees to it that there is room for the largest frame, if there is memory. */
static u32 rx_refill(struct drupe_link *link)
{
	const gfp_t gfp = GFP_ATOMIC | __GFP_COMP | __GFP_NOWARN;
	struct page *page;
	u32 room = 0, i;

	for (i = 0; i < link->rx_count; i++)
		room += chunk_room(&link->rx_chunks[i]);
	while (room < RX_ROOM && link->rx_count < RX_CHUNKS) {
		page = alloc_pages(gfp | __GFP_NORETRY, RX_ORDER);
		if (!page)
			page = alloc_page(gfp);
		if (!page)
			break;
		link->rx_chunks[link->rx_count++] = (struct rx_chunk) { page };
		room += page_size(page);
	}
	return room;
}

static void rx_drop_chunks(struct drupe_link *link)
{
	while (link->rx_count)
		put_page(link->rx_chunks[--link->rx_count].page);
}

/* Copies the first @len bytes of the chunks to the end of @skb's head. */
static void rx_copy(struct drupe_link *link, struct sk_buff *skb, u32 len)
{
	struct rx_chunk *chunk = link->rx_chunks;

	for (; len; chunk++) {
		u32 part = min(len, chunk_room(chunk));

		skb_put_data(skb, page_address(chunk->page) + chunk->used,
			     part);
		len -= part;
	}
}

/* Makes the chunks' bytes from @skip up to @len those of @skb. */
static void rx_attach(struct drupe_link *link, struct sk_buff *skb, u32 skip,
		      u32 len)
{
	struct rx_chunk *chunks = link->rx_chunks;
	u32 done = 0, n = 0, whole = 0;

	while (done < len) {
		struct rx_chunk *chunk = &chunks[whole];
		u32 part = min(len - done, chunk_room(chunk));
		u32 head = min(skip, part);
		u32 used = chunk->used;

		chunk->used = ALIGN(used + part, RX_ALIGN);
		/* What is left of it is for the next frame. */
		if (chunk->used < page_size(chunk->page))
			get_page(chunk->page);
		else
			whole++;
		if (part > head)
			skb_add_rx_frag(skb, n++, chunk->page, used + head,
					part - head, part);
		else
			put_page(chunk->page);
		skip -= head;
		done += part;
	}
	link->rx_count -= whole;
	memmove(chunks, chunks + whole, link->rx_count * sizeof(*chunks));
}

static struct sk_buff *rx_skb(struct drupe_link *link, u32 len)
{
	struct sk_buff *skb;
	u32 head = len;

	if (len > RX_COPY) {
		struct rx_chunk *chunk = link->rx_chunks;
		void *data = page_address(chunk->page) + chunk->used;

		head = min_t(u32, chunk_room(chunk), RX_HEADERS);
		head = eth_get_headlen(link->dev, data, head);
	}
	skb = napi_alloc_skb(&link->napi, max_t(u32, head, RX_HEADERS));
	if (!skb)
		return NULL;
	rx_copy(link, skb, head);
	if (len > head)
		rx_attach(link, skb, head, len);
	return skb;
}

/* Returns whether there may be more. */
static bool link_receive(struct drupe_link *link)
{
	struct drupe_iovec iov[RX_CHUNKS];
	struct drupe_frame frame = { .iov = iov };
	struct virtio_net_hdr *hdr = (void *)frame.header;
	struct net_device *dev = link->dev;
	struct sk_buff *skb;
	s64 len;
	u32 i;

	if (rx_refill(link) < RX_ROOM) {
		mod_timer(&link->retry, jiffies + RX_RETRY);
		return false;
	}
	frame.iov_count = link->rx_count;
	for (i = 0; i < link->rx_count; i++) {
		struct rx_chunk *chunk = &link->rx_chunks[i];

		iov[i] = (struct drupe_iovec) {
			page_address(chunk->page) + chunk->used,
			chunk_room(chunk),
		};
	}
	len = drupe_link_receive(link->number, &frame);
	if (len <= 0)
		return false;
	if (len < ETH_HLEN || len > RX_ROOM) {
		DEV_STATS_INC(dev, rx_errors);
		DEV_STATS_INC(dev, rx_length_errors);
		return true;
	}
	skb = rx_skb(link, len);
	if (!skb) {
		dev_core_stats_rx_dropped_inc(dev);
		return true;
	}
	if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (virtio_net_hdr_to_skb(skb, hdr, true)) {
		DEV_STATS_INC(dev, rx_errors);
		DEV_STATS_INC(dev, rx_frame_errors);
		kfree_skb(skb);
		return true;
	}
	skb->protocol = eth_type_trans(skb, dev);
	dev_sw_netstats_rx_add(dev, len);
	napi_gro_receive(&link->napi, skb);
	return true;
}

static int link_poll(struct napi_struct *napi, int budget)
{
	struct drupe_link *link = container_of(napi, struct drupe_link, napi);
	int done = 0;

	link_resume(link);
	while (done < budget && link_receive(link))
		done++;
	if (done < budget)
		napi_complete_done(napi, done);
	return done;
}

static void link_retry(struct timer_list *timer)
{
	struct drupe_link *link = from_timer(link, timer, retry);

	napi_schedule(&link->napi);
}

static irqreturn_t link_interrupt(int irq, void *dev_id)
{
	unsigned long news = drupe_link_news();
	unsigned int number;

	for_each_set_bit(number, &news, NR_LINKS)
		if (links[number])
			napi_schedule(&links[number]->napi);
	return IRQ_HANDLED;
}

static int link_open(struct net_device *dev)
{
	struct drupe_link *link = netdev_priv(dev);

	napi_enable(&link->napi);
	netif_start_queue(dev);
	/* Receiving nothing is what makes the host tell of more. */
	local_bh_disable();
	napi_schedule(&link->napi);
	local_bh_enable();
	return 0;
}

static int link_stop(struct net_device *dev)
{
	struct drupe_link *link = netdev_priv(dev);

	netif_tx_disable(dev);
	timer_delete_sync(&link->retry);
	napi_disable(&link->napi);
	while (link->tx_count) {
		dev_core_stats_tx_dropped_inc(dev);
		dev_kfree_skb_any(link->tx_skbs[--link->tx_count]);
	}
	rx_drop_chunks(link);
	return 0;
}

static const struct net_device_ops link_ops = {
	.ndo_open = link_open,
	.ndo_stop = link_stop,
	.ndo_start_xmit = link_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static const struct ethtool_ops link_ethtool_ops = {
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
};

static netdev_features_t link_features(u32 flags)
{
	netdev_features_t features = NETIF_F_SG | NETIF_F_HIGHDMA;

	if (flags & DRUPE_LINK_CSUM)
		features |= NETIF_F_HW_CSUM | NETIF_F_RXCSUM;
	if (flags & DRUPE_LINK_TSO)
		features |= NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN;
	if (flags & DRUPE_LINK_USO)
		features |= NETIF_F_GSO_UDP_L4;
	return features;
}

static void link_setup(struct net_device *dev, u32 mtu, u32 flags)
{
	dev->netdev_ops = &link_ops;
	dev->ethtool_ops = &link_ethtool_ops;
	dev->features = link_features(flags);
	dev->hw_features = dev->features;
	dev->vlan_features = dev->features;
	dev->hw_enc_features = dev->features & ~NETIF_F_GSO_MASK;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->mtu = mtu;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = mtu;
}

/**
 * drupe_link_add - add a link to the current task's network namespace
 * @number: what the host calls it
 * @mac: its hardware address, or NULL for a random one
 * @mtu: in bytes; it can be made smaller, not larger
 * @flags: &enum drupe_link_flags
 *
 * Return: index of the interface or a negative errno.
 */
s64 drupe_link_add(u32 number, const u8 *mac, u32 mtu, u32 flags)
{
	struct drupe_link *link;
	struct net_device *dev;
	int ret;

	guard(mutex)(&links_lock);
	if (number >= NR_LINKS || mtu < ETH_MIN_MTU ||
	    mtu > SZ_64K - ETH_HLEN)
		return -EINVAL;
	if (links[number])
		return -EEXIST;
	if (mac && !is_valid_ether_addr(mac))
		return -EADDRNOTAVAIL;
	dev = alloc_etherdev(sizeof(*link));
	if (!dev)
		return -ENOMEM;
	dev_net_set(dev, current->nsproxy->net_ns);
	link_setup(dev, mtu, flags);
	if (mac)
		eth_hw_addr_set(dev, mac);
	else
		eth_hw_addr_random(dev);
	link = netdev_priv(dev);
	link->dev = dev;
	link->number = number;
	timer_setup(&link->retry, link_retry, 0);
	netif_napi_add(dev, &link->napi, link_poll);
	ret = register_netdev(dev);
	if (ret) {
		free_netdev(dev);
		return ret;
	}
	links[number] = link;
	return dev->ifindex;
}

/**
 * drupe_link_remove - remove a link, whoever uses it
 * @number: its number
 *
 * Return: 0, or -ENODEV when there is none.
 */
s64 drupe_link_remove(u32 number)
{
	struct net_device *dev;

	guard(mutex)(&links_lock);
	if (number >= NR_LINKS || !links[number])
		return -ENODEV;
	dev = links[number]->dev;
	unregister_netdev(dev);
	links[number] = NULL;
	free_netdev(dev);
	return 0;
}

static int __init link_init(void)
{
	return request_irq(DRUPE_IRQ_LINK, link_interrupt, 0, "link", NULL);
}
device_initcall(link_init);
