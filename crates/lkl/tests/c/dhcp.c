/* ip=dhcp: a network device of the program's that is a DHCP server (RFC 2131), and a kernel
 * that asks it for an address when it starts. */
#include <arpa/inet.h>
#include <pthread.h>

#include "check.h"

/* Where things are in a frame. */
enum { IP = 14, UDP = IP + 20, BOOTP = UDP + 8, COOKIE = BOOTP + 236, OPTIONS = COOKIE + 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static unsigned char answer[400];
static int answer_len, events, asked[9];

static void tell(int event)
{
	events |= event;
	pthread_cond_broadcast(&news);
}

static unsigned short checksum(const unsigned char *bytes, int len)
{
	unsigned int sum = 0;

	for (int i = 0; i < len; i += 2)
		sum += bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static void put16(unsigned char *to, unsigned int value)
{
	to[0] = value >> 8;
	to[1] = value;
}

/* The kind of a message: 1 is DISCOVER, 3 is REQUEST. 0: it is none. */
static int kind(const unsigned char *frame, int len)
{
	int at = OPTIONS;

	if (len < OPTIONS || frame[12] != 8 || frame[13] || frame[IP + 9] != 17 ||
	    frame[UDP + 2] || frame[UDP + 3] != 67)
		return 0;
	while (at + 2 < len && frame[at] != 255) {
		if (frame[at] == 53)
			return frame[at + 2];
		at += frame[at] ? 2 + frame[at + 1] : 1;
	}
	return 0;
}

static void reply(const unsigned char *frame, int type)
{
	const unsigned char options[] = {53, 1, type,		    /* what it is */
					 54, 4, 10, 5, 0, 1,	    /* who says so */
					 51, 4, 0, 0, 14, 16,	    /* for how long */
					 1,  4, 255, 255, 255, 0,   /* netmask */
					 3,  4, 10, 5, 0, 1,	    /* router */
					 255};

	memset(answer, 0, sizeof(answer));
	answer_len = OPTIONS + sizeof(options);
	memcpy(answer, frame + 6, 6);
	memcpy(answer + 6, "\x02\0\0\0\0\xfe\x08", 7);
	answer[IP] = 0x45;
	put16(answer + IP + 2, answer_len - IP);
	answer[IP + 8] = 64;
	answer[IP + 9] = 17;
	memcpy(answer + IP + 12, "\x0a\x05\0\x01\xff\xff\xff\xff", 8);
	put16(answer + IP + 10, checksum(answer + IP, 20));
	put16(answer + UDP, 67);
	put16(answer + UDP + 2, 68);
	put16(answer + UDP + 4, answer_len - UDP);
	/* A reply, with what the request was known by, and the address. */
	memcpy(answer + BOOTP, frame + BOOTP, 236);
	answer[BOOTP] = 2;
	memcpy(answer + BOOTP + 16, "\x0a\x05\0\x4d", 4);
	memcpy(answer + COOKIE, frame + COOKIE, 4);
	memcpy(answer + OPTIONS, options, sizeof(options));
	tell(LKL_DEV_NET_POLL_RX);
}

static int tx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	unsigned char frame[2048];
	int len = 0, type;

	(void)nd;
	for (int i = 0; i < cnt; i++) {
		CHECK(len + iov[i].iov_len <= sizeof(frame));
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	type = kind(frame, len);
	pthread_mutex_lock(&lock);
	if (type == 1 || type == 3) {
		asked[type]++;
		reply(frame, type == 1 ? 2 : 5);
	}
	pthread_mutex_unlock(&lock);
	return len;
}

static int rx(struct lkl_netdev *nd, struct iovec *iov, int cnt)
{
	int len;

	(void)nd;
	pthread_mutex_lock(&lock);
	len = answer_len ? answer_len : -1;
	for (int i = 0, done = 0; i < cnt && done < len; i++) {
		int part = len - done < (int)iov[i].iov_len ? len - done : (int)iov[i].iov_len;

		memcpy(iov[i].iov_base, answer + done, part);
		done += part;
	}
	answer_len = 0;
	pthread_mutex_unlock(&lock);
	return len;
}

static int wait_for_news(struct lkl_netdev *nd)
{
	int found;

	(void)nd;
	pthread_mutex_lock(&lock);
	while (!events)
		pthread_cond_wait(&news, &lock);
	found = events;
	events = 0;
	pthread_mutex_unlock(&lock);
	return found;
}

static void hang_up(struct lkl_netdev *nd)
{
	(void)nd;
	pthread_mutex_lock(&lock);
	tell(LKL_DEV_NET_POLL_HUP);
	pthread_mutex_unlock(&lock);
}

static struct lkl_dev_net_ops ops = {
	.tx = tx, .rx = rx, .poll = wait_for_news, .poll_hup = hang_up};

int main(void)
{
	struct lkl_netdev device = {.ops = &ops};
	struct lkl_ifreq request = {0};
	int id, sock;

	lkl_host_ops.print = NULL;
	OK(lkl_init(&lkl_host_ops));
	MAKE(id, lkl_netdev_add(&device, NULL));
	OK(lkl_start_kernel("mem=64M %s", "ip=dhcp"));
	CHECK(asked[1] && asked[3]);
	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_DGRAM, 0));
	strcpy(request.lkl_ifr_name, "eth0");
	OK(lkl_sys_ioctl(sock, LKL_SIOCGIFADDR, (long)&request));
	RETURNS(inet_addr("10.5.0.77"),
		((struct lkl_sockaddr_in *)&request.lkl_ifr_addr)->sin_addr.lkl_s_addr);
	OK(lkl_sys_close(sock));
	OK(lkl_mount_fs("proc"));
	CHECK(strstr(contents("/proc/net/route"), "eth0\t00000000\t0100050A"));
	lkl_netdev_remove(id);
	/* There is nothing to free. */
	lkl_netdev_free(&device);
	OK(lkl_sys_halt());
	lkl_cleanup();
	return 0;
}
