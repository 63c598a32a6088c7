/*
 * The copy of what was sent, and how the program's own bytes are had back from it.
 */
#include "pool/exchange/replay.h"

#include <check.h>
#include <string.h>

#include "pool/proto/protocol.h"

static char memory[256];
static struct replay replay;

static void begin(void)
{
	replay = (struct replay){.block = {memory, sizeof(memory)}};
	replay_reset(&replay);
}

static void hold(const char *bytes)
{
	replay.length = (uint32_t)strlen(bytes);
	memcpy(memory, bytes, replay.length);
}

START_TEST(a_blanked_wish_comes_back)
{
	begin();
	hold("a:      \r\nb:      ");
	replay_note_blank(&replay, &http1, 3, 5);
	replay_note_blank(&replay, &http1, 13, 5);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 18);
	ck_assert_mem_eq(memory, "a: close\r\nb: close", 18);
	ck_assert(replay.is_complete);
	ck_assert_uint_eq(replay.n_edits, 0);
}
END_TEST

START_TEST(an_insertion_is_taken_out)
{
	begin();
	hold("line\r\nINSERTEDc:      ");
	replay_note_insertion(&replay, 6, 8);
	/* In the program's own bytes. */
	replay_note_blank(&replay, &http1, 9, 5);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 14);
	ck_assert_mem_eq(memory, "line\r\nc: close", 14);
	replay_undo_edits(&replay, &http1);
	ck_assert_uint_eq(replay.length, 14);
}
END_TEST

START_TEST(what_can_not_be_remembered_makes_it_useless)
{
	begin();
	for (int i = 0; i < REPLAY_MAX_EDITS; i++)
		replay_note_blank(&replay, &http1, (size_t)i * 8, 5);
	ck_assert(replay.is_complete);
	replay_note_blank(&replay, &http1, 100, 5);
	ck_assert(!replay.is_complete);
	begin();
	replay_note_blank(&replay, &http1, 3, 4); /* half a wish */
	ck_assert(!replay.is_complete);
	begin();
	replay_note_blank(&replay, &http1, UINT16_MAX + 1u, 5);
	ck_assert(!replay.is_complete);
	begin();
	replay_note_insertion(&replay, 3, 4);
	ck_assert(replay.is_complete);
	replay_note_insertion(&replay, 13, 4);
	ck_assert(!replay.is_complete);
}
END_TEST

START_TEST(who_gives_up_keeps_the_block)
{
	begin();
	hold("bytes");
	replay_note_insertion(&replay, 0, 1);
	replay_give_up(&replay);
	ck_assert(!replay.is_complete && !replay.length && !replay.inserted);
	ck_assert_ptr_eq(replay.block.bytes, memory);
	replay_reset(&replay);
	ck_assert(replay.is_complete && !replay.length);
}
END_TEST

Suite *replay_suite(void)
{
	Suite *suite = suite_create("replay");
	TCase *all = tcase_create("all");

	tcase_add_test(all, a_blanked_wish_comes_back);
	tcase_add_test(all, an_insertion_is_taken_out);
	tcase_add_test(all, what_can_not_be_remembered_makes_it_useless);
	tcase_add_test(all, who_gives_up_keeps_the_block);
	suite_add_tcase(suite, all);
	return suite;
}
