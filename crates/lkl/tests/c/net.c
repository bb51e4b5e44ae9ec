/* Network devices of the program's own, and what LKL sets up of interfaces. */
#include <arpa/inet.h>
#include <pthread.h>

#include "check.h"

/* One of two devices with a cable between them: frames that were sent to it. */
struct end {
	struct lkl_netdev dev;
	struct end *other;
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned char frames[64][2048];
	int lens[64], first, count, events, freed;
};

static void tell(struct end *end, int event)
{
	pthread_mutex_lock(&end->lock);
	end->events |= event;
	pthread_cond_broadcast(&end->news);
	pthread_mutex_unlock(&end->lock);
}

static int tx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	struct end *to = ((struct end *)nd)->other;
	int len = 0, at;

	pthread_mutex_lock(&to->lock);
	if (to->count == 64) {
		pthread_mutex_unlock(&to->lock);
		return -1;
	}
	at = (to->first + to->count++) % 64;
	for (int i = 0; i < cnt; i++) {
		CHECK(len + iov[i].iov_len <= sizeof(to->frames[at]));
		memcpy(to->frames[at] + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	to->lens[at] = len;
	to->events |= LKL_DEV_NET_POLL_RX;
	pthread_cond_broadcast(&to->news);
	pthread_mutex_unlock(&to->lock);
	return len;
}

static int rx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	struct end *end = (struct end *)nd;
	int len = -1, done = 0;

	pthread_mutex_lock(&end->lock);
	if (end->count) {
		len = end->lens[end->first];
		for (int i = 0; i < cnt && done < len; i++) {
			int part = len - done;

			if (part > (int)iov[i].iov_len)
				part = iov[i].iov_len;
			memcpy(iov[i].iov_base, end->frames[end->first] + done, part);
			done += part;
		}
		end->first = (end->first + 1) % 64;
		end->count--;
	}
	pthread_mutex_unlock(&end->lock);
	if (len >= 0)
		tell(end->other, LKL_DEV_NET_POLL_TX);
	return len;
}

static int wait_for_news(struct lkl_netdev *nd)
{
	struct end *end = (struct end *)nd;
	int events;

	pthread_mutex_lock(&end->lock);
	while (!end->events)
		pthread_cond_wait(&end->news, &end->lock);
	events = end->events;
	/* One that goes is gone. */
	end->events &= LKL_DEV_NET_POLL_HUP;
	pthread_mutex_unlock(&end->lock);
	return events;
}

static void hang_up(struct lkl_netdev *nd)
{
	tell((struct end *)nd, LKL_DEV_NET_POLL_HUP);
}

static void free_end(struct lkl_netdev *nd)
{
	((struct end *)nd)->freed++;
}

static struct lkl_dev_net_ops ops = {
	.tx = tx, .rx = rx, .poll = wait_for_news, .poll_hup = hang_up, .free = free_end};

static void plug(struct end *one, struct end *other, int header)
{
	memset(one, 0, sizeof(*one));
	pthread_mutex_init(&one->lock, NULL);
	pthread_cond_init(&one->news, NULL);
	one->dev.ops = &ops;
	one->dev.has_vnet_hdr = header;
	one->other = other;
}

/* A frame that leaves by one interface arrives at another one. */
static void carry(int from, int to, int header, struct end *out)
{
	unsigned char frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5};
	unsigned char got[128];
	/* struct sockaddr_ll */
	struct {
		unsigned short family, protocol;
		int index;
		unsigned char rest[12];
	} address = {.family = LKL_AF_PACKET, .protocol = htons(0x88b5)};
	int in, send;

	MAKE(in, lkl_sys_socket(LKL_AF_PACKET, LKL_SOCK_RAW, htons(0x88b5)));
	address.index = to;
	OK(lkl_sys_bind(in, (struct lkl_sockaddr *)&address, sizeof(address)));
	MAKE(send, lkl_sys_socket(LKL_AF_PACKET, LKL_SOCK_RAW, 0));
	address.index = from;
	/* More than the cable holds: those that find no room are sent later. */
	for (int i = 0; i < 100; i++) {
		frame[20] = i;
		RETURNS(60, lkl_sys_sendto(send, frame, sizeof(frame), 0,
					   (struct lkl_sockaddr *)&address, sizeof(address)));
	}
	for (int i = 0; i < 100; i++) {
		RETURNS(60, lkl_sys_recv(in, got, sizeof(got), 0));
		CHECK(got[20] == i && got[6] == 2 && got[11] == 9);
	}
	CHECK(out->lens[0] >= 60 + (header ? 12 : 0));
	OK(lkl_sys_close(in));
	OK(lkl_sys_close(send));
}

