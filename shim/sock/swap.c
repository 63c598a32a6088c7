/* See swap.h. */
#include "shim/sock/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/sock/watched.h"

/* Once for each connection. */
static bool ask_names(struct conn *names, int fd)
{
	socklen_t length = sizeof(names->peer);

	names->name_length = sizeof(names->local);
	if (real.getsockname(fd, (struct sockaddr *)&names->local, &names->name_length) == 0 &&
	    real.getpeername(fd, (struct sockaddr *)&names->peer, &length) == 0)
		return true;
	names->name_length = 0;
	return false;
}

bool swap_note_names(struct sock *sock)
{
	struct conn unpooled = {.name_length = 0};
	struct conn *names = sock->conn ? sock->conn : &unpooled;

	/* Both directions of it may have been closed since. */
	if (sock->is_lost && sock->name_length)
		return true;
	if (!names->name_length && !ask_names(names, sock->fds[0]))
		return false;
	sock->local = names->local;
	sock->peer = names->peer;
	sock->name_length = names->name_length;
	return true;
}

bool swap_is_ours(const struct sock *sock)
{
	/* A single number is proven well enough by the ledger, which has to agree to the byte. */
	if (sock->n_fds == 1)
		return true;
	if (!sock->conn || !sock->conn->cookie)
		return false;
	for (unsigned i = 0; i < sock->n_fds; i++)
		if (cookie_of(sock->fds[i]) != sock->conn->cookie)
			return false;
	return true;
}

static char *append_number(char *to, unsigned number)
{
	char digits[12];
	int n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	while (n)
		*to++ = digits[--n];
	return to;
}

/* The number behind a label and spaces; no label: 0. */
static unsigned parse_number(const char *line, const char *label, unsigned base)
{
	const char *at = strstr(line, label);
	unsigned number = 0, digit;

	for (at = at ? at + strlen(label) : ""; *at == ' '; at++)
		;
	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			digit = (unsigned)(*at - '0');
		else if (base == 16 && *at >= 'a' && *at <= 'f')
			digit = (unsigned)(*at - 'a' + 10);
		else
			return number;
		number = number * base + digit;
	}
}

/* One line of fdinfo: "tfd: %8d events: %8x data: ..." (fs/eventpoll.c). True if it is about fd. */
static bool parse_registration(const char *line, int fd, unsigned *events)
{
	if (strncmp(line, "tfd:", 4) != 0 || parse_number(line, "tfd:", 10) != (unsigned)fd)
		return false;
	*events = parse_number(line, "events:", 16);
	return *events != 0;
}

/* Beyond this much of it, looking through a set costs more than a connection: it is not swapped then. */
#define INFO_MAX (64 * 1024)

/* A one-shot registration that has fired waits for the program's MOD: only the kernel knows whether it has. 1, 0, or
 * -1 if it can't be told (no /proc, no descriptor left, a very large set). */
static int is_armed(const struct registration *registration)
{
	char path[64] = "/proc/self/fdinfo/", buffer[512];
	size_t used = 0, total = 0;
	unsigned events = 0;
	int found = -1;
	ssize_t n;
	int info;

	*append_number(path + strlen(path), (unsigned)registration->epfd) = '\0';
	info = libc.open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -1;
	while (found < 0 && total < INFO_MAX && (n = real.read(info, buffer + used, sizeof(buffer) - 1 - used)) > 0) {
		char *line = buffer, *end;

		total += (size_t)n;
		used += (size_t)n;
		for (; (end = memchr(line, '\n', used - (size_t)(line - buffer))); line = end + 1) {
			*end = '\0';
			if (parse_registration(line, registration->fd, &events))
				found = (events & ~(unsigned)(EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE |
							      EPOLLERR | EPOLLHUP)) != 0;
		}
		used -= (size_t)(line - buffer);
		memmove(buffer, line, used);
	}
	real.close(info);
	return found;
}

