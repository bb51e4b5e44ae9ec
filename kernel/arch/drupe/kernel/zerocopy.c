// SPDX-License-Identifier: GPL-2.0
/*
 * MSG_ZEROCOPY of the program's own memory, which has no pages to send: it is
 * copied, and the socket's error queue says so, as it does where a device cannot
 * send from several pages (Documentation/networking/msg_zerocopy.rst).  Buffers
 * (mm/buffers.c) are sent as they are.
 */
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/syscalls.h>
#include <linux/uio.h>
#include <net/sock.h>
#include <asm/machine.h>

static bool is_own(u64 base, size_t len)
{
	u64 offset = base - PAGE_OFFSET, size = drupe_boot->memory_size;

	return len && (offset >= size || len > size - offset);
}

static bool has_own(const struct user_msghdr *msg)
{
	const struct iovec __user *iov = msg->msg_iov;
	struct iovec part;
	size_t n;

	for (n = 0; n < min_t(size_t, msg->msg_iovlen, UIO_MAXIOV); n++) {
		/* The call itself tells of what it cannot read. */
		if (copy_from_user(&part, &iov[n], sizeof(part)))
			return false;
		if (is_own((u64)part.iov_base, part.iov_len))
			return true;
	}
	return false;
}

/*
 * The socket @fd, if completions are due that would have to say "copied"; others
 * take the flag for nothing, or have a protocol of their own.
 */
static struct socket *notified_socket(int fd)
{
	struct socket *sock;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return NULL;
	if (sock_flag(sock->sk, SOCK_ZEROCOPY) &&
	    (sock->sk->sk_family == AF_INET || sock->sk->sk_family == AF_INET6))
		return sock;
	sockfd_put(sock);
	return NULL;
}

/* One call's completion: it is over. */
static void notify_copied(struct socket *sock, long sent)
{
	struct ubuf_info *ubuf;

	if (sent < 0 || (!sent && sock->type == SOCK_STREAM))
		return;
	/* Nothing is pinned. */
	ubuf = msg_zerocopy_realloc(sock->sk, 0, NULL);
	if (!ubuf)
		return;
	uarg_to_msgzc(ubuf)->zerocopy = 0;
	net_zcopy_put(ubuf);
}

/**
 * drupe_sendto - sendto(2)
 * @fd: socket
 * @buf: what to send
 * @len: bytes
 * @flags: MSG_*
 * @addr: to whom, or NULL
 * @addr_len: its length
 *
 * Return: bytes that were sent, or a negative errno.
 */
long drupe_sendto(int fd, void __user *buf, size_t len, unsigned int flags,
		  struct sockaddr __user *addr, int addr_len)
{
	struct socket *sock = NULL;
	long ret;

	if ((flags & MSG_ZEROCOPY) && is_own((u64)buf, len))
		sock = notified_socket(fd);
	if (!sock)
		return sys_sendto(fd, buf, len, flags, addr, addr_len);
	ret = sys_sendto(fd, buf, len, flags & ~MSG_ZEROCOPY, addr, addr_len);
	notify_copied(sock, ret);
	sockfd_put(sock);
	return ret;
}

/**
 * drupe_sendmsg - sendmsg(2)
 * @fd: socket
 * @umsg: what to send
 * @flags: MSG_*
 *
 * Return: bytes that were sent, or a negative errno.
 */
long drupe_sendmsg(int fd, struct user_msghdr __user *umsg, unsigned int flags)
{
	struct socket *sock = NULL;
	struct user_msghdr msg;
	long ret;

	if ((flags & MSG_ZEROCOPY) && !copy_from_user(&msg, umsg, sizeof(msg)) &&
	    has_own(&msg))
		sock = notified_socket(fd);
	if (!sock)
		return sys_sendmsg(fd, umsg, flags);
	ret = sys_sendmsg(fd, umsg, flags & ~MSG_ZEROCOPY);
	notify_copied(sock, ret);
	sockfd_put(sock);
	return ret;
}

/**
 * drupe_sendmmsg - sendmmsg(2)
 * @fd: socket
 * @umsg: the messages
 * @count: their number
 * @flags: MSG_*
 *
 * If one of them has memory of the program's own, all are copied.
 *
 * Return: messages that were sent, or a negative errno.
 */
long drupe_sendmmsg(int fd, struct mmsghdr __user *umsg, unsigned int count,
		    unsigned int flags)
{
	struct socket *sock = NULL;
	struct mmsghdr msg;
	long n, ret;

	if (flags & MSG_ZEROCOPY) {
		count = min_t(unsigned int, count, UIO_MAXIOV);
		for (n = 0; n < count && !sock; n++) {
			if (copy_from_user(&msg, &umsg[n], sizeof(msg)))
				break;
			if (has_own(&msg.msg_hdr))
				sock = notified_socket(fd);
		}
	}
	if (!sock)
		return sys_sendmmsg(fd, umsg, count, flags);
	ret = sys_sendmmsg(fd, umsg, count, flags & ~MSG_ZEROCOPY);
	for (n = 0; n < ret; n++) {
		unsigned int sent = 0;

		/* It has just been written. */
		if (!get_user(sent, &umsg[n].msg_len))
			notify_copied(sock, sent);
	}
	sockfd_put(sock);
	return ret;
}
