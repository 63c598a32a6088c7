/* See binary.h. */
#include "pool/proto/memcached/binary.h"

#include <string.h>

#define MAGIC_REQUEST 0x80
#define MAGIC_RESPONSE 0x81
#define BODY_MAX (UINT32_C(1) << 30) /* no server takes as much */

/* Those that are looked for by name. */
enum {
	OPCODE_GET = 0x00,
	OPCODE_QUIT = 0x07,
	OPCODE_STAT = 0x10,
	OPCODE_QUITQ = 0x17,
	OPCODE_SASL_LIST = 0x20,
	OPCODE_SASL_STEP = 0x22,
};

enum class {
	CLASS_REFUSED, /* or unknown */
	CLASS_ANSWERED,
	CLASS_QUIET,
};

/* Commands that are followed; a quiet one has beside it the command that it is the quiet form of. */
static const struct {
	uint8_t class, base;
} opcodes[] = {
	[0x00] = {CLASS_ANSWERED, 0x00}, /* get */
	[0x01] = {CLASS_ANSWERED, 0x01}, /* set */
	[0x02] = {CLASS_ANSWERED, 0x02}, /* add */
	[0x03] = {CLASS_ANSWERED, 0x03}, /* replace */
	[0x04] = {CLASS_ANSWERED, 0x04}, /* delete */
	[0x05] = {CLASS_ANSWERED, 0x05}, /* increment */
	[0x06] = {CLASS_ANSWERED, 0x06}, /* decrement */
	[0x08] = {CLASS_ANSWERED, 0x08}, /* flush */
	[0x09] = {CLASS_QUIET, 0x00},	 /* get */
	[0x0a] = {CLASS_ANSWERED, 0x0a}, /* no operation */
	[0x0b] = {CLASS_ANSWERED, 0x0b}, /* version */
	[0x0c] = {CLASS_ANSWERED, 0x0c}, /* get with key */
	[0x0d] = {CLASS_QUIET, 0x0c},	 /* get with key */
	[0x0e] = {CLASS_ANSWERED, 0x0e}, /* append */
	[0x0f] = {CLASS_ANSWERED, 0x0f}, /* prepend */
	[0x10] = {CLASS_ANSWERED, 0x10}, /* statistics */
	[0x11] = {CLASS_QUIET, 0x01},	 /* set */
	[0x12] = {CLASS_QUIET, 0x02},	 /* add */
	[0x13] = {CLASS_QUIET, 0x03},	 /* replace */
	[0x14] = {CLASS_QUIET, 0x04},	 /* delete */
	[0x15] = {CLASS_QUIET, 0x05},	 /* increment */
	[0x16] = {CLASS_QUIET, 0x06},	 /* decrement */
	[0x18] = {CLASS_QUIET, 0x08},	 /* flush */
	[0x19] = {CLASS_QUIET, 0x0e},	 /* append */
	[0x1a] = {CLASS_QUIET, 0x0f},	 /* prepend */
	[0x1c] = {CLASS_ANSWERED, 0x1c}, /* touch */
	[0x1d] = {CLASS_ANSWERED, 0x1d}, /* get and touch */
	[0x1e] = {CLASS_QUIET, 0x1d},	 /* get and touch */
	[0x23] = {CLASS_ANSWERED, 0x23}, /* get and touch, with key */
	[0x24] = {CLASS_QUIET, 0x23},	 /* get and touch, with key */
};

static enum class class_of(uint8_t opcode) {
	return opcode < sizeof(opcodes) / sizeof(opcodes[0]) ? (enum class)opcodes[opcode].class : CLASS_REFUSED;
}

static uint64_t bit_of(uint8_t opcode)
{
	return UINT64_C(1) << opcodes[opcode].base;
}

/* Nothing can be told any more. */
static void lose(struct memcached_binary *binary, enum refusal why)
{
	if (binary->doubt == REFUSAL_NONE)
		binary->doubt = why;
	binary->is_lost = true;
}

