/*
 * The broker's sockets and its loop; pool/broker/broker.h decides what to do with them.
 *
 * One thread, one epoll set: the listening socket, a socket per process, and every held connection, of which only the
 * server's FIN or RST is reported. No process can block or end the loop.
 */
#include "tools/broker/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "pool/broker/broker.h"
#include "tools/base/calls.h"
#include "tools/base/clock.h"
#include "tools/broker/region.h"
#include "tools/broker/runs.h"
#include "tools/broker/sandbox.h"

/* How long the broker stays without processes and connections: programs that a run left behind may be about to need
 * it. */
#define GRACE_NS (5 * SECOND_NS)
#define MAX_EVENTS 64
#define PACKETS_AT_ONCE 16
#define LISTED_AT_ONCE 32
#define SPARE_FDS 64

/* The kind of object that an epoll event is about, in the lowest bits of the pointer to the core's object. */
enum { TAG_HELD = 0, TAG_PROCESS = 1, TAG_OURS = 2, TAG_RUN = 3, TAG_USER = 4, TAG_MASK = 7 };
#define TAG_BITS BROKER_RUNS_TAG_BITS
enum { OUR_LISTENER, OUR_SIGNALS, OUR_BELL };

struct loop {
	struct broker broker;
	int epoll;
	int listener;
	int signals;
	int bell;    /* our end */
	int reserve; /* closed to accept one process and turn it away when there is no other descriptor left */
	bool ends_when_idle;
	bool has_to_end;
	bool has_shelf;
	bool is_open;  /* to who would trace it, see below */
	bool has_time; /* somebody has left, so nobody waits for an answer */
	uint64_t idle_since_ns;
	uint64_t next_tick_ns;
};

static struct loop loop;

/* The processes use this clock, too: their times are compared with it. */
static uint64_t now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC_COARSE);
}

static int watch_fd(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Edge-triggered and without IN: the traffic of the users wakes nobody here. */
static int watch(int fd, void *held)
{
	return watch_fd(fd, EPOLLRDHUP | EPOLLET, (uintptr_t)held | TAG_HELD);
}

static int watch_process(int pid, void *held)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), error;

	if (fd < 0)
		return -errno;
	if (watch_fd(fd, EPOLLIN, (uintptr_t)held | TAG_USER) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Other holders keep the open file, so epoll would go on watching it under our closed descriptor (epoll(7), Q6). */
static int close_watched(int fd)
{
	epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, NULL);
	return close(fd);
}

/* glibc declares these functions with transparent unions for their addresses. */
static int get_peer_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

static const struct pool_sys sys = {
	.getsockopt = getsockopt,
	.setsockopt = setsockopt,
	.close = close_watched,
	.now_ns = now_ns,
	.map = calls_map,
	.unmap = calls_unmap,
	.disconnect = calls_disconnect,
	.shutdown = shutdown,
	.getpeername = get_peer_name,
	.sendmsg = sendmsg,
	.recvmsg = recvmsg,
	.map_shared = broker_region_map,
	.watch = watch,
	.watch_process = watch_process,
};

static void cut_off(struct broker_process *process)
{
	close(process->fd);
	broker_dismiss(&loop.broker, process);
	loop.has_time = true;
}

static int send_list(struct broker_process *process, uint32_t first)
{
	struct held *cursor = NULL;
	struct broker_held held;
	uint32_t n = 0;
	bool more;
	int error = 0;

	while ((more = broker_list(&loop.broker, &cursor, &held)) && n < first + LISTED_AT_ONCE && !error)
		if (n++ >= first)
			error = fdpass_send(&sys, process->fd, &held, sizeof(held), -1);
	if (!error) {
		uint32_t flags = (more ? BROKER_HAS_MORE : 0) | (broker_sandbox_is_on() ? BROKER_IS_CONFINED : 0);
		struct broker_head end = broker_wire_head(BROKER_LISTED, 0, flags);

		error = fdpass_send(&sys, process->fd, &end, sizeof(end), -1);
	}
	return error;
}

/* What belongs to the connection that was given. */
static int send_session(const struct broker_process *process, int session)
{
	struct broker_head head = broker_wire_head(BROKER_SESSION_GIVEN, 0, 0);

	return fdpass_send(&sys, process->fd, &head, sizeof(head), session);
}

static int send_out(const struct broker_process *process, const struct broker_out *out)
{
	int passed[FDPASS_MAX];
	unsigned n = 0;

	if (out->memory >= 0)
		passed[n++] = out->memory;
	if (out->passed >= 0)
		passed[n++] = out->passed;
	return fdpass_send_some(&sys, process->fd, &out->packet, out->length, passed, n);
}

