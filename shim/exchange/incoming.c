/* See incoming.h. */
#include "shim/exchange/incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"

/* A chunk's data is worth a receive of its own from here on; below that its lines are read with it. */
#define CHUNK_WORTH 16384u

/* The buffers for a receive of no more than so much, read once. A long vector's first ones will do: a receive may be
 * short. */
static void limit(struct incoming *incoming, size_t room)
{
	size_t left = room;

	incoming->n_iov = 0;
	for (size_t i = 0; i < incoming->n_vector && left && incoming->n_iov < INCOMING_VECTOR_MAX; i++) {
		struct iovec buffer = incoming->vector[i];

		if (buffer.iov_len > left)
			buffer.iov_len = left;
		if (buffer.iov_len)
			incoming->iov[incoming->n_iov++] = buffer;
		left -= buffer.iov_len;
	}
	incoming->room = room - left;
	incoming->is_whole = false;
}

static bool is_sure(const struct incoming *incoming)
{
	size_t left = incoming->room;

	for (size_t i = 0; i < incoming->n_vector && left; i++) {
		size_t length = incoming->vector[i].iov_len < left ? incoming->vector[i].iov_len : left;

		if (!guard_is_surely_there(incoming->vector[i].iov_base, length))
			return false;
		left -= length;
	}
	return true;
}

/* The address, flags and lengths of a received message are copied too, where its bytes went through our memory. */
static bool is_message_writable(struct msghdr *message)
{
	struct msghdr copy = *message;

	if (guard_is_surely_there(message, sizeof(*message)))
		return true;
	if (!guard_take_for_writing(message, sizeof(*message)))
		return false;
	*message = copy;
	return true;
}

/* How many of the next bytes need not be looked at; 0: they have to be. */
static uint64_t unseen_of(const struct sock *sock, size_t room)
{
	uint64_t known = protocol_status(&sock->protocol).known_answer;

	return known >= room || known >= CHUNK_WORTH || protocol_status(&sock->protocol).skippable_answer ? known : 0;
}

static bool may_wait(const struct sock *sock, const struct transfer *transfer)
{
	return !(sock->status_flags & O_NONBLOCK) && !(transfer->flags & MSG_DONTWAIT);
}

/* A large block where nobody can be interrupted while it waits, else the stack. */
static void find_memory(struct incoming *incoming, const struct sock *sock, const struct transfer *transfer)
{
	struct protocol_status status = protocol_status(&sock->protocol);
	bool is_long = incoming->room > INCOMING_STACK;
	bool is_calm = (!may_wait(sock, transfer) || status.in_answer) && !status.in_answer_head;
	/* A transport's record is taken whole: what is left of it no poll(2) would show. */
	bool wants_block = is_long && (transfer->through || is_calm);

	if (incoming->room > BLOCK_MAX)
		incoming->room = BLOCK_MAX;
	if (wants_block && blocks_grow(&incoming->block, 0, incoming->room)) {
		incoming->bytes = incoming->block.bytes;
		return;
	}
	incoming->wants_stack = true;
	if (incoming->room > INCOMING_STACK)
		incoming->room = INCOMING_STACK;
}

void incoming_plan(struct incoming *incoming, const struct sock *sock, const struct transfer *transfer)
{
	uint64_t unseen;

	incoming->transport = transport_of(sock);
	incoming->way = INCOMING_UNSEEN;
	incoming->wants_stack = false;
	incoming->bytes = NULL;
	incoming->block = (struct block){0};
	/* Spliced bytes were peeked at before they were moved. */
	if (transfer->kind == TRANSFER_SPLICE) {
		incoming->is_whole = true;
		incoming->bytes = transfer->single.iov_base;
		return;
	}
	incoming->vector = transfer_vector(transfer, &incoming->n_vector);
	incoming->room = transfer_length(transfer);
	incoming->is_whole = true;
	if (transfer->kind == TRANSFER_RECVMSG && !is_message_writable(transfer->message))
		return;
	unseen = unseen_of(sock, incoming->room);
	if (unseen >= incoming->room)
		return;
	if (unseen && incoming->n_vector <= INCOMING_VECTOR_MAX) {
		limit(incoming, (size_t)unseen);
		return;
	}
	find_memory(incoming, sock, transfer);
	incoming->way = transfer->through || is_sure(incoming) ? INCOMING_COPIED : INCOMING_LOOKED;
	if (incoming->way == INCOMING_LOOKED)
		limit(incoming, incoming->room);
}

/* The kernel writes what was looked at to where the program wants it. Another thread may have taken it meanwhile. */
static ssize_t receive_looked(struct incoming *incoming, const struct transfer *transfer)
{
	ssize_t n = transport_peek(incoming->transport, transfer->fd, incoming->bytes, incoming->room,
				   transfer->flags & ~(MSG_TRUNC | MSG_WAITALL));

	if (n <= 0)
		return n;
	limit(incoming, (size_t)n);
	return incoming->transport->recv(incoming->transport, transfer, incoming->iov, incoming->n_iov, MSG_DONTWAIT);
}

ssize_t incoming_receive(struct incoming *incoming, const struct transfer *transfer)
{
	const struct transport *transport = incoming->transport;
	struct iovec ours = {incoming->bytes, incoming->room};

	switch (incoming->way) {
	case INCOMING_UNSEEN:
		return transport->recv(transport, transfer, incoming->is_whole ? NULL : incoming->iov, incoming->n_iov,
				       0);
	case INCOMING_COPIED:
		return transport->recv(transport, transfer, &ours, 1, 0);
	case INCOMING_LOOKED:
		return receive_looked(incoming, transfer);
	}
	return -1;
}

/* From ours to the program's. */
static void copy_out(const struct incoming *incoming, size_t from, size_t length)
{
	size_t skip = from, at = from, end = from + length;

	for (size_t i = 0; i < incoming->n_vector && at < end; i++) {
		struct iovec buffer = incoming->vector[i];
		size_t part = buffer.iov_len > skip ? buffer.iov_len - skip : 0;

		if (part > end - at)
			part = end - at;
		memcpy((char *)buffer.iov_base + skip, incoming->bytes + at, part);
		at += part;
		skip = skip > buffer.iov_len ? skip - buffer.iov_len : 0;
	}
}

void incoming_deliver(const struct incoming *incoming, size_t length, const struct framing_plan *changed)
{
	switch (incoming->way) {
	case INCOMING_UNSEEN:
		break;
	case INCOMING_COPIED:
		copy_out(incoming, 0, length);
		break;
	case INCOMING_LOOKED:
		for (unsigned i = 0; changed && i < changed->n_edits; i++)
			copy_out(incoming, changed->edits[i].offset, changed->edits[i].length);
		break;
	}
}

void incoming_end(struct incoming *incoming)
{
	if (incoming->block.bytes)
		blocks_put(&incoming->block);
}