void memcached_binary_init(struct memcached_binary *binary)
{
	memset(binary, 0, sizeof(*binary));
}

static uint32_t body_length(const uint8_t *head)
{
	return (uint32_t)head[8] << 24 | (uint32_t)head[9] << 16 | (uint32_t)head[10] << 8 | head[11];
}

static uint32_t key_length(const uint8_t *head)
{
	return (uint32_t)head[2] << 8 | head[3];
}

/* Takes a part of a head: how many bytes. */
static size_t take_head(struct memcached_packet *packet, const char *bytes, size_t length)
{
	size_t n = sizeof(packet->head) - packet->n_head;

	if (n > length)
		n = length;
	memcpy(packet->head + packet->n_head, bytes, n);
	packet->n_head = (uint8_t)(packet->n_head + n);
	return n;
}

/* The head is whole. False: its lengths contradict each other. */
static bool begin_body(struct memcached_packet *packet)
{
	packet->n_head = 0;
	packet->body_left = body_length(packet->head);
	return packet->body_left <= BODY_MAX && key_length(packet->head) + packet->head[4] <= packet->body_left;
}

static void await_response(struct memcached_binary *binary, uint8_t opcode)
{
	struct memcached_binary_run *last = binary->n_runs ? &binary->runs[binary->n_runs - 1] : NULL;

	/* Its response could not be told from one of theirs. */
	if (binary->quiet & bit_of(opcode)) {
		lose(binary, REFUSAL_REFUSED_COMMAND);
		return;
	}
	if (last && !binary->quiet && last->opcode == opcode && last->n < UINT32_MAX) {
		last->n++;
	} else if (binary->n_runs < MEMCACHED_BINARY_RUNS) {
		binary->runs[binary->n_runs++] =
			(struct memcached_binary_run){.quiet = binary->quiet, .n = 1, .opcode = opcode};
	} else {
		lose(binary, REFUSAL_UNFINISHED_REPLY);
		return;
	}
	binary->quiet = 0;
	binary->n_sent++;
}

static void note_command(struct memcached_binary *binary)
{
	uint8_t opcode = binary->request.head[1];

	binary->has_begun = true;
	switch (class_of(opcode)) {
	case CLASS_ANSWERED:
		await_response(binary, opcode);
		break;
	case CLASS_QUIET:
		binary->quiet |= bit_of(opcode);
		break;
	case CLASS_REFUSED:
		if (opcode == OPCODE_QUIT || opcode == OPCODE_QUITQ)
			lose(binary, REFUSAL_CLIENT_CLOSE);
		else if (opcode >= OPCODE_SASL_LIST && opcode <= OPCODE_SASL_STEP)
			lose(binary, REFUSAL_AUTHENTICATED);
		else
			lose(binary, REFUSAL_REFUSED_COMMAND);
		break;
	}
}

static size_t take_request(struct memcached_binary *binary, const char *bytes, size_t length)
{
	struct memcached_packet *request = &binary->request;
	size_t n;

	if (request->body_left) {
		n = length < request->body_left ? length : request->body_left;
		request->body_left -= (uint32_t)n;
		return n;
	}
	n = take_head(request, bytes, length);
	if (request->head[0] != MAGIC_REQUEST)
		lose(binary, REFUSAL_NOT_CANONICAL);
	else if (request->n_head < MEMCACHED_HEAD)
		return n;
	else if (!begin_body(request))
		lose(binary, REFUSAL_NOT_CANONICAL);
	else
		note_command(binary);
	return n;
}

void memcached_binary_feed_request(struct memcached_binary *binary, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && !binary->is_lost;)
		i += take_request(binary, bytes + i, length - i);
}

/* Statuses behind which the server goes on where we think that it does: success, and no such item, or another one. */
static bool is_harmless(unsigned status)
{
	return status <= 2 || status == 5 || status == 6;
}

