/* See options.h. All under the socket's lock. */
#include "shim/sock/options.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#include "pool/base/clock.h"
#include "pool/conn/cold.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"

static struct guard_lock learning;
static struct socket_options
	defaults[2]; /* IPv4, IPv6: a value is written once, by whoever has the lock, before its bit */
static _Atomic(uint32_t) known_defaults[2];
static const int on = 1;
static const int no_time_wait = -1;

static int domain_index(int domain)
{
	return domain == AF_INET6;
}

/* Not inlined: a lock's holder records its frame's address, and the compiler would warn of a dangling local. */
__attribute__((noinline)) static void learn_defaults(int domain, uint32_t missing)
{
	struct socket_options *of_domain = &defaults[domain_index(domain)];
	int fd = reclaim_open_socket(domain, SOCK_STREAM);

	if (fd < 0)
		return;
	missing &= ~known_defaults[domain_index(domain)];
	if (socket_options_read(&sock_pool_sys, fd, missing, of_domain) == 0)
		atomic_fetch_or_explicit(&known_defaults[domain_index(domain)], missing, memory_order_release);
	real.close(fd);
}

/* The defaults of a fresh socket are read when they are first needed, which is rare. NULL: unknown. */
static const struct socket_options *defaults_for(int domain, uint32_t needed)
{
	_Atomic(uint32_t) *known = &known_defaults[domain_index(domain)];
	int saved = errno;

	/* Another thread may be at it. */
	if ((needed & ~atomic_load_explicit(known, memory_order_acquire)) && guard_lock_try(&learning)) {
		learn_defaults(domain, needed);
		guard_unlock(&learning);
	}
	errno = saved;
	return needed & ~atomic_load_explicit(known, memory_order_acquire) ? NULL : &defaults[domain_index(domain)];
}

/* As socket_options_switch(). */
static int switch_options(int domain, int fd, struct socket_options *applied, const struct socket_options *wanted)
{
	const struct socket_options *from = defaults_for(domain, applied->set & ~wanted->set);

	return from ? socket_options_switch(&sock_pool_sys, fd, applied, wanted, from) : -EAGAIN;
}

#define KEEP_ALIVE_OPTIONS \
	(1u << SOCKET_OPTION_KEEPALIVE | 1u << SOCKET_OPTION_KEEPIDLE | 1u << SOCKET_OPTION_KEEPINTVL)

/* KEEP_ALIVE, where the program has no wishes of its own. */
static void add_keep_alive(const struct sock *sock, struct socket_options *wanted)
{
	uint64_t seconds = (sock->policy->keep_alive_ns + SECOND_NS - 1) / SECOND_NS;
	int value = seconds < 32767 ? (int)seconds : 32767; /* the kernel's limit */

	if (!value || (wanted->set & KEEP_ALIVE_OPTIONS))
		return;
	memcpy(wanted->value[SOCKET_OPTION_KEEPALIVE], &on, sizeof(on));
	memcpy(wanted->value[SOCKET_OPTION_KEEPIDLE], &value, sizeof(value));
	memcpy(wanted->value[SOCKET_OPTION_KEEPINTVL], &value, sizeof(value));
	wanted->set |= KEEP_ALIVE_OPTIONS;
}

void options_begin(struct sock *sock)
{
	struct socket_options wanted = sock->wanted;

	sock->conn->options = sock->wanted;
	add_keep_alive(sock, &wanted);
	/* A probe less is no harm. */
	if (wanted.set != sock->wanted.set && switch_options(sock->domain, sock->fds[0], &sock->conn->options, &wanted))
		return;
}

int options_prepare_lease(struct sock *sock, struct conn *conn, uint64_t now_ns)
{
	struct socket_options wanted = sock->wanted;
	unsigned timeout_ms;

	memcpy(wanted.value[SOCKET_OPTION_NODELAY], &on, sizeof(on));
	memcpy(wanted.value[SOCKET_OPTION_LINGER2], &no_time_wait, sizeof(no_time_wait));
	wanted.set |= 1u << SOCKET_OPTION_NODELAY | 1u << SOCKET_OPTION_LINGER2;
	add_keep_alive(sock, &wanted);
	timeout_ms = wanted.set & 1u << SOCKET_OPTION_USER_TIMEOUT ? 0 : cold_timeout_ms(&sock_pool_sys, conn, now_ns);
	if (timeout_ms) {
		memcpy(wanted.value[SOCKET_OPTION_USER_TIMEOUT], &timeout_ms, sizeof(timeout_ms));
		wanted.set |= 1u << SOCKET_OPTION_USER_TIMEOUT;
		sock->has_forced_timeout = true;
	}
	return switch_options(sock->domain, conn->fd, &conn->options, &wanted);
}

void options_end_forced_timeout(struct sock *sock)
{
	struct socket_options wanted;

	sock->has_forced_timeout = false;
	if (!sock->conn || !sock->n_fds)
		return;
	wanted = sock->conn->options;
	wanted.set &= ~(1u << SOCKET_OPTION_USER_TIMEOUT);
	if (sock->wanted.set & 1u << SOCKET_OPTION_USER_TIMEOUT) {
		memcpy(wanted.value[SOCKET_OPTION_USER_TIMEOUT], sock->wanted.value[SOCKET_OPTION_USER_TIMEOUT],
		       SOCKET_OPTION_SIZE);
		wanted.set |= 1u << SOCKET_OPTION_USER_TIMEOUT;
	}
	if (switch_options(sock->domain, sock->fds[0], &sock->conn->options, &wanted))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
}

