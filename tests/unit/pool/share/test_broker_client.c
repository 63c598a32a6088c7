/*
 * A process's side of its talk with the broker, against a scripted one at the other end of a socket pair: whatever that
 * sends or doesn't, the process goes on soon, without a leaked descriptor.
 */
#include "pool/share/client.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/fake/wire.h"
#include "pool/base/clock.h"
#include "pool/base/fdpass.h"
#include "pool/config/config.h"
#include "pool/conn/destination.h"

#define OURS fake_wire_fds[0]
#define BROKERS fake_wire_fds[1]

static struct broker_client client;
static struct config config;
static struct destination destination;
static struct slots_entry entries[SLOTS_PER_REGION];
static struct conn conn;
static struct slots_region *region; /* the broker's view */
static unsigned n_fds_before;

static void start(void)
{
	fake_wire_start();
	n_fds_before = fake_wire_n_fds();
	memset(&client, 0, sizeof(client));
	memset(entries, 0, sizeof(entries));
	memset(&destination, 0, sizeof(destination));
	config_init(&config);
	broker_client_init(&client, &fake_wire_sys, entries);
	destination.key.family = AF_INET;
	destination.key.port = 80;
	conn = (struct conn){.fd = -1, .slot = -1, .cookie = 5, .destination = &destination};
	region = NULL;
}

static void stop(void)
{
	broker_client_end(&client);
	if (region)
		munmap(region, sizeof(*region));
	fake_wire_stop();
}

static int begin_as(const char *name, const struct destination_key *first)
{
	int error = broker_client_introduce(&client, OURS, &config, name, 77, first);

	return error ? error : broker_client_await_welcome(&client, BROKER_PATIENCE_MS);
}

static int begin(void)
{
	return begin_as("program", NULL);
}

static void say(const void *packet, size_t length, int fd)
{
	fake_wire_send(BROKERS, packet, length, &fd, fd >= 0);
}