static void end_response(struct memcached_binary *binary)
{
	if (!binary->ends_command)
		return;
	binary->n_answered++;
	binary->runs[0].quiet = 0;
	if (--binary->runs[0].n)
		return;
	binary->n_runs--;
	memmove(binary->runs, binary->runs + 1, binary->n_runs * sizeof(binary->runs[0]));
}

/* Whose it is. */
static void begin_response(struct memcached_binary *binary)
{
	const uint8_t *head = binary->response.head;
	unsigned status = (unsigned)head[6] << 8 | head[7];
	const struct memcached_binary_run *oldest = binary->n_runs ? &binary->runs[0] : NULL;
	uint64_t quiet = oldest ? oldest->quiet : binary->quiet;

	if (status == 0x20 || status == 0x21) {
		lose(binary, REFUSAL_AUTHENTICATED);
	} else if (!is_harmless(status)) {
		lose(binary, REFUSAL_ERROR);
	} else if (oldest && head[1] == oldest->opcode) {
		/* Statistics end by one without a name. */
		binary->ends_command = head[1] != OPCODE_STAT || !key_length(head) || status;
	} else if (class_of(head[1]) != CLASS_REFUSED && quiet & bit_of(head[1])) {
		binary->ends_command = false;
	} else {
		binary->has_surplus = !oldest;
		lose(binary, REFUSAL_NOT_CANONICAL);
	}
}

void memcached_binary_pass_reply(struct memcached_binary *binary, uint64_t length)
{
	if (!length)
		return;
	binary->response.body_left -= (uint32_t)length;
	if (!binary->response.body_left)
		end_response(binary);
}

static size_t take_response(struct memcached_binary *binary, const char *bytes, size_t length)
{
	struct memcached_packet *response = &binary->response;
	size_t n;

	if (response->body_left) {
		n = length < response->body_left ? length : response->body_left;
		memcached_binary_pass_reply(binary, n);
		return n;
	}
	n = take_head(response, bytes, length);
	/* The first byte decides whether this is memcached at all. */
	if (response->head[0] != MAGIC_RESPONSE) {
		lose(binary, binary->n_answered ? REFUSAL_NOT_CANONICAL : REFUSAL_UNKNOWN_PROTOCOL);
		return n;
	}
	if (response->n_head < MEMCACHED_HEAD)
		return n;
	if (!begin_body(response))
		lose(binary, REFUSAL_NOT_CANONICAL);
	else
		begin_response(binary);
	if (!binary->is_lost && !response->body_left)
		end_response(binary);
	return n;
}

size_t memcached_binary_feed_reply(struct memcached_binary *binary, const char *bytes, size_t length, bool only_one)
{
	uint64_t n_before = binary->n_answered;
	size_t i = 0;

	while (i < length && !binary->is_lost && !(only_one && binary->n_answered != n_before))
		i += take_response(binary, bytes + i, length - i);
	return binary->is_lost && !only_one ? length : i;
}

enum framing_first memcached_binary_classify(const char *bytes, size_t length)
{
	struct memcached_binary scratch;

	if (!length)
		return FRAMING_FIRST_PARTIAL;
	memcached_binary_init(&scratch);
	memcached_binary_feed_request(&scratch, bytes, length);
	/* One that is refused is one, too. */
	if (scratch.has_begun)
		return FRAMING_FIRST_UNSAFE;
	return scratch.is_lost ? FRAMING_FIRST_UNKNOWN : FRAMING_FIRST_PARTIAL;
}

bool memcached_binary_is_quit(const char *bytes, size_t length)
{
	const uint8_t *head = (const uint8_t *)bytes;

	return length == MEMCACHED_HEAD && head[0] == MAGIC_REQUEST &&
	       (head[1] == OPCODE_QUIT || head[1] == OPCODE_QUITQ) && !body_length(head) && !key_length(head) &&
	       !head[4];
}

bool memcached_binary_is_quiet_quit(const char *bytes)
{
	return bytes[1] == OPCODE_QUITQ;
}
