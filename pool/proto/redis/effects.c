/* Effects of commands on their connection, as far as the answers confirm them. See framing.h. */
#include <string.h>

#include "pool/proto/redis/private.h"

static bool is_word(const struct redis *redis, unsigned index, const char *word)
{
	size_t length = strlen(word);

	return redis->word_lengths[index] == length && memcmp(redis->words[index], word, length) == 0;
}

/* The outcome of the newest command is awaited. False: there are too many, and it has to be supposed. */
static bool note(struct redis *redis, enum redis_note what)
{
	if (redis->n_outcomes == REDIS_NOTES)
		return false;
	redis->outcomes[redis->n_outcomes++] = (struct redis_outcome){.at = redis->n_sent, .note = what};
	return true;
}

static void note_client(struct redis *redis)
{
	if (is_word(redis, 1, "MAINT_NOTIFICATIONS")) {
		if (!note(redis, REDIS_NOTE_MAINTENANCE))
			redis_doubt(redis, REFUSAL_REFUSED_COMMAND);
		return;
	}
	switch (redis_class_of_client(redis->words[1], redis->word_lengths[1])) {
	case REDIS_REFUSED:
		redis_doubt(redis, REFUSAL_REFUSED_COMMAND);
		break;
	case REDIS_LEAVES:
		redis->has_left_state = true;
		if (is_word(redis, 1, "SETNAME") && !note(redis, REDIS_NOTE_NAME))
			redis->has_named_itself = true;
		break;
	default:
		/* Where the server knows no SETINFO nothing is left of it. */
		if (is_word(redis, 1, "SETINFO") && !note(redis, REDIS_NOTE_LIBRARY))
			redis->has_named_library = redis->has_left_state = true;
		break;
	}
}

/* HELLO may carry AUTH and SETNAME. */
static void note_login(struct redis *redis)
{
	redis->has_left_state = true;
	if (is_word(redis, 0, "AUTH") || redis->n_arguments > 2)
		redis->has_authenticated = true;
}

void redis_note_command(struct redis *redis)
{
	enum redis_class class = redis_class_of(redis->words[0], redis->word_lengths[0]);

	redis->n_sent++;
	switch (class) {
	case REDIS_PLAIN:
		break;
	case REDIS_LEAVES:
		redis->has_left_state = true;
		break;
	case REDIS_RUNS:
		redis->has_left_state = redis->ran_foreign_code = true;
		break;
	case REDIS_LOGS_IN:
		note_login(redis);
		break;
	case REDIS_WAITS:
		redis->began_waiting |= redis->n_sent == 1;
		break;
	case REDIS_MULTI:
		redis->in_transaction = true;
		break;
	case REDIS_END_MULTI:
		if (redis->n_arguments == 1)
			(void)note(redis, REDIS_NOTE_END_OF_MULTI);
		break;
	case REDIS_CLIENT:
		note_client(redis);
		break;
	case REDIS_QUITS: /* behind others: the server's end is near */
		redis_doubt(redis, REFUSAL_CLIENT_CLOSE);
		break;
	case REDIS_REFUSED:
		redis_doubt(redis, REFUSAL_REFUSED_COMMAND);
		break;
	}
}

static bool begins_with(const struct redis *redis, const char *text)
{
	size_t length = strlen(text);

	return redis->text_length >= length && memcmp(redis->text, text, length) == 0;
}

static void confirm(struct redis *redis, enum redis_note what)
{
	/* An aborted transaction is over, too. */
	bool is_done = !redis->reply_is_error;

	switch (what) {
	case REDIS_NOTE_LIBRARY:
		redis->has_named_library |= is_done;
		redis->has_left_state |= is_done;
		break;
	case REDIS_NOTE_NAME:
		redis->has_named_itself |= is_done;
		break;
	case REDIS_NOTE_MAINTENANCE:
		if (is_done)
			redis_doubt(redis, REFUSAL_REFUSED_COMMAND);
		break;
	case REDIS_NOTE_END_OF_MULTI:
		if (is_done || begins_with(redis, "EXECABORT "))
			redis->in_transaction = false;
		break;
	}
}

void redis_note_answer(struct redis *redis)
{
	if (redis->n_answered == redis->n_sent) {
		redis->has_surplus = true;
		redis_lose(redis, begins_with(redis, "ERR max number of clients") ? REFUSAL_SERVER_CLOSE
										  : REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->n_answered++;
	if (redis->reply_is_error && (begins_with(redis, "NOAUTH ") || begins_with(redis, "NOPERM ")))
		redis->is_restricted = true;
	/* The server closes after these. */
	if (redis->reply_is_error && begins_with(redis, "ERR Protocol error"))
		redis_doubt(redis, REFUSAL_NOT_CANONICAL);
	if (redis->reply_is_error && begins_with(redis, "ERR max number of clients"))
		redis_doubt(redis, REFUSAL_SERVER_CLOSE);
	if (!redis->n_outcomes || redis->outcomes[0].at != redis->n_answered)
		return;
	confirm(redis, redis->outcomes[0].note);
	redis->n_outcomes--;
	memmove(redis->outcomes, redis->outcomes + 1, redis->n_outcomes * sizeof(redis->outcomes[0]));
}

/* Which command it will be decides, and for some the rest of it. */
static bool is_undecided(const struct redis *redis)
{
	if (redis->request_phase == REDIS_REQUEST_BETWEEN || redis->n_sent)
		return false;
	if (!redis->argument)
		return true;
	switch (redis_class_of(redis->words[0], redis->word_lengths[0])) {
	case REDIS_WAITS:
	case REDIS_CLIENT:
	case REDIS_QUITS:
	case REDIS_REFUSED:
		return true;
	case REDIS_PLAIN:
	case REDIS_LEAVES:
	case REDIS_RUNS:
	case REDIS_LOGS_IN:
	case REDIS_MULTI:
	case REDIS_END_MULTI:
		break;
	}
	return false;
}

bool redis_wants_fresh(const struct redis *redis)
{
	return redis->began_waiting || redis->doubt != REFUSAL_NONE || is_undecided(redis);
}

bool redis_is_goodbye(const struct redis *redis, const char *bytes, size_t length)
{
	struct redis scratch = *redis;

	if (!redis_is_settled(redis) || redis->doubt != REFUSAL_NONE)
		return false;
	redis_feed_request(&scratch, bytes, length);
	return !scratch.is_lost && scratch.request_phase == REDIS_REQUEST_BETWEEN &&
	       scratch.n_sent == redis->n_sent + 1 && is_word(&scratch, 0, "QUIT") && scratch.n_arguments == 1;
}