/* `given`: a connection beside it, -1: none. */
static void say_welcome_with(struct broker_reply first, int given)
{
	struct broker_welcome welcome = {.head = broker_wire_head(BROKER_WELCOME, 0, 0), .first = first};
	int fds[2] = {fake_wire_memory(sizeof(*region)), given};

	region = mmap(NULL, sizeof(*region), PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	ck_assert_ptr_ne(region, MAP_FAILED);
	fake_wire_send(BROKERS, &welcome, sizeof(welcome), fds, given < 0 ? 1 : 2);
	close(fds[0]);
}

static void say_welcome(void)
{
	say_welcome_with((struct broker_reply){0}, -1);
}

static void answer(uint32_t sequence, uint32_t status, int fd)
{
	struct broker_reply reply = {.head = broker_wire_head(BROKER_ANSWER, sequence, status)};

	say(&reply, sizeof(reply), fd);
}

/* The process's packet; a descriptor with it is closed. */
static union broker_packet hear(size_t expected, bool with_fd)
{
	union broker_packet packet;
	unsigned n_passed;
	int passed;
	ssize_t length = fdpass_receive(&fake_wire_sys, BROKERS, &packet, sizeof(packet), &passed, &n_passed);

	ck_assert_int_eq(length, (ssize_t)expected);
	ck_assert_int_eq(broker_wire_check(&packet, (size_t)length, n_passed), 0);
	ck_assert_uint_eq(n_passed, with_fd);
	if (passed >= 0)
		close(passed);
	return packet;
}

static void hear_nothing(void)
{
	char byte;

	ck_assert_int_eq(recv(BROKERS, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

static void be_connected(void)
{
	say_welcome();
	ck_assert_int_eq(begin(), 0);
	hear(sizeof(struct broker_hello), false);
}

static void check_no_fd_more(void)
{
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before);
}

/* Nothing of a talk is left, and calls that need one do nothing. */
static void check_ended(void)
{
	ck_assert_int_eq(client.fd, -1);
	ck_assert_ptr_null(client.slots.region);
	ck_assert_uint_eq(client.slots.n_free, 0);
	broker_client_offer(&client, &conn, false);
	ck_assert_int_eq(conn.slot, -1);
	broker_client_drop(&client, &conn);
	broker_client_looked(&client, &destination.key);
	broker_client_relieve(&client, &destination.key, false);
	check_no_fd_more();
}

static struct broker_reply first_answer(uint32_t status)
{
	return (struct broker_reply){.head = broker_wire_head(BROKER_ANSWER, 1, status)};
}

/* In the introduction: its answer comes with the welcome. */
START_TEST(first_question)
{
	struct broker_hello heard;
	int fd, given = fake_wire_memory(10);

	say_welcome_with(first_answer(_i ? BROKER_NONE : BROKER_GIVEN), _i ? -1 : given);
	ck_assert_int_eq(begin_as("program", &destination.key), 0);
	heard = hear(sizeof(struct broker_hello), false).hello;
	ck_assert_uint_eq(heard.first.head.flags, BROKER_IS_ASKED);
	ck_assert_int_eq(broker_wire_check((union broker_packet *)&heard.first, sizeof(heard.first), 0), 0);
	ck_assert(broker_client_reserve(&client, &conn));
	ck_assert_int_eq(conn.slot, SLOTS_FIRST);
	ck_assert_uint_eq(conn.slot_generation, SLOTS_FIRST_GENERATION);
	ck_assert_int_eq(slots_state(region, SLOTS_FIRST, SLOTS_FIRST_GENERATION), SLOT_LEASED);
	ck_assert_int_eq(broker_client_lease(&client, &conn, false, &fd), _i ? BROKER_NONE : BROKER_GIVEN);
	ck_assert((fd >= 0) == !_i);
	hear_nothing();
	if (fd >= 0)
		close(fd);
	close(given);
	/* The next one is asked as usual. */
	slots_free(&client.slots, &conn);
	ck_assert(broker_client_reserve(&client, &conn));
	answer(2, BROKER_NONE, -1);
	ck_assert_int_eq(broker_client_lease(&client, &conn, false, &fd), BROKER_NONE);
	ck_assert_uint_eq(hear(sizeof(struct broker_request), false).head.sequence, 2);
}
END_TEST

/* What comes of it, where it is none: in the order of enum broker_answer, and of a connection without a descriptor. */
START_TEST(first_answers)
{
	static const int expected[] = {-EMFILE,	       BROKER_NONE,  BROKER_DIAL, -EPROTO,
				       BROKER_UNHEARD, BROKER_UNFIT, -EPROTO};
	int fd;

	say_welcome_with(first_answer((uint32_t)_i), -1);
	ck_assert_int_eq(begin_as("program", &destination.key), 0);
	hear(sizeof(struct broker_hello), false);
	ck_assert(broker_client_reserve(&client, &conn));
	ck_assert_int_eq(broker_client_lease(&client, &conn, false, &fd), expected[_i]);
	ck_assert_int_eq(fd, -1);
	check_no_fd_more();
}
END_TEST

/* ... and where nobody takes it. */
START_TEST(a_first_connection_that_nobody_takes)
{
	int given = fake_wire_memory(10);

	say_welcome_with(first_answer(BROKER_GIVEN), given);
	close(given);
	ck_assert_int_eq(begin_as("program", &destination.key), 0);
	hear(sizeof(struct broker_hello), false);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
	broker_client_end(&client);
	check_ended();
}
END_TEST

/* A connection that nobody asked for, another question's answer, none. */
START_TEST(a_welcome_with_something_else)
{
	struct broker_reply reply = first_answer(BROKER_GIVEN);
	int given = fake_wire_memory(10);

	reply.head.sequence += _i == 1;
	reply.head.type = _i == 2 ? BROKER_LEASE : BROKER_ANSWER;
	say_welcome_with(reply, given);
	close(given);
	ck_assert_int_eq(begin_as("program", _i ? &destination.key : NULL), -EPROTO);
	check_ended();
}
END_TEST

START_TEST(hello)
{
	struct broker_hello heard;

	config.pool = _i ? CONFIG_POOL_LOCAL : CONFIG_POOL_SHARED;
	config.max_idle_conns = 3;
	config.policy.max_idle_conns_per_host = 4;
	say_welcome();
	ck_assert_int_eq(begin(), 0);
	heard = hear(sizeof(heard), false).hello;
	ck_assert_uint_eq(heard.head.type, BROKER_HELLO);
	ck_assert_uint_eq(heard.first.head.type, 0);
	ck_assert_uint_eq(heard.head.flags, _i ? BROKER_IS_PRIVATE : 0);
	ck_assert_uint_eq(heard.max_idle_conns, 3);
	ck_assert_uint_eq(heard.max_idle_conns_per_host, 4);
	ck_assert_uint_eq(heard.program, 77);
	ck_assert_str_eq(heard.name, "program");
	ck_assert_int_eq(client.fd, OURS);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	/* The memory is the same. */
	ck_assert(slots_reserve(&client.slots, &conn));
	ck_assert_int_eq(slots_state(region, (unsigned)conn.slot, conn.slot_generation), SLOT_LEASED);
	check_no_fd_more();
	broker_client_end(&client);
	ck_assert_int_eq(conn.slot, -1);
	check_ended();
}
END_TEST

START_TEST(a_name_too_long)
{
	struct broker_hello heard;

	say_welcome();
	ck_assert_int_eq(begin_as("a name longer than a broker's", NULL), 0);
	heard = hear(sizeof(heard), false).hello;
	ck_assert_mem_eq(heard.name, "a name longer t\0", BROKER_NAME_MAX);
}
END_TEST

START_TEST(a_broker_of_another_version)
{
	struct broker_head head = broker_wire_head(BROKER_WELCOME, 0, 0);
	int fd = _i ? fake_wire_memory(1) : -1;

	head.version++;
	say(&head, sizeof(head), fd);
	close(fd);
	ck_assert_int_eq(begin(), -EPROTONOSUPPORT);
	check_ended();
}
END_TEST

START_TEST(silence_at_the_beginning)
{
	uint64_t before = fake_wire.now_ns;

	ck_assert_int_eq(begin(), -ETIMEDOUT);
	ck_assert_uint_ge(fake_wire.now_ns - before, BROKER_PATIENCE_MS * MILLISECOND_NS);
	ck_assert_uint_le(fake_wire.now_ns - before, (BROKER_PATIENCE_MS + 2) * MILLISECOND_NS);
	check_ended();
}
END_TEST

/* Of any length, with a descriptor or without; only another version's number may end the talk for good. */
START_TEST(garbage_for_a_welcome)
{
	struct broker_head head = broker_wire_head(_i % 2 ? BROKER_WELCOME : BROKER_ANSWER, 0, 0);
	char garbage[sizeof(union broker_packet) + 9] = "";
	int fd = fake_wire_memory(sizeof(*region));

	for (size_t length = 1; length <= sizeof(garbage); length++) {
		int error;

		if (_i % 2 && length == sizeof(struct broker_welcome))
			continue;
		memset(garbage, length < sizeof(head) ? 0x55 : 0, sizeof(garbage));
		if (length >= sizeof(head))
			memcpy(garbage, &head, sizeof(head));
		say(garbage, length, _i < 2 ? fd : -1);
		error = begin();
		ck_assert_int_eq(error, length > sizeof(union broker_packet) ? -EMSGSIZE : -EPROTO);
		ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
		hear(sizeof(struct broker_hello), false);
	}
	close(fd);
	check_ended();
}
END_TEST

START_TEST(a_welcome_without_memory)
{
	struct broker_welcome welcome = {.head = broker_wire_head(BROKER_WELCOME, 0, 0)};

	say(&welcome, sizeof(welcome), -1);
	ck_assert_int_eq(begin(), -EPROTO);
	check_ended();
	fake_wire.map_fails = true;
	say_welcome();
	ck_assert_int_eq(begin(), -ENOMEM);
	check_ended();
}
END_TEST

START_TEST(a_broker_that_goes)
{
	if (_i == 0) {
		close(BROKERS);
		BROKERS = -1;
		n_fds_before--;
		ck_assert_int_eq(begin(), -EPIPE);
	} else {
		int fd = fake_wire_memory(1);

		if (_i == 1)
			shutdown(BROKERS, SHUT_WR);
		else
			say("", 0, fd); /* looks like one */
		close(fd);
		ck_assert_int_eq(begin(), -ECONNRESET);
	}
	check_ended();
}
END_TEST

static int lease_fd; /* what the last answer brought, -1: none */

static int lease(void)
{
	int answer;

	if (conn.slot < 0)
		ck_assert(slots_reserve(&client.slots, &conn));
	answer = broker_client_lease(&client, &conn, false, &lease_fd);
	ck_assert((answer == BROKER_GIVEN) == (lease_fd >= 0));
	return answer;
}

START_TEST(a_lease)
{
	int lent = fake_wire_memory(7), fd;
	struct broker_request asked;

	be_connected();
	destination.key.port = 4711;
	destination.key.options_length = 3;
	answer(1, BROKER_GIVEN, lent);
	ck_assert_int_eq(lease(), BROKER_GIVEN);
	fd = lease_fd;
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 7);
	asked = hear(sizeof(asked), false).request;
	ck_assert_uint_eq(asked.head.type, BROKER_LEASE);
	ck_assert_uint_eq(asked.head.sequence, 1);
	ck_assert_uint_eq(asked.slot, (uint64_t)conn.slot);
	ck_assert_uint_eq(asked.generation, conn.slot_generation);
	ck_assert_mem_eq(&asked.key, &destination.key, sizeof(asked.key));
	close(fd);
	close(lent);
	answer(2, BROKER_NONE, -1);
	ck_assert_int_eq(lease(), BROKER_NONE);
	answer(3, BROKER_DIAL, -1);
	ck_assert_int_eq(lease(), BROKER_DIAL);
	answer(4, BROKER_UNFIT, -1);
	ck_assert_int_eq(lease(), BROKER_UNFIT);
	for (int i = 2; i <= 4; i++)
		ck_assert_uint_eq(hear(sizeof(asked), false).request.head.flags, 0);
	answer(5, BROKER_UNHEARD, -1);
	ck_assert_int_eq(broker_client_lease(&client, &conn, true, &fd), BROKER_UNHEARD);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(hear(sizeof(asked), false).request.head.flags, BROKER_WANTS_TRUTH);
	ck_assert_uint_eq(fake_wire.n_polled, 0);
	check_no_fd_more();
}
END_TEST

static void answer_late(void)
{
	fake_wire.now_ns += (BROKER_PATIENCE_MS - 1) * MILLISECOND_NS;
	answer(1, BROKER_NONE, -1);
}

START_TEST(an_answer_in_time)
{
	be_connected();
	fake_wire.on_poll = answer_late;
	ck_assert_int_eq(lease(), BROKER_NONE);
	ck_assert_uint_eq(fake_wire.n_polled, 1);
}
END_TEST

START_TEST(silence)
{
	uint64_t before = fake_wire.now_ns;

	be_connected();
	ck_assert_int_eq(lease(), -ETIMEDOUT);
	ck_assert_uint_ge(fake_wire.now_ns - before, BROKER_PATIENCE_MS * MILLISECOND_NS);
	ck_assert_uint_le(fake_wire.now_ns - before, (BROKER_PATIENCE_MS + 2) * MILLISECOND_NS);
}
END_TEST

START_TEST(interrupted_and_failing_waits)
{
	be_connected();
	hear_nothing();
	fake_wire.on_poll = answer_late;
	fake_wire.n_interrupted = 5;
	ck_assert_int_eq(lease(), BROKER_NONE);
	fake_wire.poll_error = ENOMEM;
	ck_assert_int_eq(lease(), -ENOMEM);
}
END_TEST

START_TEST(stale_answers_are_passed_over)
{
	int lent = fake_wire_memory(1);

	be_connected();
	client.sequence = 41;
	answer(41, BROKER_GIVEN, lent);
	answer(40, BROKER_NONE, -1);
	answer(43, BROKER_DIAL, -1);
	answer(42, BROKER_NONE, -1);
	answer(43, BROKER_GIVEN, lent);
	ck_assert_int_eq(lease(), BROKER_NONE);
	ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
	/* Across the wrap of the numbers. */
	client.sequence = UINT32_MAX;
	answer(0, BROKER_DIAL, -1);
	ck_assert_int_eq(lease(), BROKER_DIAL);
	close(lent);
	check_no_fd_more();
}
END_TEST

static void answer_stale(void)
{
	answer(0, BROKER_NONE, -1);
	fake_wire.now_ns += MILLISECOND_NS;
	fake_wire.on_poll = answer_stale;
}

START_TEST(stale_answers_take_no_more_time)
{
	uint64_t before = fake_wire.now_ns;

	be_connected();
	fake_wire.on_poll = answer_stale;
	ck_assert_int_eq(lease(), -ETIMEDOUT);
	ck_assert_uint_le(fake_wire.now_ns - before, (BROKER_PATIENCE_MS + 2) * MILLISECOND_NS);
}
END_TEST

START_TEST(answers_that_contradict_themselves)
{
	static const struct {
		uint32_t status;
		bool with_fd;
		int error;
	} ANSWERS[] = {
		{BROKER_GIVEN, false, -EMFILE}, {BROKER_NONE, true, -EPROTO},	 {BROKER_DIAL, true, -EPROTO},
		{BROKER_UNFIT, true, -EPROTO},	{BROKER_UNHEARD, true, -EPROTO}, {BROKER_QUEUED, false, -EPROTO},
		{BROKER_QUEUED, true, -EPROTO}, {BROKER_LEAVE, false, -EPROTO},	 {UINT32_MAX, true, -EPROTO},
	};
	int lent = fake_wire_memory(1);

	be_connected();
	answer(1, ANSWERS[_i].status, ANSWERS[_i].with_fd ? lent : -1);
	ck_assert_int_eq(lease(), ANSWERS[_i].error);
	close(lent);
	check_no_fd_more();
}
END_TEST

START_TEST(garbage_for_an_answer)
{
	char garbage[sizeof(union broker_packet) + 9];
	int lent = fake_wire_memory(1);

	be_connected();
	for (size_t length = 1; length <= sizeof(garbage); length++) {
		struct broker_reply reply = {.head = broker_wire_head(BROKER_ANSWER, client.sequence + 1, 0)};

		memset(garbage, 0, sizeof(garbage));
		if (length != sizeof(reply))
			memcpy(garbage, &reply, sizeof(reply));
		say(garbage, length, lent);
		ck_assert_int_eq(lease(), length > sizeof(union broker_packet) ? -EMSGSIZE : -EPROTO);
		ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
		hear(sizeof(struct broker_request), false);
	}
	close(lent);
	/* An end of file with a descriptor beside it. */
	lent = fake_wire_memory(1);
	say("", 0, lent);
	close(lent);
	ck_assert_int_eq(lease(), -ECONNRESET);
	hear(sizeof(struct broker_request), false);
	close(BROKERS);
	BROKERS = -1;
	ck_assert_int_eq(lease(), -EPIPE);
	n_fds_before--;
	check_no_fd_more();
}
END_TEST

START_TEST(an_offer)
{
	struct broker_request heard;

	be_connected();
	conn.fd = fake_wire_memory(1);
	conn.ledger.sent = 9;
	broker_client_offer(&client, &conn, _i);
	heard = hear(sizeof(heard), true).request;
	ck_assert_uint_eq(heard.head.type, BROKER_PARK);
	ck_assert_uint_eq(heard.head.flags, _i ? BROKER_WAS_UNFIT : 0);
	ck_assert_uint_eq(heard.slot, (uint64_t)conn.slot);
	ck_assert_uint_eq(heard.generation, conn.slot_generation);
	ck_assert_uint_eq(heard.cookie, 5);
	ck_assert_mem_eq(&heard.key, &destination.key, sizeof(heard.key));
	ck_assert(conn.has_broker_dup);
	ck_assert_int_eq(slots_state(region, (unsigned)conn.slot, conn.slot_generation), SLOT_IDLE);
	ck_assert_uint_eq(region->slots[conn.slot].contents.ledger.sent, 9);
	close(conn.fd);
	check_no_fd_more();
}
END_TEST

START_TEST(no_offer)
{
	struct conn others[SLOTS_PER_REGION];

	conn.fd = OURS;
	ck_assert_int_eq(broker_client_offer(&client, &conn, false), 0); /* to nobody */
	be_connected();
	conn.cookie = 0; /* a kernel without cookies */
	broker_client_offer(&client, &conn, false);
	conn.cookie = 5;
	for (int i = 0; i < SLOTS_PER_REGION; i++)
		ck_assert(slots_reserve(&client.slots, &others[i]));
	broker_client_offer(&client, &conn, false);
	hear_nothing();
	ck_assert_int_eq(conn.slot, -1);
	ck_assert(!conn.has_broker_dup);
	broker_client_end(&client);
	broker_client_offer(&client, &conn, false);
	ck_assert(!conn.has_broker_dup);
}
END_TEST

START_TEST(a_broker_that_is_behind)
{
	struct conn before;
	unsigned n = 0;

	be_connected();
	for (;;) {
		conn.fd = BROKERS;
		conn.has_broker_dup = false;
		broker_client_offer(&client, &conn, false);
		if (!conn.has_broker_dup)
			break;
		slots_free(&client.slots, &conn);
		ck_assert_uint_lt(++n, 100000);
	}
	/* As if there were no broker. */
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(conn.slot, -1);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	broker_client_looked(&client, &destination.key);
	ck_assert_int_eq(lease(), -EAGAIN);
	before = conn;
	broker_client_drop(&client, &conn);
	ck_assert_int_eq(conn.slot, -1);
	ck_assert_int_eq(slots_state(region, (unsigned)before.slot, before.slot_generation), SLOT_FREE);
}
END_TEST

START_TEST(a_drop)
{
	struct broker_request heard;
	struct conn before;

	be_connected();
	broker_client_drop(&client, &conn);
	hear_nothing();
	ck_assert(slots_reserve(&client.slots, &conn));
	before = conn;
	broker_client_drop(&client, &conn);
	heard = hear(sizeof(heard), false).request;
	ck_assert_uint_eq(heard.head.type, BROKER_DROP);
	ck_assert_uint_eq(heard.slot, (uint64_t)before.slot);
	ck_assert_uint_eq(heard.generation, before.slot_generation);
	ck_assert_int_eq(conn.slot, -1);
	ck_assert_int_eq(slots_state(region, (unsigned)before.slot, before.slot_generation), SLOT_FREE);
}
END_TEST

START_TEST(a_look_and_cries_for_room)
{
	struct broker_request heard;

	be_connected();
	if (_i < 2)
		broker_client_relieve(&client, &destination.key, _i);
	else
		broker_client_looked(&client, &destination.key);
	heard = hear(sizeof(heard), false).request;
	ck_assert_uint_eq(heard.head.type, _i < 2 ? BROKER_RELIEVE : BROKER_LOOKED);
	ck_assert_uint_eq(heard.head.flags, _i == 1 ? BROKER_JUST_ONE : 0);
	ck_assert_mem_eq(&heard.key, &destination.key, sizeof(heard.key));
}
END_TEST

static void answer_ticket(uint32_t status, uint64_t number, int fd)
{
	struct broker_reply reply = {.head = broker_wire_head(BROKER_ANSWER, 0, status), .ticket = number};

	say(&reply, sizeof(reply), fd);
}

START_TEST(a_ticket)
{
	int lent = fake_wire_memory(7), fd;
	struct broker_request asked;
	uint64_t number = 0;

	be_connected();
	client.number = 9;
	ck_assert(slots_reserve(&client.slots, &conn));
	ck_assert_int_eq(broker_client_ask_ticket(&client, OURS, &conn, 3, _i), 0);
	asked = hear(sizeof(asked), false).request;
	ck_assert_uint_eq(asked.head.type, BROKER_TICKET);
	ck_assert_uint_eq(asked.head.flags, _i ? BROKER_IS_FORCED : 0);
	ck_assert_uint_eq(asked.slot, (uint64_t)conn.slot);
	ck_assert_uint_eq(asked.generation, conn.slot_generation);
	ck_assert_uint_eq(asked.ticket, 9);
	ck_assert_uint_eq(asked.max_conns, 3);
	ck_assert_mem_eq(&asked.key, &destination.key, sizeof(asked.key));
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), -EAGAIN);
	answer_ticket(BROKER_QUEUED, 0, -1);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), BROKER_QUEUED);
	answer_ticket(BROKER_NONE, 4711, -1);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), BROKER_LEAVE);
	ck_assert_uint_eq(number, 4711);
	ck_assert_int_eq(fd, -1);
	answer_ticket(BROKER_DIAL, 0, -1);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), BROKER_DIAL);
	answer_ticket(BROKER_GIVEN, 0, lent);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), BROKER_GIVEN);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 7);
	ck_assert_uint_eq(fake_wire.n_polled, 0);
	close(fd);
	close(lent);
	check_no_fd_more();
}
END_TEST

