/* See eof.h. */
#include "shim/exchange/eof.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/park.h"
#include "shim/sock/identity.h"
#include "shim/sock/sock.h"

#define SLOTS 16
/* Of a level-triggered registration that only waits to read. What else it could be told the kernel has to tell. */
#define READ_EVENTS (EPOLLIN | EPOLLRDNORM | EPOLLRDHUP)
#define HARMLESS_EVENTS (READ_EVENTS | EPOLLPRI | EPOLLRDBAND | EPOLLERR | EPOLLHUP)
/* A loop that has been told so often and has not read is asleep to this one, and must hear of others. */
#define TELL_MOST 2

_Atomic(unsigned) eof_n;
_Atomic(uint32_t) eof_epoch;
/* 1 + the descriptor of such a socket; 0: free. A stale entry is harmless: the socket's state decides. */
static _Atomic(int) slots[SLOTS];

static bool is_only_read(const struct sock *sock)
{
	const struct registration *registration = sock->registrations;

	return sock->n_registrations == 1 && registration->fd == sock->fds[0] &&
	       (registration->event.events & (EPOLLIN | EPOLLRDNORM)) &&
	       !(registration->event.events & ~(uint32_t)HARMLESS_EVENTS);
}

bool eof_is_possible(const struct sock *sock)
{
	/* One that nothing watches can only be read, closed, or looked at by calls of ours. */
	bool is_calm = !sock->n_registrations || ((sock->status_flags & O_NONBLOCK) && is_only_read(sock));

	return sock->n_fds == 1 && is_calm && !sock->policy->max_conns_per_host && !atomic_load(&sock->wants_release) &&
	       is_alone();
}

/* A set that was closed is gone from nowhere but the kernel, and its number may be another's. What changes nothing
 * tells, but is not needed where nothing was closed since the kernel took it. */
static bool is_registered(struct sock *sock)
{
	struct registration *registration = sock->registrations;
	int saved = errno;
	bool is_there;

	if (registration->epoch == atomic_load_explicit(&eof_epoch, memory_order_relaxed))
		return true;
	is_there = real.epoll_ctl(registration->epfd, EPOLL_CTL_MOD, registration->fd, &registration->event) == 0;

	errno = saved;
	return is_there;
}

bool eof_begin(struct sock *sock)
{
	if (sock->n_registrations && !is_registered(sock))
		return false;
	for (unsigned i = 0; i < SLOTS; i++) {
		int nobody = 0;

		if (!atomic_compare_exchange_strong(&slots[i], &nobody, sock->fds[0] + 1))
			continue;
		atomic_fetch_add(&eof_n, 1);
		sock->n_told = 0;
		sock_set_state(sock, SOCK_ENDING);
		return true;
	}
	return false;
}

static void free_slot(int fd)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		int holder = fd + 1;

		if (atomic_compare_exchange_strong(&slots[i], &holder, 0)) {
			atomic_fetch_sub(&eof_n, 1);
			return;
		}
	}
}

void eof_end(struct sock *sock)
{
	free_slot(sock->fds[0]);
	sock_set_state(sock, SOCK_OPEN);
}

static bool is_told_by(const struct sock *sock, int epfd)
{
	return sock->state == SOCK_ENDING && is_only_read(sock) && sock->registrations[0].epfd == epfd &&
	       sock->n_told < TELL_MOST;
}

int eof_report(int epfd, struct epoll_event *events, int max)
{
	int most = (int)atomic_load(&eof_n), n = 0;

	if (most > max)
		most = max;
	if (most <= 0 || !is_alone() || !guard_take_for_writing(events, sizeof(*events) * (size_t)most)) {
		eof_make_all();
		return 0;
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		int fd = atomic_load(&slots[i]) - 1;
		struct sock *sock = fd >= 0 ? sock_enter(fd) : NULL;

		if (sock && n < most && is_told_by(sock, epfd)) {
			events[n].events = sock->registrations[0].event.events & READ_EVENTS;
			events[n++].data = sock->registrations[0].event.data;
			sock->n_told++;
		} else if (sock && sock->state == SOCK_ENDING && n < most) {
			finish_make_end_of_file(sock);
		} else if (fd >= 0 && (sock ? sock->state != SOCK_ENDING : !fdtable_get(fd))) {
			free_slot(fd);
		}
		if (sock)
			sock_leave(sock);
	}
	return n;
}

static bool has_idle(const struct destination_key *key)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	const struct destination *destination;
	bool has_idle;

	if (!pool)
		return true;
	destination = idle_pool_find(pool, key);
	has_idle = destination && destination->n_idle;
	pool_leave();
	return has_idle;
}

void eof_make_for(const struct destination_key *key)
{
	if (eof_any() && !has_idle(key))
		eof_make_all();
}

void eof_make_for_peer(const struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	struct destination_key key;

	if (!eof_any())
		return;
	key = sock->key;
	if (length > (socklen_t)sizeof(struct sockaddr_storage) || !guard_readable(address, length) ||
	    destination_key_set_peer(&key, address, length))
		return;
	identity_fill_key(&key, fd);
	eof_make_for(&key);
}

void eof_make_all(void)
{
	int saved = errno;

	for (unsigned i = 0; i < SLOTS && eof_any(); i++) {
		int fd = atomic_load(&slots[i]) - 1;
		struct sock *sock = fd >= 0 ? exchange_enter(fd) : NULL;

		if (sock)
			sock_leave(sock);
		else if (fd >= 0 && !fdtable_get(fd))
			free_slot(fd);
	}
	errno = saved;
}
