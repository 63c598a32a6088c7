/* Packets of processes: the introduction, other versions, descriptors, the list; and what happens without memory. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/fake/broker.h"

static struct fake_process a, b, c;
static struct conn one, two, three;

static void start(void)
{
	fake_broker_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

static void park_one_at(struct fake_process *process, unsigned destination)
{
	fake_process_dial(&one, destination);
	fake_process_park(process, &one);
	ck_assert_ptr_nonnull(fake_broker_find(&one));
}

/* A connection that the broker holds, idle in process a. */
static void park_one(void)
{
	park_one_at(&a, 1);
}

START_TEST(hello_comes_once_and_first)
{
	static struct fake_process new;
	static union broker_packet packet;
	static const enum broker_message TYPES[] = {BROKER_LEASE, BROKER_PARK, BROKER_DROP, BROKER_LOOKED,
						    BROKER_RELIEVE};

	new.process = broker_admit(&fake_broker, 5, 6);
	for (int i = 0; i < 5; i++) {
		packet.request = (struct broker_request){.head = broker_wire_head(TYPES[i], 0, 0),
							 .key = fake_broker_destination(1)->key};
		ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.request),
						   i == 1 ? fake_socket_new() : -1, i == 1),
				 -EPROTO);
		ck_assert_uint_eq(fake_broker_out.length, 0);
	}
	packet.head = broker_wire_head(BROKER_LIST, 0, 0);
	ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.head), -1, 0), 0);
	packet.hello = (struct broker_hello){.head = broker_wire_head(BROKER_HELLO, 0, 0)};
	memset(packet.hello.name, 'x', sizeof(packet.hello.name));
	ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.hello), -1, 0), 0);
	ck_assert_mem_eq(new.process->name, "xxxxxxxxxxxxxxx\0", BROKER_NAME_MAX);
	ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.hello), -1, 0), -EPROTO);
	fake_process_end(&new); /* the region's descriptor was not passed on */
}
END_TEST

START_TEST(another_version_is_told_ours)
{
	static struct fake_process new;
	union broker_packet packet = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, 0)}};

	new.process = broker_admit(&fake_broker, 5, 6);
	packet.head.version ^= 1;
	ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.hello), -1, 0), -EPROTONOSUPPORT);
	ck_assert_uint_eq(fake_broker_out.length, sizeof(packet.head));
	ck_assert_uint_eq(fake_broker_out.packet.head.type, BROKER_WELCOME);
	ck_assert_int_eq(fake_broker_out.memory, -1);
	ck_assert_int_eq(fake_broker_out.passed, -1);
	fake_process_end(&new);
}
END_TEST