static unsigned int v4(const char *text)
{
	return inet_addr(text);
}

/* Whether there is a rule of a family's that sends packets from somewhere to a table. */
static int has_rule(int family, unsigned int table)
{
	struct {
		struct lkl_nlmsghdr header;
		struct lkl_fib_rule_hdr rule;
	} ask = {.header = {.nlmsg_len = sizeof(ask),
			    .nlmsg_type = LKL_RTM_GETRULE,
			    .nlmsg_flags = LKL_NLM_F_REQUEST | LKL_NLM_F_DUMP},
		 .rule = {.family = family}};
	char answer[8192] __attribute__((aligned(4)));
	struct lkl_nlmsghdr *header;
	struct lkl_fib_rule_hdr *rule;
	struct lkl_rtattr *attribute;
	int sock, got, rest, found = 0;
	unsigned int len;

	MAKE(sock, lkl_sys_socket(LKL_AF_NETLINK, LKL_SOCK_RAW, LKL_NETLINK_ROUTE));
	RETURNS((long)sizeof(ask), lkl_sys_send(sock, &ask, sizeof(ask), 0));
	for (;;) {
		MAKE(got, lkl_sys_recv(sock, answer, sizeof(answer), 0));
		len = got;
		header = (struct lkl_nlmsghdr *)answer;
		for (; LKL_NLMSG_OK(header, len); header = LKL_NLMSG_NEXT(header, len)) {
			if (header->nlmsg_type == LKL_NLMSG_DONE) {
				OK(lkl_sys_close(sock));
				return found;
			}
			rule = LKL_NLMSG_DATA(header);
			attribute = (struct lkl_rtattr *)(rule + 1);
			rest = LKL_NLMSG_PAYLOAD(header, sizeof(*rule));
			for (; LKL_RTA_OK(attribute, rest);
			     attribute = LKL_RTA_NEXT(attribute, rest))
				if (attribute->rta_type == LKL_FRA_TABLE && rule->src_len)
					found |= *(unsigned int *)LKL_RTA_DATA(attribute) == table;
		}
	}
}

