/* A device of the host's, and the host's own network at its other end. Arguments: its kind,
 * what it needs. The host is 10.9.0.1 there. */
#include <arpa/inet.h>

#include "check.h"

static struct lkl_netdev *create(const char *kind, const char *what)
{
	if (!strcmp(kind, "tap"))
		return lkl_netdev_tap_create(what, 0);
	if (!strcmp(kind, "raw"))
		return lkl_netdev_raw_create(what);
	return lkl_netdev_macvtap_create(what, 0);
}

int main(int argc, char **argv)
{
	struct lkl_icmphdr echo = {.type = LKL_ICMP_ECHO, .checksum = htons(0xf7ff)};
	struct lkl_sockaddr_in to = {.sin_family = LKL_AF_INET};
	struct lkl_pollfd answered = {.events = LKL_POLLIN};
	struct lkl_netdev *device;
	struct lkl_iphdr *ip;
	char answer[64];
	int id, index, sock;

	CHECK(argc == 3);
	lkl_host_ops.print = NULL;
	OK(lkl_init(&lkl_host_ops));
	device = create(argv[1], argv[2]);
	CHECK(device);
	MAKE(id, lkl_netdev_add(device, NULL));
	OK(lkl_start_kernel("mem=64M"));
	MAKE(index, lkl_netdev_get_ifindex(id));
	OK(lkl_if_up(index));
	OK(lkl_if_set_ipv4(index, inet_addr("10.9.0.2"), 24));

	to.sin_addr.lkl_s_addr = inet_addr("10.9.0.1");
	MAKE(sock, lkl_sys_socket(LKL_AF_INET, LKL_SOCK_RAW, LKL_IPPROTO_ICMP));
	answered.fd = sock;
	/* Interfaces of the host's may not be up at once. */
	do {
		RETURNS(8, lkl_sys_sendto(sock, &echo, sizeof(echo), 0,
					  (struct lkl_sockaddr *)&to, sizeof(to)));
	} while (lkl_sys_poll(&answered, 1, 100) == 0);
	CHECK(lkl_sys_recv(sock, answer, sizeof(answer), 0) >= 28);
	ip = (struct lkl_iphdr *)answer;
	CHECK(((struct lkl_icmphdr *)(answer + ip->ihl * 4))->type == LKL_ICMP_ECHOREPLY);
	CHECK(ip->saddr == to.sin_addr.lkl_s_addr);
	OK(lkl_sys_close(sock));

	lkl_netdev_remove(id);
	lkl_netdev_free(device);
	OK(lkl_sys_halt());
	lkl_cleanup();
	return 0;
}
