/* Two kernels and a cable: TCP with a thread at each end and a descriptor that poll(2) waits
 * for, UDP, and calls that are ended. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"

static struct sockaddr_in address(const char *ip, int port)
{
	struct sockaddr_in address;

	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)port);
	CHECK(inet_pton(AF_INET, ip, &address.sin_addr) == 1);
	return address;
}

/* Sends back what comes, until there is no more. */
static void *echo(void *data)
{
	drupe_socket *listener = data, *connection;
	struct sockaddr_in from;
	uint32_t from_len = sizeof(from);
	char buffer[512];
	size_t len, sent;

	MAKE(connection, drupe_socket_accept(listener, &from, &from_len, &error));
	CHECK(from_len == sizeof(from));
	CHECK(from.sin_addr.s_addr == address("10.0.0.2", 0).sin_addr.s_addr);
	for (;;) {
		OK(drupe_socket_receive(connection, buffer, sizeof(buffer), 0, &len, &error));
		if (len == 0)
			break;
		OK(drupe_socket_send(connection, buffer, len, 0, &sent, &error));
		CHECK(sent == len);
	}
	drupe_socket_close(connection);
	return NULL;
}

static void tcp(drupe_kernel *server, drupe_kernel *client)
{
	struct sockaddr_in at = address("10.0.0.1", 7), peer;
	uint32_t peer_len = sizeof(peer), option_len;
	drupe_socket *listener, *socket;
	struct drupe_event event;
	drupe_poll *poller;
	struct pollfd ready;
	pthread_t thread;
	size_t done, count;
	char buffer[16];
	int yes = 1, pending = -1;

	MAKE(listener, drupe_socket_open(server, AF_INET, SOCK_STREAM, 0, &error));
	OK(drupe_socket_set_option(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes), &error));
	OK(drupe_socket_bind(listener, &at, sizeof(at), &error));
	OK(drupe_socket_listen(listener, 8, &error));
	CHECK(pthread_create(&thread, NULL, echo, listener) == 0);

	MAKE(socket, drupe_socket_open(client, AF_INET, SOCK_STREAM, 0, &error));
	OK(drupe_socket_connect(socket, &at, sizeof(at), &error));
	OK(drupe_socket_peer_address(socket, &peer, &peer_len, &error));
	CHECK(peer_len == sizeof(peer) && peer.sin_port == htons(7));
	OK(drupe_socket_get_option(socket, SOL_SOCKET, SO_ERROR, &pending, sizeof(pending),
				   &option_len, &error));
	CHECK(pending == 0 && option_len == sizeof(pending));
	OK(drupe_socket_set_nonblocking(socket, 1, &error));
	FAILS(drupe_socket_receive(socket, buffer, sizeof(buffer), 0, &done, &error), EAGAIN, "");

	MAKE(poller, drupe_poll_new(client, &error));
	OK(drupe_poll_add(poller, socket, DRUPE_READABLE, 42, &error));
	FAILS(drupe_poll_add(poller, socket, DRUPE_READABLE, 42, &error), EEXIST, "");
	FAILS(drupe_poll_add(poller, listener, DRUPE_READABLE, 1, &error), EINVAL, "");
	OK(drupe_poll_descriptor(poller, &ready.fd, &error));
	OK(drupe_poll_wait(poller, &event, 1, 0, &count, &error));
	CHECK(count == 0);
	OK(drupe_socket_send(socket, "hello", 5, 0, &done, &error));
	CHECK(done == 5);
	ready.events = POLLIN;
	CHECK(poll(&ready, 1, -1) == 1 && ready.revents == POLLIN);
	OK(drupe_poll_wait(poller, &event, 1, -1, &count, &error));
	CHECK(count == 1 && event.token == 42 && event.events == DRUPE_READABLE);
	OK(drupe_socket_receive(socket, buffer, sizeof(buffer), 0, &done, &error));
	CHECK(done == 5 && memcmp(buffer, "hello", 5) == 0);

	OK(drupe_poll_modify(poller, socket, DRUPE_WRITABLE | DRUPE_EDGE, 43, &error));
	OK(drupe_poll_wait(poller, &event, 1, -1, &count, &error));
	CHECK(count == 1 && event.token == 43 && event.events == DRUPE_WRITABLE);
	OK(drupe_poll_remove(poller, socket, &error));
	FAILS(drupe_poll_remove(poller, socket, &error), ENOENT, "");
	drupe_poll_free(poller);
	OK(drupe_socket_set_nonblocking(socket, 0, &error));
	OK(drupe_socket_shutdown(socket, SHUT_WR, &error));
	OK(drupe_socket_receive(socket, buffer, sizeof(buffer), 0, &done, &error));
	CHECK(done == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	drupe_socket_close(socket);
	drupe_socket_close(listener);
}