/* None of them leaves a descriptor behind. */
START_TEST(answers_to_a_ticket_that_contradict_themselves)
{
	static const uint32_t STATUSES[] = {BROKER_NONE,    BROKER_DIAL,  BROKER_QUEUED,
					    BROKER_UNHEARD, BROKER_UNFIT, BROKER_LEAVE};
	struct broker_head head = broker_wire_head(BROKER_HELD, 0, 0);
	int lent = fake_wire_memory(1), fd;
	uint64_t number = 0;

	be_connected();
	for (unsigned i = 0; i < sizeof(STATUSES) / sizeof(STATUSES[0]); i++) {
		answer_ticket(STATUSES[i], 1, lent);
		ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), -EPROTO);
		ck_assert_int_eq(fd, -1);
		ck_assert_uint_eq(fake_wire_n_fds(), n_fds_before + 1);
	}
	answer_ticket(BROKER_GIVEN, 1, -1);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), -EMFILE);
	say(&head, sizeof(head), lent);
	ck_assert_int_eq(broker_client_read_ticket(&client, OURS, &number, &fd), -ECONNRESET);
	close(lent);
	check_no_fd_more();
}
END_TEST

START_TEST(after_an_end_one_can_begin_again)
{
	be_connected();
	ck_assert(slots_reserve(&client.slots, &conn));
	slots_publish(&client.slots, &conn);
	broker_client_end(&client);
	ck_assert_int_eq(conn.slot, -1);
	/* The inherited state is unchanged. */
	ck_assert_int_eq(slots_state(region, 0, 1), SLOT_IDLE);
	munmap(region, sizeof(*region));
	be_connected();
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
}
END_TEST