static void setup(int one, int other)
{
	unsigned char v6[16] = {0xfd, [15] = 1}, gateway6[16] = {0xfd, [15] = 9};
	unsigned char mac[6] = {2, 0, 0, 0, 0, 7};
	unsigned int address = v4("10.1.0.5"), neighbour = v4("10.1.0.7");
	struct lkl_ifreq request;
	int sock;

	OK(lkl_mount_fs("proc") > 0);
	RETURNS(1, lkl_ifname_to_ifindex("lo"));
	RETURNS(one, lkl_ifname_to_ifindex("eth0"));
	RETURNS(-LKL_ENODEV, lkl_ifname_to_ifindex("none"));
	RETURNS(-LKL_ENODEV, lkl_ifname_to_ifindex("a-name-that-is-too-long"));
	RETURNS(-LKL_ENODEV, lkl_if_up(99));

	OK(lkl_if_set_mtu(one, 1400));
	RETURNS(-LKL_EINVAL, lkl_if_set_mtu(one, 10));
	OK(lkl_if_set_ipv4(one, v4("10.1.0.1"), 24));
	RETURNS(-LKL_EEXIST, lkl_if_set_ipv4(one, v4("10.1.0.1"), 24));
	OK(lkl_if_add_ip(one, LKL_AF_INET, &address, 24));
	OK(lkl_if_del_ip(one, LKL_AF_INET, &address, 24));
	RETURNS(-LKL_EADDRNOTAVAIL, lkl_if_del_ip(one, LKL_AF_INET, &address, 24));
	RETURNS(-LKL_EAFNOSUPPORT, lkl_if_add_ip(one, LKL_AF_UNIX, &address, 24));
	/* The kernel finds out that nobody else has it. */
	OK(lkl_if_set_ipv6(one, v6, 64));
	v6[15] = 3;
	RETURNS(-1, lkl_if_wait_ipv6_dad(one, v6));

	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
	memset(&request, 0, sizeof(request));
	strcpy(request.lkl_ifr_name, "eth0");
	OK(lkl_sys_ioctl(sock, LKL_SIOCGIFMTU, (long)&request));
	RETURNS(1400, request.lkl_ifr_mtu);
	OK(lkl_sys_ioctl(sock, LKL_SIOCGIFADDR, (long)&request));
	RETURNS(v4("10.1.0.1"),
		((struct lkl_sockaddr_in *)&request.lkl_ifr_addr)->sin_addr.lkl_s_addr);

	OK(lkl_set_ipv4_gateway(v4("10.1.0.9")));
	CHECK(strstr(contents("/proc/net/route"), "eth0\t00000000\t0900010A"));
	RETURNS(-LKL_ENETUNREACH, lkl_set_ipv4_gateway(v4("10.99.0.9")));
	OK(lkl_set_ipv6_gateway(gateway6));
	CHECK(strstr(contents("/proc/net/ipv6_route"),
		     "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		     "fd000000000000000000000000000009"));
	/* Packets from one address go another way. */
	address = v4("10.2.0.1");
	neighbour = v4("10.2.0.9");
	OK(lkl_if_set_ipv4(other, address, 24));
	OK(lkl_if_set_ipv4_gateway(other, address, 24, neighbour));
	RETURNS(-LKL_EEXIST, lkl_if_add_gateway(other, LKL_AF_INET, &neighbour));
	RETURNS(-LKL_EINVAL, lkl_if_add_linklocal(other, LKL_AF_INET, &address, 33));
	v6[0] = 0xfc;
	gateway6[0] = 0xfc;
	OK(lkl_if_set_ipv6(other, v6, 64));
	OK(lkl_if_set_ipv6_gateway(other, v6, 64, gateway6));

	CHECK(has_rule(LKL_AF_INET, other * 2) && !has_rule(LKL_AF_INET, other * 2 + 1));
	CHECK(has_rule(LKL_AF_INET6, other * 2 + 1) && !has_rule(LKL_AF_INET6, other * 2));

	neighbour = v4("10.1.0.7");
	OK(lkl_add_neighbor(one, LKL_AF_INET, &neighbour, mac));
	CHECK(strstr(contents("/proc/net/arp"), "10.1.0.7"));
	CHECK(strstr(contents("/proc/net/arp"), "02:00:00:00:00:07"));
	OK(lkl_add_neighbor(one, LKL_AF_INET6, gateway6, mac));

	OK(lkl_qdisc_add(one, "root", "pfifo"));
	RETURNS(-LKL_EINVAL, lkl_qdisc_add(one, "leaf", "pfifo"));
	RETURNS(-LKL_ENOENT, lkl_qdisc_add(one, "root", "none"));
	lkl_qdisc_parse_add(one, "root|fq;");
	OK(lkl_if_down(one));
	OK(lkl_sys_ioctl(sock, LKL_SIOCGIFFLAGS, (long)&request));
	CHECK(!(request.lkl_ifr_flags & LKL_IFF_UP));
	OK(lkl_if_up(one));
	OK(lkl_sys_close(sock));
}

/* The kernel pings itself. */
static void ping(void)
{
	struct lkl_sockaddr_in to = {.sin_family = LKL_AF_INET};
	struct lkl_icmphdr echo = {.type = LKL_ICMP_ECHO, .checksum = htons(0xf7ff)};
	struct lkl_iphdr *ip;
	char answer[64];
	int sock;

	OK(lkl_if_up(1));
	to.sin_addr.lkl_s_addr = v4("127.0.0.1");
	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_RAW, LKL_IPPROTO_ICMP));
	RETURNS(8, lkl_sys_sendto(sock, &echo, sizeof(echo), 0, (struct lkl_sockaddr *)&to,
				  sizeof(to)));
	do {
		CHECK(lkl_sys_recv(sock, answer, sizeof(answer), 0) >= 28);
		ip = (struct lkl_iphdr *)answer;
	} while (((struct lkl_icmphdr *)(answer + ip->ihl * 4))->type != LKL_ICMP_ECHOREPLY);
	OK(lkl_sys_close(sock));
}