static void udp(drupe_kernel *one, drupe_kernel *other)
{
	struct sockaddr_in here = address("10.0.0.1", 0), from;
	uint32_t here_len = sizeof(here), from_len = sizeof(from);
	drupe_socket *receiver, *sender;
	char buffer[16];
	size_t done;

	MAKE(receiver, drupe_socket_open(one, AF_INET, SOCK_DGRAM, 0, &error));
	OK(drupe_socket_bind(receiver, &here, sizeof(here), &error));
	OK(drupe_socket_local_address(receiver, &here, &here_len, &error));
	MAKE(sender, drupe_socket_open(other, AF_INET, SOCK_DGRAM, 0, &error));
	OK(drupe_socket_send_to(sender, "datagram", 8, &here, here_len, &done, &error));
	CHECK(done == 8);
	OK(drupe_socket_receive_from(receiver, buffer, sizeof(buffer), 0, &from, &from_len, &done,
				     &error));
	CHECK(done == 8 && memcmp(buffer, "datagram", 8) == 0 && from_len == sizeof(from));
	CHECK(from.sin_addr.s_addr == address("10.0.0.2", 0).sin_addr.s_addr);

	/* A call with a deadline. */
	OK(drupe_deadline_set(20, &error));
	FAILS(drupe_socket_receive(receiver, buffer, sizeof(buffer), 0, &done, &error),
	      DRUPE_ERROR_DEADLINE, "deadline");
	drupe_deadline_clear();
	drupe_socket_close(sender);
	drupe_socket_close(receiver);
}

struct waiter {
	drupe_kernel *kernel;
	drupe_socket *socket;
	drupe_interrupter *interrupter;
	pthread_barrier_t made;
};

/* Waits for a datagram that does not come. */
static void *wait_for_ever(void *data)
{
	struct waiter *waiter = data;
	char byte;
	size_t done;

	MAKE(waiter->interrupter, drupe_interrupter_new(waiter->kernel, &error));
	pthread_barrier_wait(&waiter->made);
	FAILS(drupe_socket_receive(waiter->socket, &byte, 1, 0, &done, &error), EINTR, "EINTR");
	return NULL;
}

static void interrupts(drupe_kernel *kernel)
{
	struct waiter waiter;
	pthread_t thread;

	waiter.kernel = kernel;
	CHECK(pthread_barrier_init(&waiter.made, NULL, 2) == 0);
	MAKE(waiter.socket, drupe_socket_open(kernel, AF_INET, SOCK_DGRAM, 0, &error));
	CHECK(pthread_create(&thread, NULL, wait_for_ever, &waiter) == 0);
	pthread_barrier_wait(&waiter.made);
	OK(drupe_interrupt(waiter.interrupter, &error));
	CHECK(pthread_join(thread, NULL) == 0);
	drupe_interrupter_free(waiter.interrupter);
	drupe_socket_close(waiter.socket);
	pthread_barrier_destroy(&waiter.made);
}

/* Lengths of addresses that can't be. Nothing beyond what can be is read. */
static void lengths(drupe_kernel *kernel)
{
	static const uint32_t lens[] = {0, 1, 129, 0x7fffffff, 0xffffffff};
	struct sockaddr_in at = {.sin_family = AF_INET};
	drupe_socket *socket;
	size_t n, done;

	MAKE(socket, drupe_socket_open(kernel, AF_INET, SOCK_DGRAM, 0, &error));
	for (n = 0; n < sizeof(lens) / sizeof(*lens); n++) {
		FAILS(drupe_socket_bind(socket, &at, lens[n], &error), EINVAL, "EINVAL");
		FAILS(drupe_socket_connect(socket, &at, lens[n], &error), EINVAL, "EINVAL");
		FAILS(drupe_socket_send_to(socket, "x", 1, &at, lens[n], &done, &error), EINVAL,
		      "EINVAL");
	}
	drupe_socket_close(socket);
}

int main(void)
{
	drupe_kernel *one, *other;
	char *text;

	MAKE(one, drupe_kernel_boot(NULL, &error));
	MAKE(other, drupe_kernel_boot(NULL, &error));
	OK(drupe_link_pair(one, other, 0, NULL, NULL, &error));
	FAILS(drupe_link_pair(one, other, 7, NULL, NULL, &error), DRUPE_ERROR_ARGUMENT, "MTU");
	OK(drupe_interface_add_address(one, "eth0", "10.0.0.1/24", &error));
	OK(drupe_interface_add_address(other, "eth0", "10.0.0.2/24", &error));
	OK(drupe_interface_up(one, "eth0", &error));
	OK(drupe_interface_up(other, "eth0", &error));
	FAILS(drupe_interface_up(one, "eth9", &error), ENODEV, "eth9");
	FAILS(drupe_interface_add_address(one, "eth0", "tea", &error), EINVAL, "tea");
	OK(drupe_route_add(other, "0.0.0.0/0", "10.0.0.1", &error));
	OK(drupe_sysctl_set(one, "net.ipv4.tcp_congestion_control", "bbr", &error));
	OK(drupe_sysctl_get(one, "net.ipv4.tcp_congestion_control", &text, &error));
	CHECK(strcmp(text, "bbr") == 0);
	drupe_free(text);

	tcp(one, other);
	udp(one, other);
	interrupts(one);

	lengths(one);

	/* No interface of the host's has such a name. */
	CHECK(drupe_link_tap(one, "much-too-long-for-a-name", NULL, NULL) == -1);
	OK(drupe_interface_down(one, "eth0", &error));
	drupe_kernel_free(other);
	drupe_kernel_free(one);
	return 0;
}
