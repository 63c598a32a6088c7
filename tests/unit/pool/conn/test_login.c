/* What programs were seen to do at logins. */
#include <check.h>
#include <string.h>

#include "pool/conn/login.h"
#include "pool/conn/login_memory.h"

static const struct login plain = {.capabilities = 0x8a205, .max_packet = 1 << 24},
			  with_database = {.capabilities = 0x8a20d, .max_packet = 1 << 24},
			  other = {.capabilities = 0x8a207, .max_packet = 1 << 24},
			  shorter = {.capabilities = 0x8a205, .max_packet = 1 << 20},
			  extended = {.capabilities = 0x8a205, .max_packet = 1 << 24, .extended = 4};

START_TEST(clients_of_one_kind)
{
	ck_assert(login_is_alike(&plain, &plain));
	ck_assert(login_is_alike(&plain, &with_database));
	ck_assert(!login_is_alike(&plain, &other));
	ck_assert(!login_is_alike(&plain, &shorter));
	ck_assert(!login_is_alike(&plain, &extended));
}
END_TEST

START_TEST(the_next_is_expected_to_be_like_the_last)
{
	struct login_habits habits = {0};

	ck_assert(!login_habits_expect(&habits, 1, &plain));
	ck_assert_uint_eq(login_habits_note(&habits, 1, &plain), 0);
	ck_assert(login_habits_expect(&habits, 1, &with_database));
	ck_assert(!login_habits_expect(&habits, 1, &other));
	ck_assert(!login_habits_expect(&habits, 2, &plain));
	ck_assert_uint_eq(login_habits_note(&habits, 1, &plain), 1);
	/* From now on nothing is. */
	ck_assert_uint_eq(login_habits_note(&habits, 1, &other), 2);
	ck_assert(!login_habits_expect(&habits, 1, &plain));
	ck_assert(!login_habits_expect(&habits, 1, &other));
}
END_TEST

START_TEST(where_tls_is_offered_it_takes_longer)
{
	struct login_habits habits = {0};
	struct login offered = plain;

	offered.offers_tls = true;
	for (unsigned i = 0; i < LOGIN_PLAIN_ENOUGH; i++) {
		ck_assert(!login_habits_expect(&habits, 1, &offered));
		login_habits_note(&habits, 1, &offered);
	}
	ck_assert(login_habits_expect(&habits, 1, &offered));
}
END_TEST

START_TEST(the_oldest_place_and_user_give_way)
{
	struct login_habits habits = {0};

	for (uint64_t who = 1; who <= LOGIN_SITES + 1; who++)
		login_habits_note(&habits, who, &plain);
	ck_assert(!login_habits_expect(&habits, 1, &plain));
	ck_assert(login_habits_expect(&habits, 2, &plain));
	ck_assert(login_habits_expect(&habits, LOGIN_SITES + 1, &plain));
	for (uint64_t user = 1; user <= LOGIN_USERS + 1; user++) {
		ck_assert(!login_habits_know_user(&habits, user));
		login_habits_note_user(&habits, user);
		login_habits_note_user(&habits, user);
		ck_assert(login_habits_know_user(&habits, user));
	}
	ck_assert(!login_habits_know_user(&habits, 1));
	ck_assert(login_habits_know_user(&habits, 2));
}
END_TEST

START_TEST(who_was_never_seen_may_be_like_anybody)
{
	struct login_habits habits = {0};

	ck_assert(login_habits_allow(&habits, 1, &plain));
	login_habits_note(&habits, 1, &plain);
	ck_assert(login_habits_allow(&habits, 1, &with_database));
	ck_assert(!login_habits_allow(&habits, 1, &other));
	ck_assert(login_habits_allow(&habits, 2, &other));
	login_habits_note(&habits, 1, &other);
	ck_assert(!login_habits_allow(&habits, 1, &plain));
}
END_TEST

START_TEST(it_goes_to_other_processes)
{
	struct login login = extended, read;
	struct pool_farewell farewell;
	struct login_memory memory;

	login.greeting_length = 3;
	memcpy(login.greeting, "abc", 3);
	login.goodbye_length = 2;
	memcpy(login.goodbye, "xy", 2);
	login_memory_write(&memory, &login);
	ck_assert(login_memory_read(&memory, &read));
	ck_assert(login_is_alike(&read, &login) && !read.offers_tls && read.greeting_length == 3);
	ck_assert_mem_eq(read.greeting, "abc", 3);
	ck_assert(login_memory_farewell(&memory, &farewell));
	ck_assert_uint_eq(farewell.length, 2);
	ck_assert_mem_eq(farewell.bytes, "xy", 2);
}
END_TEST

/* What another process may have written there. */
START_TEST(it_is_looked_at_with_suspicion)
{
	struct login_memory memory, changed;
	struct pool_farewell farewell;
	struct login login = plain;

	login.greeting_length = LOGIN_GREETING_MAX;
	login.goodbye_length = LOGIN_GOODBYE_MAX;
	login_memory_write(&memory, &login);
	ck_assert(login_memory_read(&memory, &login));
	changed = memory;
	changed.magic++;
	ck_assert(!login_memory_read(&changed, &login) && !login_memory_farewell(&changed, &farewell));
	changed = memory;
	changed.greeting_length++;
	ck_assert(!login_memory_read(&changed, &login));
	changed.greeting_length = 0;
	ck_assert(!login_memory_read(&changed, &login));
	changed = memory;
	changed.goodbye_length++;
	ck_assert(!login_memory_read(&changed, &login) && !login_memory_farewell(&changed, &farewell));
	changed = memory;
	changed.offers_tls = 0xff;
	ck_assert(login_memory_read(&changed, &login) && login.offers_tls == true);
}
END_TEST

Suite *login_suite(void)
{
	Suite *suite = suite_create("login");
	TCase *all = tcase_create("all");

	tcase_add_test(all, clients_of_one_kind);
	tcase_add_test(all, the_next_is_expected_to_be_like_the_last);
	tcase_add_test(all, where_tls_is_offered_it_takes_longer);
	tcase_add_test(all, the_oldest_place_and_user_give_way);
	tcase_add_test(all, who_was_never_seen_may_be_like_anybody);
	tcase_add_test(all, it_goes_to_other_processes);
	tcase_add_test(all, it_is_looked_at_with_suspicion);
	suite_add_tcase(suite, all);
	return suite;
}
