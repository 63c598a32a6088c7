/* See wire.h. */
#include "shim/tls/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/base/fdtable.h"
#include "shim/base/lock.h"
#include "shim/base/memory_file.h"
#include "shim/base/real.h"
#include "shim/process/init.h"
#include "shim/tls/audit.h"
#include "shim/tls/secret.h"

/* TLS 1.3 handshake messages that come later (RFC 8446 4). */
#define MESSAGE_KEY_UPDATE 24

static struct guard_lock lock; /* covers `free_ones` */
static struct wire *free_ones;

struct wire *wire_take(void)
{
	struct wire *wire = NULL;

	if (guard_lock_try(&lock)) {
		wire = free_ones;
		if (wire)
			free_ones = wire->next_free;
		guard_unlock(&lock);
	}
	if (!wire) {
		wire = libc.mmap(NULL, sizeof(*wire), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (wire == MAP_FAILED)
			return NULL;
		libc.madvise(wire, sizeof(*wire), MADV_DONTDUMP);
	}
	wire->state_fd = -1;
	return wire;
}

void wire_put(struct wire *wire)
{
	struct tls_seal write = wire->write, read = wire->read;

	if (wire->has_keys && !init_is_ending()) {
		tls_seal_end(&write);
		tls_seal_end(&read);
	}
	if (wire->locked_shared)
		secret_unlock(wire->shared, wire->locked_shared);
	if (wire->shared)
		libc.munmap(wire->shared, TLS_STATE_SIZE);
	if (wire->locked)
		secret_unlock(wire->copy, wire->locked);
	if (wire->state)
		explicit_bzero(wire->copy, sizeof(*wire->state) + wire->state->used);
	if (wire->state_fd >= 0)
		fdtable_close_internal(wire->state_fd);
	explicit_bzero(wire->bytes, wire->content.length);
	explicit_bzero(wire, offsetof(struct wire, in));
	wire->content = (struct tls_content){0};
	wire->has_content = false;
	wire->out_at = wire->out_length = 0;
	wire->write = write;
	wire->read = read;
	if (!guard_lock_try(&lock))
		return;
	wire->next_free = free_ones;
	free_ones = wire;
	guard_unlock(&lock);
}

static int open_memory(void)
{
	int fd = memory_file_make("holdline-tls", TLS_STATE_SIZE);

	return fd >= 0 ? fdtable_move_high(fd) : -EPERM;
}

bool wire_make_state(struct wire *wire)
{
	uint64_t id;

	if (libc.syscall(SYS_getrandom, &id, sizeof(id), 0) != sizeof(id))
		return false;
	wire->state = (struct tls_state *)(void *)wire->copy;
	memset(wire->state, 0, sizeof(*wire->state));
	tls_state_begin(wire->state, id);
	return true;
}

/* Takes the descriptor. */
static bool map_shared(struct wire *wire, int fd)
{
	void *memory = libc.mmap(NULL, TLS_STATE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED) {
		fdtable_close_internal(fd);
		return false;
	}
	libc.madvise(memory, TLS_STATE_SIZE, MADV_DONTDUMP);
	wire->shared = memory;
	wire->state_fd = fd;
	return true;
}

/* Both, as far as they go. */
static void lock_state(struct wire *wire)
{
	size_t length = sizeof(*wire->state) + wire->state->used;

	wire->locked = secret_lock(wire->copy, length) ? length : 0;
	wire->locked_shared = secret_lock(wire->shared, length) ? length : 0;
}

bool wire_share_state(struct wire *wire)
{
	int fd = open_memory();

	if (fd < 0 || !map_shared(wire, fd))
		return false;
	memcpy(wire->shared, wire->state, sizeof(*wire->state) + wire->state->used);
	lock_state(wire);
	return true;
}

static bool copy_state(struct wire *wire)
{
	uint32_t used = wire->shared->used;

	if (used > TLS_ARENA_SIZE)
		return false;
	wire->state = (struct tls_state *)(void *)wire->copy;
	memcpy(wire->state, wire->shared, sizeof(*wire->state) + used);
	/* Another process may have changed it in between. */
	wire->state->used = used;
	return tls_state_check(wire->state);
}

struct wire *wire_open(int fd)
{
	int own = memory_file_is_sound(fd, TLS_STATE_SIZE) ? fdtable_dup_high(fd) : -1;
	struct wire *wire = own >= 0 ? wire_take() : NULL;

