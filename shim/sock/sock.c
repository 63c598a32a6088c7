/* Life and locking of the program's sockets, and the pool behind them. See sock.h. */
#include "shim/sock/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "pool/base/annotate.h"
#include "pool/base/arena.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/kept/broker_link.h"
#include "shim/sock/options.h"
#include "shim/sock/spare.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"

_Atomic(unsigned) sock_n_in_window;
_Atomic(unsigned) sock_n_tracked;
_Atomic(unsigned) sock_n_replaced;
_Atomic(bool) sock_is_retired;
__thread bool *sock_swallows __attribute__((tls_model("initial-exec")));
__thread int *sock_asks __attribute__((tls_model("initial-exec")));

static struct arena arena; /* covered by the pool's lock */

void sock_init(void)
{
	arena_init(&arena, &sock_pool_sys, sizeof(struct sock));
}

void sock_forget_all(bool is_sound)
{
	/* Memory that sockets point to stays readable. */
	if (!is_sound)
		sock_init();
}

/* Unspecified contents; NULL: none, or no lock. */
static struct sock *take_memory(void)
{
	struct sock *sock = NULL;

	if (pool_enter(guard_now_ns())) {
		sock = arena_take(&arena);
		pool_leave();
	}
	return sock;
}

static void give_back_memory(struct sock *sock)
{
	if (!pool_enter(guard_now_ns()))
		return;
	arena_put(&arena, sock);
	pool_leave();
}

#define TO(state) (1u << (state))

/* Which states may follow a state. Every one may end. */
static const uint16_t moves[] = {
	[SOCK_FREE] = TO(SOCK_NEW),
	[SOCK_NEW] = TO(SOCK_WAITING) | TO(SOCK_OPEN) | TO(SOCK_FREE),
	[SOCK_WAITING] = TO(SOCK_OPEN) | TO(SOCK_ENDED) | TO(SOCK_FREE),
	[SOCK_OPEN] = TO(SOCK_ENDING) | TO(SOCK_STUB) | TO(SOCK_ENDED) | TO(SOCK_RELEASED) | TO(SOCK_FREE),
	[SOCK_ENDING] = TO(SOCK_OPEN) | TO(SOCK_FREE),
	[SOCK_STUB] = TO(SOCK_NEW) | TO(SOCK_FREE),
	[SOCK_ENDED] = TO(SOCK_RELEASED) | TO(SOCK_FREE),
	[SOCK_RELEASED] = TO(SOCK_FREE),
};

void sock_set_state(struct sock *sock, enum sock_state next)
{
	/* Another move is a fault of ours: what is known of the connection can't be trusted. */
	if (!(moves[sock->state] & TO(next))) {
		sock_mark_unfit(sock, REFUSAL_ERROR);
#ifdef HOLDLINE_CHECKED
		__builtin_trap();
#endif
	}
	sock->state = next;
}

void sock_track(int fd, int domain, int type_flags, const struct spare *spare)
{
	int status_flags = O_RDWR | (type_flags & SOCK_NONBLOCK);
	struct sock *sock = NULL;
	uint64_t generation;

	if ((unsigned)fd < FDTABLE_SIZE)
		sock = take_memory();
	if (!sock) {
		fdtable_set(fd, NULL);
		if (spare) {
			real.fcntl(fd, F_SETFL, status_flags);
			fdtable_close_internal(spare->fd);
		}
		return;
	}
	/* The lock and the count may still be looked at through stale pointers: they live on. To add, not to read, is
	 * one page fault instead of two on new memory. */
	generation = (atomic_fetch_add(&sock->inside, 1ull << 32) >> 32) + 1;
	atomic_store(&sock->inside, generation << 32);
	atomic_store(&sock->wants_release, false);
	atomic_store(&sock->wants_close, 0);
	atomic_store(&sock->has_uncounted_waiter, false);
	atomic_store(&sock->is_shared, false);
	memset((char *)sock + offsetof(struct sock, state), 0, sizeof(*sock) - offsetof(struct sock, state));
	sock_set_state(sock, SOCK_NEW);
	sock->domain = domain;
	sock->policy = &sock_config->policy;
	sock->ticket.fd = -1;
	sock->stub = (struct stub){-1, -1, 0};
	sock->fds[0] = fd;
	sock->close_on_exec[0] = type_flags & SOCK_CLOEXEC ? SOCK_CLOSES_ON_EXEC : SOCK_STAYS_OPEN;
	sock->n_fds = 1;
	sock->status_flags = status_flags;
	sock->file_flags = spare ? spare->status_flags : status_flags;
	sock->file_has_nodelay = spare && spare->has_nodelay;
	sock->spare = spare ? spare->fd : -1;
	atomic_fetch_add(&sock_n_tracked, 1);
	ANNOTATE_PUBLISHED(sock);
	fdtable_set(fd, sock);
}