/* One whose set we don't know any more is kept in mind if that set may go on watching: the socket isn't unwatched. */
static void bring_back(struct sock *sock, bool keeps_lost)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < sock->n_registrations; i++) {
		struct registration registration = sock->registrations[i];
		struct epoll_event event = registration.event;

		event.events = registration.events_back;
		if ((keeps_lost && registration.epfd < 0) ||
		    real.epoll_ctl(registration.epfd, EPOLL_CTL_ADD, registration.fd, &event) == 0)
			sock->registrations[kept++] = registration;
	}
	sock->n_registrations = kept;
}

/* False: the set is gone, and its number may be another's by now; or it is known by another number, and goes on
 * watching. */
static bool delete (struct registration *registration)
{
	if (real.epoll_ctl(registration->epfd, EPOLL_CTL_DEL, registration->fd, NULL) == 0)
		return true;
	registration->epfd = -1;
	return false;
}

/* All that we know of are out. False: a set that we don't know may go on watching. */
static bool are_all_out(const struct sock *sock)
{
	for (unsigned i = 0; i < sock->n_registrations; i++)
		if (sock->registrations[i].epfd < 0 && !watched_by_none(sock->registrations[i].fd))
			return false;
	return true;
}

bool swap_take_registrations_out(struct sock *sock)
{
	/* The set may be another process's too, which goes on watching the file that it has. A placeholder is none
	 * of its. */
	if (sock->n_registrations && atomic_load(&sock->is_shared) && sock->state != SOCK_WAITING)
		return false;
	for (unsigned i = 0; i < sock->n_registrations; i++) {
		struct registration *registration = &sock->registrations[i];

		registration->events_back = registration->event.events;
		if (registration->event.events & EPOLLONESHOT) {
			int armed = is_armed(registration);

			if (armed < 0)
				return false;
			if (!armed)
				registration->events_back &= EPOLLONESHOT | EPOLLET;
		}
	}
	for (unsigned i = 0; i < sock->n_registrations; i++)
		(void)delete (&sock->registrations[i]);
	sock->registrations_are_out = are_all_out(sock);
	if (!sock->registrations_are_out) {
		sock->cannot_swap = true;
		bring_back(sock, true);
	}
	return sock->registrations_are_out;
}

void swap_bring_registrations_back(struct sock *sock)
{
	sock->registrations_are_out = false;
	bring_back(sock, false);
}

static int replace(const struct sock *sock, int source)
{
	for (unsigned i = 0; i < sock->n_fds; i++) {
		int fd = sock->fds[i];

		/* A handler may have interrupted us to close it. EBUSY: another thread's open() is about to get it. */
		if (fdtable_get(fd) != sock ||
		    real.dup3(source, fd, sock_is_close_on_exec(sock, i) ? O_CLOEXEC : 0) < 0)
			return i ? 0 : -EBADF;
	}
	return 0;
}

int swap_files(struct sock *sock, int source)
{
	bool were_out = sock->registrations_are_out;
	int saved = errno;
	int error;

	if (!were_out && !swap_take_registrations_out(sock)) {
		errno = saved;
		return -EAGAIN;
	}
	error = replace(sock, source);
	if (!were_out)
		swap_bring_registrations_back(sock);
	errno = saved;
	return error;
}

bool swap_delete_registrations(struct sock *sock, int fd)
{
	unsigned kept = 0;
	int saved = errno;
	bool all = true;

	/* Keep the registration if another process shares the file (it would live natively). The broker's duplicate
	 * must not keep it alive. */
	if (atomic_load(&sock->is_shared) && !(sock->conn && sock->conn->has_broker_dup))
		return true;
	for (unsigned i = 0; i < sock->n_registrations; i++) {
		struct registration registration = sock->registrations[i];

		if (registration.fd == fd)
			all &= delete (&registration);
		else
			sock->registrations[kept++] = registration;
	}
	sock->n_registrations = kept;
	all = all || watched_by_none(fd);
	errno = saved;
	return all;
}
