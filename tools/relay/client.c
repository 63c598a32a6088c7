/* See client.h. */
#include "tools/relay/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "tools/relay/answer.h"
#include "tools/relay/core.h"
#include "tools/relay/exchange.h"
#include "tools/relay/upstream.h"

#define READ_SIZE (16u << 10)
#define EXPECTED_NS (2 * SECOND_NS)
#define DRAIN_NS SECOND_NS
/* A server that knows that a request is complete has begun to answer by then, or is slow. */
#define ANSWER_NS SECOND_NS
/* The server takes nothing: the kernel, too, would give up in a time of that order (tcp(7), tcp_orphan_retries). */
#define DELIVER_NS (100 * SECOND_NS)

/* By the port of the program's end, for each family. */
static struct client *by_port[2][65536];
static struct client *all;
static uint64_t n_made;
static unsigned n_all;

static struct client **with_port(const struct connection_ends *ends)
{
	return &by_port[ends->program.sin6_family == AF_INET6][ntohs(ends->program.sin6_port)];
}

struct client *client_expect(const struct destination_key *key, const struct connection_ends *ends,
			     struct upstream *upstream)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->link.fd = -1;
	client->key = *key;
	client->ends = *ends;
	client->upstream = upstream;
	client->serial = ++n_made;
	client->since_ns = relay_now_ns();
	replay_reset(&client->replay);
	LL_PREPEND2(*with_port(ends), client, same_port);
	DL_PREPEND2(all, client, previous, next);
	n_all++;
	if (upstream)
		upstream_give(upstream, &answer_unused, client);
	return client;
}

struct client *client_find(const struct connection_ends *ends)
{
	struct client *client;

	LL_FOREACH2(*with_port(ends), client, same_port)
	if (ends_are_equal(&client->ends, ends))
		return client;
	return NULL;
}

struct client *client_find_socket(ino_t inode)
{
	struct client *client;

	DL_FOREACH2(all, client, next)
	if (inode && client->inode == inode)
		return client;
	return NULL;
}

bool client_is_any(void)
{
	return all != NULL;
}

unsigned client_n(void)
{
	return n_all;
}

void client_end(struct client *client)
{
	if (client->stage == CLIENT_GONE)
		return;
	client->stage = CLIENT_GONE;
	LL_DELETE2(*with_port(&client->ends), client, same_port);
	DL_DELETE2(all, client, previous, next);
	n_all--;
	answer_drop(client);
	block_store_put(&relay_core.blocks, &client->replay.block);
	queue_clear(&client->in);
	link_close(&client->link, client->ends_abruptly || !client->is_orderly);
	link_bury(&client->link);
}

/* False when nothing more comes. */
static bool receive(struct client *client)
{
	static char bytes[READ_SIZE];
	ssize_t n = recv(client->link.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		client->has_ended = true;
		return true;
	}
	return client->stage == CLIENT_FINISHING || queue_add(&client->in, bytes, (size_t)n);
}

/* Sends the waiting bytes; the server may go on when most have gone. False: the client has gone. */
static bool send_waiting(struct client *client)
{
	if (link_flush(&client->link, NULL) < 0)
		return false;
	if (client->link.out.length <= UPSTREAM_BACKLOG / 2)
		exchange_resume(client);
	return true;
}

/* Both directions have ended, or the connection has broken: of the kernel's, no event would be the last. False: there
 * is nothing left to do for it. */
static bool hang_up(struct client *client, uint32_t events)
{
	if (events & EPOLLERR || client->stage != CLIENT_TUNNEL)
		return false;
	/* The loop ends: nothing is added any more to the kernel's buffer. */
	while (!client->has_ended)
		if (!receive(client))
			return false;
	exchange_hang_up(client);
	return true;
}

static void on_event(struct link *link, uint32_t events)
{
	struct client *client = (struct client *)link;
	bool goes_on = true;

	if (events & EPOLLOUT)
		goes_on = send_waiting(client);
	if (goes_on && link->fd >= 0 && events & EPOLLIN)
		goes_on = receive(client);
	else if (goes_on && link->fd >= 0 && events & (EPOLLERR | EPOLLHUP))
		goes_on = hang_up(client, events);
	if (link->fd < 0)
		return;
	if (!goes_on) {
		exchange_abandon(client);
		return;
	}
	exchange_go(client);
}

void client_accept(struct client *client, int fd)
{
	client->link.is_accepted = true;
	if (link_open(&client->link, fd, on_event) < 0 || link_flush(&client->link, NULL) < 0)
		client_end(client);
	else
		exchange_go(client);
}

void client_end_idle(const struct destination_key *key, uint64_t since_ns)
{
	struct client *client, *next;

	DL_FOREACH_SAFE2(all, client, next, next)
	if (exchange_is_idle(client) && client->since_ns <= since_ns && destination_key_equal(&client->key, key))
		exchange_end_idle(client);
}

/* With one whose socket isn't there. */
static uint64_t patience_ns(const struct client *client)
{
	if (client->stage == CLIENT_DELIVERING)
		return DELIVER_NS;
	return client->stage == CLIENT_DRAINING ? DRAIN_NS : EXPECTED_NS;
}

void client_tick(void)
{
	uint64_t now_ns = relay_now_ns();
	struct client *client, *next;

	DL_FOREACH_SAFE2(all, client, next, next)
	{
		uint64_t age_ns = now_ns - client->since_ns;

		if (client->is_behind)
			continue;
		if (client->link.fd < 0 && age_ns > patience_ns(client))
			client_end(client);
		else if (age_ns > exchange_may_be_alone_ns(client))
			exchange_dial_for_idle(client);
		else if (age_ns > ANSWER_NS)
			exchange_tell_end(client);
	}
}