struct sock *sock_enter(int fd)
{
	struct sock *sock = fdtable_get_sock(fd);

	if (!sock || !guard_is_home())
		return NULL;
	if (!guard_lock_try(&sock->lock)) {
		atomic_store(&sock->wants_release, true);
		return NULL;
	}
	if (fdtable_get(fd) != sock) {
		guard_unlock(&sock->lock);
		return NULL;
	}
	ANNOTATE_FOUND(sock);
	/* A stub or an ended socket promises nothing that a stranger's call could have broken. */
	if (atomic_load(&sock->wants_release) && (sock->state == SOCK_NEW || sock->state == SOCK_OPEN)) {
		/* The end of file that may be owed is the server's to make then. */
		if (sock->state == SOCK_OPEN && protocol_status(&sock->protocol).owes_end)
			sock_end_by_server(sock, REFUSAL_SHARED);
		sock_untrack(sock, REFUSAL_SHARED);
		if (sock->state == SOCK_RELEASED && sock->transport)
			return sock;
		sock_leave(sock);
		return NULL;
	}
	if (sock->state == SOCK_ENDING && atomic_load(&sock->wants_release))
		sock_mark_unfit(sock, REFUSAL_SHARED);
	return sock;
}

/* While we held the lock, others may have closed numbers that they could not take away in order. */
static void drop_lost_numbers(struct sock *sock)
{
	for (unsigned i = 0; i < sock->n_fds;) {
		if (fdtable_get(sock->fds[i]) == sock)
			i++;
		else
			sock->fds[i] = sock->fds[--sock->n_fds];
	}
}

static void close_late(struct sock *sock)
{
	int fd = atomic_exchange(&sock->wants_close, 0) - 1;

	if (fd < 0)
		return;
	sock_remove_fd(sock, fd);
	real.close(fd);
}

/* Apart, since hardly any socket comes here. */
__attribute__((noinline)) static void tidy(struct sock *sock)
{
	if (sock->state != SOCK_FREE) {
		drop_lost_numbers(sock);
		close_late(sock);
		if (!sock->n_fds) {
			sock_drop_conn(sock);
			sock_end(sock);
		}
	}
	/* The thread that is replacing its connection holds a pointer to it, and leaves it when done. */
	if (sock->state == SOCK_FREE && !sock->replacer)
		give_back_memory(sock);
}

void sock_leave(struct sock *sock)
{
	if (__builtin_expect(sock->state == SOCK_FREE, 0) ||
	    atomic_load_explicit(&sock->wants_release, memory_order_relaxed))
		tidy(sock);
	guard_unlock(&sock->lock);
}

void sock_add_fd(struct sock *sock, int fd, bool close_on_exec)
{
	spare_drop(sock);
	if (sock->n_fds < SOCK_MAX_FDS && fdtable_set(fd, sock)) {
		sock->close_on_exec[sock->n_fds] = close_on_exec ? SOCK_CLOSES_ON_EXEC : SOCK_STAYS_OPEN;
		sock->fds[sock->n_fds++] = fd;
		return;
	}
	/* An alias that we can't follow could not be swapped, and its reads would not be framed. */
	sock->cannot_swap = true;
	atomic_store(&sock->is_shared, true);
}

bool sock_remove_fd(struct sock *sock, int fd)
{
	for (unsigned i = 0; i < sock->n_fds; i++) {
		if (sock->fds[i] != fd)
			continue;
		sock->fds[i] = sock->fds[--sock->n_fds];
		sock->close_on_exec[i] = sock->close_on_exec[sock->n_fds];
		fdtable_set(fd, NULL);
		break;
	}
	return sock->n_fds == 0;
}

void sock_note_close_on_exec(struct sock *sock, int fd, enum sock_close_on_exec value)
{
	for (unsigned i = 0; i < sock->n_fds; i++)
		if (sock->fds[i] == fd)
			sock->close_on_exec[i] = (uint8_t)value;
}