Suite *broker_client_suite(void)
{
	Suite *suite = suite_create("broker_client");
	TCase *tcase = tcase_create("begin");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_loop_test(tcase, hello, 0, 2);
	tcase_add_loop_test(tcase, first_question, 0, 2);
	tcase_add_test(tcase, a_name_too_long);
	tcase_add_loop_test(tcase, a_broker_of_another_version, 0, 2);
	tcase_add_test(tcase, silence_at_the_beginning);
	tcase_add_loop_test(tcase, garbage_for_a_welcome, 0, 4);
	tcase_add_test(tcase, a_welcome_without_memory);
	tcase_add_loop_test(tcase, first_answers, 0, 7);
	tcase_add_test(tcase, a_first_connection_that_nobody_takes);
	tcase_add_loop_test(tcase, a_welcome_with_something_else, 0, 3);
	tcase_add_loop_test(tcase, a_broker_that_goes, 0, 3);
	tcase_add_test(tcase, after_an_end_one_can_begin_again);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("lease and offer");
	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, a_lease);
	tcase_add_test(tcase, an_answer_in_time);
	tcase_add_test(tcase, silence);
	tcase_add_test(tcase, interrupted_and_failing_waits);
	tcase_add_test(tcase, stale_answers_are_passed_over);
	tcase_add_test(tcase, stale_answers_take_no_more_time);
	tcase_add_loop_test(tcase, answers_that_contradict_themselves, 0, 9);
	tcase_add_test(tcase, garbage_for_an_answer);
	tcase_add_loop_test(tcase, an_offer, 0, 2);
	tcase_add_test(tcase, no_offer);
	tcase_add_test(tcase, a_broker_that_is_behind);
	tcase_add_test(tcase, a_drop);
	tcase_add_loop_test(tcase, a_look_and_cries_for_room, 0, 3);
	tcase_add_loop_test(tcase, a_ticket, 0, 2);
	tcase_add_test(tcase, answers_to_a_ticket_that_contradict_themselves);
	suite_add_tcase(suite, tcase);
	return suite;
}
