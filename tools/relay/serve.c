/* See serve.h. */
#include "tools/relay/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/base/fdpass.h"
#include "tools/base/calls.h"
#include "tools/relay/answer.h"
#include "tools/relay/client.h"
#include "tools/relay/connects.h"
#include "tools/relay/core.h"
#include "tools/relay/exchange.h"
#include "tools/relay/handshake.h"
#include "tools/relay/link.h"
#include "tools/relay/listener.h"
#include "tools/relay/made_sockets.h"
#include "tools/relay/notice.h"
#include "tools/relay/sharing.h"
#include "tools/relay/target.h"
#include "tools/relay/upstream.h"

#define TICK_MS 1000
/* After the last program: what it sent last is still to be delivered, as by the kernel. */
#define LAST_NS (100 * SECOND_NS)

static const struct pool_sys sys = {.sendmsg = sendmsg};
static struct link notices;
static bool has_no_programs;

static bool say(int run, enum handshake_kind kind, int error, const char *step)
{
	struct handshake packet = {.error = error, .value = made_sockets_is_on()};

	strncpy(packet.step, step, sizeof(packet.step) - 1);
	return handshake_say(run, kind, &packet, -1) == 0;
}

/* Everything that serving a notification needs of the kernel. 0 or errno with *step. */
static int try_process(const struct handshake *wanted, const char **step)
{
	uint64_t value = 0;
	int fd;

	*step = "pidfd_getfd";
	fd = target_take_fd(wanted->pid, wanted->fd);
	if (fd >= 0)
		close(fd);
	else if (made_sockets_inode(wanted->pid, wanted->fd))
		made_sockets_begin();
	else
		return -fd;
	*step = "process_vm_readv";
	if (target_read(wanted->pid, wanted->address, &value, sizeof(value)) < 0 || value != wanted->value)
		return EPERM;
	return 0;
}

static int prepare(const char *program, const char **step)
{
	int error;

	*step = "settings";
	error = relay_core_begin(program, upstream_close_fd);
	if (error)
		return -error;
	sharing_begin(program);
	*step = "epoll_create1";
	upstream_on_idle_end = client_end_idle;
	error = link_begin();
	if (error)
		return -error;
	*step = "listen";
	return -listener_begin();
}

static void on_notice(struct link *link, uint32_t events)
{
	struct seccomp_notif notice;

	if (events & EPOLLIN && notice_take(&notice))
		connects_take(&notice);
	else if (events & (EPOLLHUP | EPOLLERR)) {
		has_no_programs = true;
		link_close(link, false);
	}
}

static int take_listener(int run, int watchdog)
{
	struct handshake packet;
	int listener, error = -handshake_hear(run, HANDSHAKE_LISTENER, &packet, &listener);

	if (error || listener < 0)
		return EPROTO;
	error = -fdpass_send(&sys, watchdog, "", 1, listener);
	if (!error)
		error = -notice_begin(listener);
	return error ? error : -link_open(&notices, listener, on_notice);
}

static bool begin(int run, int watchdog, const char *program)
{
	struct handshake wanted;
	const char *step = "";
	int passed, error = prepare(program, &step);

	if (!say(run, HANDSHAKE_HERE, 0, "") || handshake_hear(run, HANDSHAKE_TRY, &wanted, &passed) < 0)
		return false;
	if (!error)
		error = try_process(&wanted, &step);
	if (!say(run, HANDSHAKE_READY, error, step) || error)
		return false;
	error = take_listener(run, watchdog);
	return say(run, HANDSHAKE_WATCHING, error, "seccomp") && !error;
}

static void tick(uint64_t now_ns)
{
	static uint64_t next_ns;

	if (now_ns < next_ns)
		return;
	next_ns = now_ns + TICK_MS * MILLISECOND_NS;
	client_tick();
	answer_tick();
	upstream_tick();
	made_sockets_tick();
	idle_pool_expire(&relay_core.pool, now_ns);
}

static int wait_ms(void)
{
	int hold_ms = connects_wait_ms();

	if (hold_ms >= 0)
		return hold_ms;
	return client_is_any() || made_sockets_is_any() || relay_core.pool.n_idle ? TICK_MS : -1;
}

void relay_serve(int run, int watchdog, const char *program)
{
	uint64_t last_ns = UINT64_MAX;

	signal(SIGPIPE, SIG_IGN);
	calls_raise_fd_limit();
	if (!begin(run, watchdog, program))
		return;
	close(run);
	while (!has_no_programs || (client_is_any() && relay_now_ns() < last_ns)) {
		link_wait(has_no_programs ? TICK_MS : wait_ms());
		if (has_no_programs && last_ns == UINT64_MAX)
			last_ns = relay_now_ns() + LAST_NS;
		exchange_serve_queue();
		connects_tick();
		tick(relay_now_ns());
	}
	sharing_end();
	relay_core_end();
}