int options_forgo_time_wait(struct conn *conn, int fd)
{
	return socket_options_apply(&sock_pool_sys, fd, &conn->options, SOCKET_OPTION_LINGER2, &no_time_wait);
}

int options_forgo_linger(struct conn *conn, int fd)
{
	static const struct linger none;

	if (!(conn->options.set & 1u << SOCKET_OPTION_LINGER))
		return 0;
	return socket_options_apply(&sock_pool_sys, fd, &conn->options, SOCKET_OPTION_LINGER, &none);
}

int options_send_at_once(struct conn *conn, int fd)
{
	return socket_options_apply(&sock_pool_sys, fd, &conn->options, SOCKET_OPTION_NODELAY, &on);
}

bool options_hide(struct sock *sock, unsigned n)
{
	int least = n ? (int)n + 1 : 1;

	if (!n && (sock->wanted.set & 1u << SOCKET_OPTION_RCVLOWAT))
		memcpy(&least, sock->wanted.value[SOCKET_OPTION_RCVLOWAT], sizeof(least));
	return socket_options_apply(&sock_pool_sys, sock->fds[0], &sock->conn->options, SOCKET_OPTION_RCVLOWAT,
				    &least) == 0;
}

void options_restore(struct sock *sock, int fd)
{
	/* On failure the connection keeps an option of ours: all that is left to do is to go on. */
	if (sock->conn && switch_options(sock->domain, fd, &sock->conn->options, &sock->wanted))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
}

static int set_on_fresh(void *context, int level, int name, const void *value, socklen_t length)
{
	return real.setsockopt(*(int *)context, level, name, value, length);
}

int options_copy_to_fresh(const struct sock *sock, int fd)
{
	struct socket_options applied = {0};

	if (destination_key_each_option(&sock->key, set_on_fresh, &fd))
		return -1;
	return switch_options(sock->domain, fd, &applied, &sock->wanted);
}

bool options_is_forced(const struct sock *sock, int level, int name)
{
	int index = sock->policy->keep_alive_ns ? socket_options_index(level, name) : -1;

	if (sock->state != SOCK_OPEN && sock->state != SOCK_ENDED)
		return false;
	if (index >= 0 && (KEEP_ALIVE_OPTIONS & ~sock->wanted.set & 1u << index))
		return true;
	if (!sock->is_leased)
		return false;
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return sock->awaits_fence;
	if (level == IPPROTO_TCP && (name == TCP_NODELAY || name == TCP_LINGER2))
		return true;
	return level == IPPROTO_TCP && name == TCP_USER_TIMEOUT && sock->has_forced_timeout;
}

/* Of those that count only on a connection: it was set before there was one, and is part of the key. */
static bool is_of_key(const struct sock *sock, int index, int level, int name)
{
	return index == SOCKET_OPTION_TOS &&
	       (sock->state != SOCK_OPEN || destination_key_has_option(&sock->key, level, name));
}

bool options_view(const struct sock *sock, int level, int name, void *value, unsigned *length)
{
	int index = socket_options_index(level, name);
	const struct socket_options *from = &sock->wanted;

	if (index < 0 || is_of_key(sock, index, level, name))
		return false;
	if (!(from->set & 1u << index))
		from = defaults_for(sock->domain, 1u << index);
	if (!from)
		return false;
	if (*length > socket_options_length(index))
		*length = socket_options_length(index);
	memcpy(value, from->value[index], *length);
	return true;
}

void options_force_again(struct sock *sock, int fd, int level, int name, const void *value)
{
	int index = socket_options_index(level, name);
	const uint8_t *ours = sock->conn ? sock->conn->options.value[index] : NULL;

	if (ours && memcmp(ours, value, socket_options_length(index)) != 0 &&
	    real.setsockopt(fd, level, name, ours, socket_options_length(index)) < 0)
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
}

/* TCP_QUICKACK is a passing wish, not a setting (tcp(7)). */
static bool is_transient(int level, int name)
{
	return level == IPPROTO_TCP && name == TCP_QUICKACK;
}

uint64_t options_timeout_ns(const struct sock *sock, int option)
{
	struct timeval timeout = {0};

	if (sock->wanted.set & 1u << option)
		memcpy(&timeout, sock->wanted.value[option], sizeof(timeout));
	return (uint64_t)timeout.tv_sec * SECOND_NS + (uint64_t)timeout.tv_usec * MICROSECOND_NS;
}

void options_note_set(struct sock *sock, int level, int name, const void *value, unsigned length)
{
	int index = socket_options_index(level, name);

	if (is_transient(level, name))
		return;
	if (is_of_key(sock, index, level, name))
		index = -1;
	if (index >= 0 && socket_options_record(&sock->wanted, index, value, length) == 0) {
		if (sock->state == SOCK_OPEN && sock->conn && !options_is_forced(sock, level, name) &&
		    socket_options_record(&sock->conn->options, index, value, length))
			sock_mark_unfit(sock, REFUSAL_SOCKOPT);
		return;
	}
	/* On a stub the key serves for nothing but remembering, on a connection for one that may take its place. */
	if (sock->state != SOCK_NEW && sock->state != SOCK_STUB && sock->state != SOCK_WAITING)
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	if (destination_key_add_option(&sock->key, level, name, value, length)) {
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
		sock_leave_window(sock);
	}
}
