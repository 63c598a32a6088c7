/* See link.h. */
#include "tools/relay/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 128

static int epoll = -1;

static struct link *buried;

int link_begin(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return epoll < 0 ? -errno : 0;
}

void link_bury(struct link *link)
{
	link->next_buried = buried;
	buried = link;
}

static void free_buried(void)
{
	while (buried) {
		struct link *next = buried->next_buried;

		free(buried);
		buried = next;
	}
}

unsigned link_wait(int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(epoll, events, EVENTS_AT_ONCE, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct link *link = events[i].data.ptr;

		if (link->fd >= 0)
			link->on_event(link, events[i].events);
	}
	free_buried();
	return n > 0 ? (unsigned)n : 0;
}

static int control(struct link *link, int operation, uint32_t wanted)
{
	struct epoll_event event = {.events = wanted, .data.ptr = link};

	if (epoll_ctl(epoll, operation, link->fd, &event) < 0)
		return -errno;
	link->watched = wanted;
	return 0;
}

static void watch(struct link *link, uint32_t wanted)
{
	/* It can only fail for want of memory in the kernel: then an event more or less comes. */
	if (wanted != link->watched)
		(void)!control(link, EPOLL_CTL_MOD, wanted);
}

int link_open(struct link *link, int fd, void (*on_event)(struct link *link, uint32_t events))
{
	int error;

	link->fd = fd;
	link->on_event = on_event;
	error = control(link, EPOLL_CTL_ADD, EPOLLIN);
	if (error)
		link_close(link, false);
	return error;
}

void link_want_input(struct link *link, bool is_wanted)
{
	watch(link, is_wanted ? link->watched | EPOLLIN : link->watched & ~(uint32_t)EPOLLIN);
}

void link_want_output(struct link *link)
{
	watch(link, link->watched | EPOLLOUT);
}

/* How much the kernel took; or -errno. */
static ssize_t send_some(struct link *link, const char *bytes, size_t length)
{
	ssize_t n = send(link->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
}

int link_flush(struct link *link, uint64_t *sent)
{
	while (link->out.length) {
		ssize_t n = send_some(link, queue_bytes(&link->out), link->out.length);

		if (n < 0)
			return (int)n;
		if (sent)
			*sent += (uint64_t)n;
		queue_drop(&link->out, (size_t)n);
		if (n == 0)
			break;
	}
	watch(link, link->out.length ? link->watched | EPOLLOUT : link->watched & ~(uint32_t)EPOLLOUT);
	return 0;
}

int link_send_later(struct link *link, const char *bytes, size_t length)
{
	return queue_add(&link->out, bytes, length) ? 0 : -ENOMEM;
}

int link_send(struct link *link, const char *bytes, size_t length, uint64_t *sent)
{
	ssize_t n = link->out.length ? 0 : send_some(link, bytes, length);

	if (n < 0)
		return (int)n;
	if (sent)
		*sent += (uint64_t)n;
	if ((size_t)n == length)
		return 0;
	link_want_output(link);
	return link_send_later(link, bytes + n, length - (size_t)n);
}

void link_close(struct link *link, bool is_abrupt)
{
	struct linger linger = {is_abrupt, 0};
	int fd = link->fd;

	if (fd < 0)
		return;
	/* Its last descriptor leaves the set by itself (epoll(7)). */
	if (!link->is_accepted)
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	if (is_abrupt != link->is_accepted)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	link->fd = -1;
	queue_clear(&link->out);
	close(fd);
}