int main(void)
{
	static struct end ends[2];
	struct lkl_netdev nothing = {0};
	unsigned char mac[6] = {2, 0, 0, 0, 0, 1};
	struct lkl_netdev_args args = {.mac = mac};
	struct lkl_ifreq request;
	int ids[2], indices[2], sock;

	lkl_host_ops.print = NULL;
	CHECK(!lkl_netdev_tap_create("a-name-that-is-too-long", 0));
	CHECK(!lkl_netdev_raw_create("no-such"));
	CHECK(!lkl_netdev_macvtap_create("/no/such", 0));
	CHECK(!lkl_netdev_pipe_create("one", 0));
	CHECK(!lkl_netdev_pipe_create("/dev/null|/dev/null", 0));
	CHECK(!lkl_netdev_dpdk_create("dpdk0", 0, NULL));
	CHECK(!lkl_netdev_vde_create("/tmp"));
	CHECK(!lkl_netdev_wintap_create("tap0"));
	RETURNS(-LKL_EINVAL, lkl_netdev_add(&nothing, NULL));
	RETURNS(-LKL_ENODEV, lkl_netdev_get_ifindex(0));

	for (int header = 0; header < 2; header++) {
		plug(&ends[0], &ends[1], header);
		plug(&ends[1], &ends[0], header);
		OK(lkl_init(&lkl_host_ops));
		/* One before the kernel starts, one after. */
		MAKE(ids[0], lkl_netdev_add(&ends[0].dev, &args));
		OK(lkl_start_kernel("mem=64M"));
		MAKE(ids[1], lkl_netdev_add(&ends[1].dev, NULL));
		RETURNS(0, ids[0]);
		RETURNS(1, ids[1]);
		for (int i = 0; i < 2; i++) {
			MAKE(indices[i], lkl_netdev_get_ifindex(ids[i]));
			OK(lkl_if_up(indices[i]));
		}
		MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
		strcpy(request.lkl_ifr_name, "eth0");
		OK(lkl_sys_ioctl(sock, LKL_SIOCGIFHWADDR, (long)&request));
		CHECK(!memcmp(request.lkl_ifr_hwaddr.sa_data, mac, 6));
		OK(lkl_sys_close(sock));
		carry(indices[0], indices[1], header, &ends[1]);
		carry(indices[1], indices[0], header, &ends[0]);
		if (header) {
			setup(indices[0], indices[1]);
			ping();
		}
		/* One is removed, the other one goes with the kernel. */
		lkl_netdev_remove(ids[0]);
		RETURNS(-LKL_ENODEV, lkl_netdev_get_ifindex(ids[0]));
		CHECK(ends[0].events & LKL_DEV_NET_POLL_HUP);
		OK(lkl_sys_halt());
		CHECK(ends[1].events & LKL_DEV_NET_POLL_HUP);
		for (int i = 0; i < 2; i++) {
			lkl_netdev_free(&ends[i].dev);
			RETURNS(1, ends[i].freed);
		}
		lkl_cleanup();
	}
	return 0;
}