static int serve_packet(struct broker_process *process, const union broker_packet *packet, size_t length, int passed,
			unsigned n_passed)
{
	struct broker_out out;
	int result = broker_receive(&loop.broker, process, packet, length, passed, n_passed, &out), error = 0;

	if (out.length)
		error = send_out(process, &out);
	if (!error && out.session >= 0)
		error = send_session(process, out.session);
	process->has_ended = error == -EPIPE || error == -ECONNRESET;
	/* From here on only the end of a ticket matters; its own bytes keep its buffer full. */
	if (!result && process->ticket != TICKET_NONE) {
		struct epoll_event event = {.events = EPOLLRDHUP, .data.u64 = (uintptr_t)process | TAG_PROCESS};

		error = epoll_ctl(loop.epoll, EPOLL_CTL_MOD, process->fd, &event);
	}
	if (!result && !error && packet->head.type == BROKER_LIST)
		error = send_list(process, packet->head.sequence);
	return result ? result : error;
}

static int serve_message(struct broker_process *process, const union broker_packet *packet, size_t length, int passed,
			 unsigned n_passed)
{
	int error = serve_packet(process, packet, length, passed, n_passed);

	if (process->region_fd >= 0) {
		close(process->region_fd);
		process->region_fd = -1;
	}
	return error;
}

static bool is_question(const union broker_packet *packet)
{
	return packet->head.type == BROKER_LEASE ||
	       (packet->head.type == BROKER_HELLO && packet->hello.first.head.type);
}

static void serve(struct broker_process *process)
{
	if (process->ticket != TICKET_NONE) {
		cut_off(process);
		return;
	}
	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		union broker_packet packet;
		unsigned n_passed;
		int passed;
		ssize_t length = fdpass_receive(&sys, process->fd, &packet, sizeof(packet), &passed, &n_passed);

		if (length == -EAGAIN)
			return;
		process->has_ended = length == 0 || length == -ECONNRESET;
		/* Sent by `holdline run`, which shares nothing with the broker: only the loop handles it. */
		if (length > 0 && broker_wire_check(&packet, (size_t)length, n_passed) == 0 &&
		    packet.head.type == BROKER_RUN) {
			process->has_spoken = true;
			broker_runs_add(loop.epoll, passed, process->pid, TAG_RUN);
			continue;
		}
		if (length <= 0 || serve_message(process, &packet, (size_t)length, passed, n_passed)) {
			cut_off(process);
			return;
		}
		/* Whoever has asked says nothing more before it has the answer. */
		if (process->ticket != TICKET_NONE || is_question(&packet))
			return;
	}
}

static bool is_same_user(int fd, pid_t *pid)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != loop.broker.euid)
		return false;
	*pid = peer.pid;
	return true;
}

static void admit(int fd)
{
	struct broker_process *process = NULL;
	pid_t pid;

	if (is_same_user(fd, &pid))
		process = broker_admit(&loop.broker, fd, pid);
	if (!process)
		close(fd);
	else if (watch_fd(fd, EPOLLIN | EPOLLRDHUP, (uintptr_t)process | TAG_PROCESS) < 0)
		cut_off(process);
	else
		serve(process); /* it may have said something by now */
}

static int take_reserve(void)
{
	return fcntl(loop.listener, F_DUPFD_CLOEXEC, 0);
}

/* An unread packet would wake us for ever. */
static void turn_one_away(void)
{
	close(loop.reserve);
	close(accept4(loop.listener, NULL, NULL, SOCK_CLOEXEC));
	loop.reserve = take_reserve();
}

/* One: the next turn tells of the others, and to ask in vain costs who waits. */
static void accept_process(void)
{
	int fd = accept4(loop.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		admit(fd);
	else if (errno == EMFILE || errno == ENFILE)
		turn_one_away();
}

/* Somebody has taken something from the shelf, or several have. */
static void hear_bell(void)
{
	union broker_packet packet;
	unsigned n_passed;
	int passed;

	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		if (fdpass_receive(&sys, loop.bell, &packet, sizeof(packet), &passed, &n_passed) < 0)
			break;
		if (passed >= 0)
			close(passed);
	}
	broker_look_at_shelf(&loop.broker);
}