bool sock_is_being_replaced(const struct sock *sock)
{
	return sock->replacer && sock->replacer != (unsigned long)pthread_self();
}

bool sock_in_window(const struct sock *sock)
{
	return (sock->state == SOCK_OPEN || sock->state == SOCK_WAITING) && sock->in_window;
}

void sock_enter_window(struct sock *sock)
{
	sock->in_window = true;
	sock->was_heard = false;
	replay_reset(&sock->replay);
	atomic_fetch_add(&sock_n_in_window, 1);
}

static void end_silence(struct sock *sock)
{
	if (sock->is_leased)
		stats_count(sock->tally.destination, STATS_REUSED);
	if (sock->has_forced_timeout)
		options_end_forced_timeout(sock);
}

void sock_leave_window(struct sock *sock)
{
	if (!sock->in_window)
		return;
	sock->in_window = false;
	sock_drop_replay(&sock->replay);
	atomic_fetch_sub(&sock_n_in_window, 1);
	if (!sock->was_heard)
		end_silence(sock);
}

void sock_hear_in_window(struct sock *sock)
{
	sock->was_heard = true;
	end_silence(sock);
}

void sock_drop_replay(struct replay *replay)
{
	blocks_put(&replay->block);
	replay_give_up(replay);
}

void sock_drop_conn(struct sock *sock)
{
	struct idle_pool *locked;

	if (!sock->conn)
		return;
	locked = pool_enter(guard_now_ns());
	if (locked) {
		idle_pool_discard(locked, sock->conn);
		pool_leave();
	} else if (sock->conn->fd >= 0) {
		/* Its object is lost to the pool, but the connection must end when the program ends it. */
		fdtable_close_internal(sock->conn->fd);
		sock->conn->fd = -1;
	}
	sock->conn = NULL;
}

void sock_end(struct sock *sock)
{
	struct transport *transport = sock->transport;

	spare_drop(sock);
	ticket_give_back(&sock->ticket);
	sock_leave_window(sock);
	sock_drop_replay(&sock->replay);
	sock->transport = NULL;
	if (transport)
		transport->end(transport);
	sock_set_state(sock, SOCK_FREE);
	atomic_fetch_sub(&sock_n_tracked, 1);
}

void (*sock_settle_fence)(struct sock *sock);

void sock_untrack(struct sock *sock, enum refusal why)
{
	bool stays = sock->n_fds && (!sock_is_retired || sock_is_translated(sock));

	if (sock->state == SOCK_FREE || (sock->state == SOCK_RELEASED && stays))
		return;
	spare_drop(sock);
	if (__builtin_expect(sock->awaits_fence, 0) && sock->n_fds)
		sock_settle_fence(sock);
	if (why != REFUSAL_NONE) {
		log_event("native", sock, stats_refusal_names[why]);
		events_refuse(sock, why);
	}
	events_ask_dial(sock, true);
	if (sock->state == SOCK_OPEN && sock->n_fds && sock->is_leased)
		options_restore(sock, sock->fds[0]);
	if (stays &&
	    ((sock->conn && sock->conn->has_broker_dup && sock->state != SOCK_NEW) || sock_is_translated(sock))) {
		sock_leave_window(sock);
		sock_drop_replay(&sock->replay);
		sock_set_state(sock, SOCK_RELEASED);
		return;
	}
	while (sock->n_fds)
		sock_remove_fd(sock, sock->fds[0]);
	sock_drop_conn(sock);
	sock_end(sock);
}

void sock_end_by_server(struct sock *sock, enum refusal why)
{
	int saved = errno;

	if (!sock->is_lost && swap_note_names(sock) && !protocol_status(&sock->protocol).has_more_to_send)
		real.shutdown(sock->fds[0], SHUT_WR);
	sock->is_lost = true;
	sock_mark_unfit(sock, why);
	errno = saved;
}

void sock_share(struct sock *sock)
{
	atomic_store(&sock->is_shared, true);
	spare_flush(sock);
	broker_link_share(sock->conn);
}

void sock_share_with_vfork_child(int fd)
{
	struct sock *sock = guard_is_home() ? NULL : fdtable_get_sock(fd);

	if (sock)
		sock_share(sock);
}