	if (!wire) {
		if (own >= 0)
			fdtable_close_internal(own);
		return NULL;
	}
	if (map_shared(wire, own) && copy_state(wire)) {
		lock_state(wire);
		return wire;
	}
	wire_put(wire);
	return NULL;
}

/* The key of one side as it is now. */
static bool take_key(struct wire *wire, enum tls_side side, struct tls_seal *seal, bool seals)
{
	struct tls_state *state = wire->state;

	if (wire->suite->version == TLS_1_3 &&
	    !tls_keys_of_secret(wire->crypto, wire->suite, state->wire_secret[side], &state->wire_key[side]))
		return false;
	return tls_seal_begin(seal, wire->crypto, wire->suite, &state->wire_key[side], seals);
}

bool wire_begin(struct wire *wire, const struct tls_crypto *crypto)
{
	if (wire->has_keys)
		return true;
	wire->crypto = crypto;
	wire->suite = tls_suite_find(wire->state->version, wire->state->suite);
	wire->epoch = tls_state_epoch(wire->shared);
	wire->has_keys = wire->suite && take_key(wire, TLS_CLIENT, &wire->write, true) &&
			 take_key(wire, TLS_SERVER, &wire->read, false);
	return wire->has_keys;
}

static bool next_key(struct wire *wire, enum tls_side side, struct tls_seal *seal)
{
	uint8_t *secret = wire->state->wire_secret[side];

	if (!tls_keys_next_secret(wire->crypto, wire->suite, secret))
		return false;
	memcpy(wire->shared->wire_secret[side], secret, sizeof(wire->shared->wire_secret[side]));
	return take_key(wire, side, seal, side == TLS_CLIENT);
}

static bool seal_one(struct wire *wire, enum tls_type type, const uint8_t *bytes, size_t length)
{
	struct tls_content content = {.type = (uint8_t)type, .length = (uint16_t)length};
	uint64_t number;
	size_t sealed = 0;

	if (WIRE_OUT_MAX - wire->out_length >= TLS_RECORD_MAX &&
	    tls_state_take_number(wire->shared, wire->epoch, &number))
		sealed = tls_record_seal(&wire->write, number, wire->state->explicit_base + number, bytes, &content,
					 wire->out + wire->out_length);
	if (sealed)
		audit_sealed(wire, number);
	wire->out_length += (uint32_t)sealed;
	wire->is_broken |= !sealed;
	return sealed != 0;
}

/* Both copies: nobody else has the connection yet. A ticket that finds no room is not kept, and none behind it. */
void wire_keep_ticket(struct wire *wire)
{
	struct tls_state *state = wire->state;
	uint16_t length = wire->content.length;
	struct tls_span added;

	if (state->tickets.length && state->tickets.offset + state->tickets.length != state->used)
		return;
	if (sizeof(length) + length > TLS_ARENA_SIZE - state->used ||
	    !tls_state_add(state, &length, sizeof(length), &added))
		return;
	if (!state->tickets.length)
		state->tickets.offset = added.offset;
	if (!tls_state_add(state, wire->bytes, length, &added))
		return;
	state->tickets.length = state->used - state->tickets.offset;
	memcpy(wire->shared->arena + state->tickets.offset, state->arena + state->tickets.offset,
	       state->tickets.length);
	wire->shared->tickets = state->tickets;
	wire->shared->used = state->used;
}

/* Before the next bytes of ours. */
static bool update_own_key(struct wire *wire)
{
	static const uint8_t update[] = {MESSAGE_KEY_UPDATE, 0, 0, 1, 0};

	wire->shared->owes_update = false;
	if (!seal_one(wire, TLS_HANDSHAKE, update, sizeof(update)) || !next_key(wire, TLS_CLIENT, &wire->write))
		return false;
	tls_state_next_epoch(wire->shared);
	wire->epoch++;
	return true;
}

bool wire_seal(struct wire *wire, enum tls_type type, const uint8_t *bytes, size_t length)
{
	if (wire->out_at == wire->out_length)
		wire->out_at = wire->out_length = 0;
	if (wire->is_broken || (wire->shared->owes_update && !update_own_key(wire)))
		return false;
	return seal_one(wire, type, bytes, length);
}

void wire_rest(struct wire *wire)
{
	/* Without the library the broker ends it as the program's end would have. */
	if (init_is_ending())
		return;
	tls_farewell_seal(wire->shared, &wire->write, wire->epoch);
	wire->state->farewell = wire->shared->farewell;
	wire->has_keys = false;
	tls_seal_end(&wire->write);
	tls_seal_end(&wire->read);
}

bool wire_take_farewell(struct wire *wire, struct pool_farewell *farewell)
{
	bool done = wire->shared && tls_farewell_take(wire->shared, farewell);

	/* (Where it has been nobody's, its key is unknown here; and the library may have ended.) */
	if (done && wire->suite && !init_is_ending())
		audit_sealed(wire, wire->state->farewell.number & TLS_NUMBER_MASK);
	return done;
}

int wire_flush(struct wire *wire, int fd, int flags)
{
	while (wire->out_at < wire->out_length) {
		ssize_t n =
			real.send(fd, wire->out + wire->out_at, wire->out_length - wire->out_at, flags | MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		wire->sent += (uint64_t)n;
		wire->out_at += (uint32_t)n;
	}
	return 0;
}

/* Of the record that is coming: its header, then the rest. No byte of the next one is taken, which would hide it from
 * poll(2). 1: it is whole. */
static int receive_record(struct wire *wire, int fd, int flags)
{
	for (;;) {
		size_t whole = wire->in_length < TLS_HEADER_LENGTH ? TLS_HEADER_LENGTH : tls_record_length(wire->in);
		ssize_t n;

		if (!whole) {
			wire->is_broken = true;
			wire->bad_length = wire->in_length;
			errno = ECONNRESET;
			return -1;
		}
		if (whole == wire->in_length)
			return 1;
		n = real.recv(fd, wire->in + wire->in_length, whole - wire->in_length, flags);
		if (n <= 0) {
			wire->has_ended |= n == 0;
			return (int)n;
		}
		wire->in_length += (uint32_t)n;
		wire->received += (uint64_t)n;
	}
}

/* The server has a new key. */
static bool take_key_update(struct wire *wire)
{
	wire->shared->owes_update |= wire->content.length > 4 && wire->bytes[4] == 1;
	wire->shared->read_number = 0;
	return next_key(wire, TLS_SERVER, &wire->read);
}

int wire_receive(struct wire *wire, int fd, int flags)
{
	for (;;) {
		int result = receive_record(wire, fd, flags);
		size_t length = wire->in_length;

		if (result <= 0)
			return result;
		wire->in_length = 0;
		/* For middleboxes only (RFC 8446 D.4). */
		if (wire->suite->version == TLS_1_3 && wire->in[0] == TLS_CHANGE_CIPHER_SPEC)
			continue;
		if (!tls_record_open(&wire->read, wire->shared->read_number, wire->in, length, wire->bytes,
				     &wire->content)) {
			wire->bad_length = (uint32_t)length;
			break;
		}
		wire->shared->read_number++;
		if (wire->suite->version != TLS_1_3 || wire->content.type != TLS_HANDSHAKE ||
		    wire->bytes[0] != MESSAGE_KEY_UPDATE) {
			wire->has_content = true;
			wire->content_at = 0;
			return 1;
		}
		if (!take_key_update(wire))
			break;
	}
	wire->is_broken = true;
	errno = ECONNRESET;
	return -1;
}