START_TEST(descriptors_of_bad_packets_are_closed)
{
	static union broker_packet packet;
	int fd;

	fake_process_dial(&one, 1);
	for (uint32_t type = 0; type < BROKER_LISTED + 2; type++) {
		for (size_t length = 0; length <= sizeof(packet); length += 8) {
			if ((type == BROKER_PARK || type == BROKER_SESSION) && length == sizeof(packet.request))
				continue;
			packet.request = (struct broker_request){.head = broker_wire_head(type, 0, 0),
								 .key = fake_broker_destination(1)->key};
			fd = fake_socket_duplicate(one.fd);
			ck_assert_int_eq(fake_process_send(&a, &packet, length, fd, 1), -EPROTO);
			ck_assert(!fake_socket(fd)->is_open);
		}
	}
	/* Of several descriptors the receiver has closed all but one. */
	packet.request.head.type = BROKER_PARK;
	fd = fake_socket_duplicate(one.fd);
	ck_assert_int_eq(fake_process_send(&a, &packet, sizeof(packet.request), fd, 2), -EPROTO);
	ck_assert(!fake_socket(fd)->is_open);
	/* One was sent, but found no room in the broker's table. */
	ck_assert_int_eq(fake_process_send(&a, &packet, sizeof(packet.request), -1, 1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(no_memory)
{
	static struct fake_process new;
	union broker_packet packet = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, 0)}};
	struct conn conns[2];
	unsigned n_failed = 0;

	/* For a region. */
	new.process = broker_admit(&fake_broker, 5, 6);
	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert_int_eq(fake_process_send(&new, &packet, sizeof(packet.hello), -1, 0), -ENOMEM);
	ck_assert_uint_eq(fake_broker_out.length, 0);
	fake_process_end(&new);
	/* For a destination, its table, the table's buckets, an object. */
	for (unsigned i = 1; i <= 4; i++) {
		fake_process_dial(&one, 1);
		fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
		fake_process_park(&a, &one);
		n_failed += !fake_broker_find(&one);
		fake_sys_fail(FAKE_CALL_MAP, 1, 0, 0);
		fake_process_close(&a, &one);
	}
	ck_assert_uint_ge(n_failed, 1);
	fake_process_dial(&conns[0], 1);
	fake_process_park(&a, &conns[0]);
	ck_assert_ptr_nonnull(fake_broker_find(&conns[0]));
	/* For the next process. */
	fake_sys_fail(FAKE_CALL_MAP, 1, 1000, ENOMEM);
	for (unsigned i = 0; i < 50; i++)
		if (!broker_admit(&fake_broker, 5, 6))
			n_failed = 100;
	ck_assert_uint_eq(n_failed, 100);
	for (unsigned i = 0; i < 250; i++) {
		two = (struct conn){.fd = -1, .destination = fake_broker_destination(i)};
		ck_assert_int_eq(fake_process_request(&b, BROKER_LOOKED, 0, &two, -1), 0);
	}
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
}
END_TEST

START_TEST(a_list_for_people)
{
	struct held *cursor = NULL;
	struct broker_held packet;

	ck_assert(!broker_list(&fake_broker, &cursor, &packet));
	park_one();
	fake_kernel.now_ns += 2 * SECOND;
	fake_process_dial(&two, 2);
	fake_process_park(&b, &two);
	fake_process_claim(&b, &two);
	fake_process_dial(&three, 3);
	fake_process_park(&c, &three);
	fake_process_end(&c);
	fake_kernel.now_ns += SECOND;
	cursor = NULL;
	ck_assert(broker_list(&fake_broker, &cursor, &packet));
	ck_assert_uint_eq(packet.head.type, BROKER_HELD);
	ck_assert_mem_eq(&packet.key, &one.destination->key, sizeof(packet.key));
	ck_assert_uint_eq(packet.idle_ns, 3 * SECOND);
	ck_assert_uint_eq(packet.age_ns, 3 * SECOND);
	ck_assert_uint_eq(packet.n_requests, 1);
	ck_assert_uint_eq(packet.is_idle, 1);
	ck_assert_uint_eq(packet.pid, (uint32_t)a.pid);
	ck_assert_str_eq(packet.name, "a");
	ck_assert(broker_list(&fake_broker, &cursor, &packet));
	ck_assert_uint_eq(packet.is_idle, 0);
	ck_assert_str_eq(packet.name, "b");
	ck_assert(broker_list(&fake_broker, &cursor, &packet));
	ck_assert_uint_eq(packet.is_idle, 1);
	ck_assert_uint_eq(packet.pid, 0);
	ck_assert_str_eq(packet.name, "c");
	ck_assert(!broker_list(&fake_broker, &cursor, &packet));
}
END_TEST

Suite *broker_packets_suite(void)
{
	Suite *suite = suite_create("broker_packets");
	TCase *tcase = tcase_create("packets");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, hello_comes_once_and_first);
	tcase_add_test(tcase, another_version_is_told_ours);
	tcase_add_test(tcase, descriptors_of_bad_packets_are_closed);
	tcase_add_test(tcase, no_memory);
	tcase_add_test(tcase, a_list_for_people);
	suite_add_tcase(suite, tcase);
	return suite;
}