static void handle(const struct epoll_event *event)
{
	void *object = (void *)(uintptr_t)(event->data.u64 & ~(uint64_t)TAG_MASK);
	struct broker_process *process = object;

	switch (event->data.u64 & TAG_MASK) {
	case TAG_HELD:
		broker_note_end(&loop.broker, object);
		break;
	case TAG_USER:
		broker_note_user_end(&loop.broker, object);
		break;
	case TAG_PROCESS:
		/* An earlier event of this turn may have cut it off. */
		if (process->fd >= 0)
			serve(process);
		break;
	case TAG_RUN:
		broker_runs_note_end(loop.epoll, event->data.u64 >> TAG_BITS);
		break;
	default:
		if (event->data.u64 >> TAG_BITS == OUR_LISTENER)
			accept_process();
		else if (event->data.u64 >> TAG_BITS == OUR_BELL)
			hear_bell();
		else
			loop.has_to_end = true;
	}
}

/* Milliseconds until there is something to do; -1: until an event. */
static int next_timeout_ms(uint64_t now)
{
	uint64_t until;

	if (loop.broker.n_held)
		until = loop.next_tick_ns;
	else if (!loop.ends_when_idle || loop.broker.n_processes)
		return -1;
	else if (broker_runs_any())
		return broker_runs_certain_ms();
	else
		until = loop.idle_since_ns + GRACE_NS;
	return until > now ? (int)((until - now) / MILLISECOND_NS) + 1 : 0;
}

/* Yama lets a process trace, and so duplicate the descriptors of, its children alone and whoever allows it (prctl(2)).
 * Connections are for every process of the user anyway; the keys of some are not. EINVAL: there is no Yama. */
static void let_trace(bool is_open)
{
	if (loop.is_open != is_open)
		prctl(PR_SET_PTRACER, is_open ? PR_SET_PTRACER_ANY : 0);
	loop.is_open = is_open;
}

static void pass_time(void)
{
	uint64_t now = now_ns();

	if (loop.broker.n_held && now >= loop.next_tick_ns) {
		broker_tick(&loop.broker);
		loop.next_tick_ns = now + SECOND_NS / 2;
	}
	if (loop.broker.n_held || loop.broker.n_processes || broker_runs_any())
		loop.idle_since_ns = now;
	else if (loop.ends_when_idle && now - loop.idle_since_ns >= GRACE_NS)
		loop.has_to_end = true;
	if (loop.has_time)
		broker_region_prepare();
	loop.has_time = false;
	let_trace(loop.has_shelf && !loop.broker.n_sessions);
}

void broker_loop_run(void)
{
	struct epoll_event events[MAX_EVENTS];

	loop.idle_since_ns = now_ns();
	while (!loop.has_to_end) {
		int n = epoll_wait(loop.epoll, events, MAX_EVENTS, next_timeout_ms(now_ns()));

		for (int i = 0; i < n; i++)
			handle(&events[i]);
		pass_time();
	}
	broker_fini(&loop.broker);
}

/* Most descriptors are for connections, some for processes. */
static uint32_t raise_limit(void)
{
	uint64_t n = calls_raise_fd_limit();

	if (!n)
		return 256;
	return n > 4 * SPARE_FDS ? (uint32_t)(n / 4 * 3 - SPARE_FDS) : SPARE_FDS;
}

/* A program that takes something says so by a descriptor of ours, too: that is quicker than to connect. */
static bool open_shelf(void)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return false;
	loop.bell = ends[0];
	if (getsockopt(ends[1], SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ||
	    watch_fd(ends[0], EPOLLIN, OUR_BELL << TAG_BITS | TAG_OURS) < 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	broker_open_shelf(&loop.broker, getpid(), ends[1], cookie);
	return true;
}

void broker_loop_use_board(struct broker_board *board, bool has_shelf)
{
	uint64_t salt = 0;

	/* The salt keeps a process that chooses destinations from making them share a place on the board. */
	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	broker_board_open(&loop.broker.counts, board, salt);
	loop.has_shelf = has_shelf && open_shelf();
	let_trace(loop.has_shelf);
}

int broker_loop_prepare(int listener, bool ends_when_idle)
{
	sigset_t signals;

	loop.listener = listener;
	loop.ends_when_idle = ends_when_idle;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	broker_init(&loop.broker, &sys, broker_region_make, geteuid(), raise_limit());
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	loop.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	loop.reserve = take_reserve();
	broker_region_prepare();
	if (loop.epoll < 0 || loop.signals < 0 || loop.reserve < 0 ||
	    watch_fd(loop.listener, EPOLLIN, OUR_LISTENER << TAG_BITS | TAG_OURS) < 0 ||
	    watch_fd(loop.signals, EPOLLIN, OUR_SIGNALS << TAG_BITS | TAG_OURS) < 0)
		return -errno;
	return 0;
}
