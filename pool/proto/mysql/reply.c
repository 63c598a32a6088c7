/* The server's packets; see framing.h. */
#include <string.h>

#include "pool/proto/mysql/packet.h"
#include "pool/proto/mysql/private.h"

#define COM_QUIT_PACKET "\1\0\0\0\1"

enum { FIRST_OK = 0x00, FIRST_MORE = 0x01, FIRST_FILE = 0xfb, FIRST_END = 0xfe, FIRST_ERROR = 0xff };
enum { STATUS_IN_TRANSACTION = 0x1, STATUS_MORE_RESULTS = 0x8, STATUS_CURSOR = 0x40 };
#define END_LENGTH 9u /* an old-style end is shorter; a row that begins so is longer */

bool mysql_is_greeting(const char *bytes, size_t length)
{
	/* Its length, its number, its version. */
	static const uint8_t known[] = {0, 0, 0, 0, 10};

	if (!length || length > LOGIN_GREETING_MAX || (uint8_t)bytes[0] < 30)
		return false;
	if (length > sizeof(known))
		length = sizeof(known);
	return memcmp(bytes + 1, known + 1, length - 1) == 0;
}

static bool lacks_old_end(const struct mysql *mysql)
{
	return mysql->login.capabilities & MYSQL_DEPRECATE_EOF;
}

/* The server's state in an OK packet. */
static unsigned status_of_ok(const struct mysql_packet *packet)
{
	struct mysql_reader reader = mysql_reader_of(packet);

	mysql_read_number(&reader, 1);
	mysql_read_lenenc(&reader);
	mysql_read_lenenc(&reader);
	return (unsigned)mysql_read_number(&reader, 2);
}

static unsigned status_of_end(const struct mysql_packet *packet)
{
	return packet->n_start > 4 ? packet->start[3] | (unsigned)packet->start[4] << 8 : 0;
}

static enum mysql_expect after_result(struct mysql *mysql, unsigned status)
{
	mysql->in_transaction = status & STATUS_IN_TRANSACTION;
	return status & STATUS_MORE_RESULTS ? MYSQL_FIRST : MYSQL_NOTHING;
}

static enum mysql_expect begin_columns(struct mysql *mysql)
{
	struct mysql_reader reader = mysql_reader_of(&mysql->in);
	bool may_leave_out = (mysql->login.extended & MYSQL_EXTENDED_CACHE_METADATA) &&
			     !(mysql->login.capabilities & MYSQL_LONG_PASSWORD);

	mysql->columns = mysql_read_lenenc(&reader);
	if (!mysql->columns)
		mysql_lose(mysql, REFUSAL_ERROR);
	if (may_leave_out && mysql_read_number(&reader, 1) == 0 && !reader.is_short)
		return lacks_old_end(mysql) ? MYSQL_ROW : MYSQL_COLUMNS_END;
	return MYSQL_COLUMN;
}

static enum mysql_expect after_first(struct mysql *mysql, unsigned first)
{
	switch (first) {
	case FIRST_OK:
		return after_result(mysql, status_of_ok(&mysql->in));
	case FIRST_ERROR:
		return MYSQL_NOTHING;
	case FIRST_FILE:
		return MYSQL_FILE;
	default:
		return begin_columns(mysql);
	}
}

static enum mysql_expect after_row(struct mysql *mysql, unsigned first)
{
	const struct mysql_packet *packet = &mysql->in;

	if (packet->was_long)
		return MYSQL_ROW;
	if (first == FIRST_ERROR)
		return MYSQL_NOTHING;
	if (first != FIRST_END)
		return MYSQL_ROW;
	if (!lacks_old_end(mysql))
		return packet->length < END_LENGTH ? after_result(mysql, status_of_end(packet)) : MYSQL_ROW;
	return packet->length < MYSQL_LONGEST ? after_result(mysql, status_of_ok(packet)) : MYSQL_ROW;
}

static enum mysql_expect after_prepared(struct mysql *mysql, unsigned first)
{
	struct mysql_reader reader = mysql_reader_of(&mysql->in);

	if (first != FIRST_OK)
		return MYSQL_NOTHING;
	mysql_read_bytes(&reader, 5);
	mysql->columns = mysql_read_number(&reader, 2);
	mysql->parameters = mysql_read_number(&reader, 2);
	if (mysql->parameters)
		return MYSQL_PARAMETER;
	return mysql->columns ? MYSQL_PREPARED_COLUMN : MYSQL_NOTHING;
}

static enum mysql_expect after_parameters(const struct mysql *mysql)
{
	return mysql->columns ? MYSQL_PREPARED_COLUMN : MYSQL_NOTHING;
}

/* A packet of a reply is whole: what the next one is. */
static enum mysql_expect next(struct mysql *mysql, unsigned first)
{
	bool is_old_end = first == FIRST_END && mysql->in.length < END_LENGTH;

	switch (mysql->expect) {
	case MYSQL_FIRST:
		return after_first(mysql, first);
	case MYSQL_COLUMN:
		if (--mysql->columns)
			return MYSQL_COLUMN;
		return lacks_old_end(mysql) ? MYSQL_ROW : MYSQL_COLUMNS_END;
	case MYSQL_COLUMNS_END:
		return status_of_end(&mysql->in) & STATUS_CURSOR ? MYSQL_NOTHING : MYSQL_ROW;
	case MYSQL_ROW:
		return after_row(mysql, first);
	case MYSQL_PREPARED:
		return after_prepared(mysql, first);
	case MYSQL_PARAMETER:
		if (--mysql->parameters)
			return MYSQL_PARAMETER;
		return lacks_old_end(mysql) ? after_parameters(mysql) : MYSQL_PARAMETERS_END;
	case MYSQL_PARAMETERS_END:
		return after_parameters(mysql);
	case MYSQL_PREPARED_COLUMN:
		if (--mysql->columns)
			return MYSQL_PREPARED_COLUMN;
		return lacks_old_end(mysql) ? MYSQL_NOTHING : MYSQL_PREPARED_END;
	case MYSQL_FIELDS:
		return is_old_end || first == FIRST_ERROR || (first == FIRST_END && lacks_old_end(mysql))
			       ? MYSQL_NOTHING
			       : MYSQL_FIELDS;
	case MYSQL_FILE:
		/* The server has given up before the file's end, which the client may be sending yet. */
		mysql_lose(mysql, REFUSAL_ERROR);
		return MYSQL_NOTHING;
	case MYSQL_NOTHING:
	case MYSQL_PREPARED_END:
	case MYSQL_ONE:
		break;
	}
	return MYSQL_NOTHING;
}

/* How far a long statement of MariaDB has come: stands before the reply. */
static bool is_progress(const struct mysql_packet *packet)
{
	return packet->n_start > 2 && memcmp(packet->start, "\xff\xff\xff", 3) == 0;
}

static void end_of_login(struct mysql *mysql, unsigned first)
{
	if (!mysql->has_answered_greeting) {
		mysql->has_surplus = true;
		mysql_lose(mysql, REFUSAL_ERROR);
	} else if (first == FIRST_OK) {
		mysql->stage = MYSQL_COMMANDS;
		mysql->n_answered++;
	} else if (first != FIRST_END && first != FIRST_MORE) {
		mysql_lose(mysql, REFUSAL_SERVER_CLOSE);
	}
}

static void end_of_reply_packet(struct mysql *mysql, unsigned first)
{
	if (mysql->expect == MYSQL_NOTHING) {
		mysql->has_surplus = true;
		mysql_lose(mysql, first == FIRST_ERROR ? REFUSAL_SERVER_CLOSE : REFUSAL_ERROR);
		return;
	}
	if (is_progress(&mysql->in))
		return;
	mysql->in_reply = true;
	mysql->expect = next(mysql, first);
	if (mysql->expect == MYSQL_NOTHING && !mysql->is_lost) {
		mysql->in_reply = false;
		mysql->n_answered++;
	}
}

static void end_packet(struct mysql *mysql)
{
	unsigned first = mysql->in.n_start ? mysql->in.start[0] : 0x100;

	switch (mysql->stage) {
	case MYSQL_GREETING:
		mysql->stage = MYSQL_LOGIN;
		/* It may be an error: there are too many connections. */
		if (first != 10)
			mysql_lose(mysql, first == FIRST_ERROR ? REFUSAL_SERVER_CLOSE : REFUSAL_UNKNOWN_PROTOCOL);
		break;
	case MYSQL_LOGIN:
		end_of_login(mysql, first);
		break;
	case MYSQL_COMMANDS:
		end_of_reply_packet(mysql, first);
		break;
	}
}

static void keep_greeting(struct mysql *mysql, const char *bytes, size_t length)
{
	struct login *login = &mysql->login;

	if (login->greeting_length + length > LOGIN_GREETING_MAX) {
		mysql_lose(mysql, REFUSAL_UNKNOWN_PROTOCOL);
		return;
	}
	memcpy(login->greeting + login->greeting_length, bytes, length);
	login->greeting_length = (uint16_t)(login->greeting_length + length);
}

size_t mysql_feed_reply(struct mysql *mysql, const char *bytes, size_t length, bool only_one)
{
	uint64_t n_answered = mysql->n_answered;
	size_t i = 0;

	while (i < length && !mysql->is_lost) {
		bool is_done;
		size_t n = mysql_packet_take(&mysql->in, (const uint8_t *)bytes + i, length - i, &is_done);

		if (mysql->stage == MYSQL_GREETING)
			keep_greeting(mysql, bytes + i, n);
		i += n;
		if (is_done)
			end_packet(mysql);
		if (only_one && mysql->n_answered > n_answered)
			return i;
	}
	return length;
}

uint64_t mysql_known_reply(const struct mysql *mysql)
{
	bool is_inside = mysql->in.n_head == MYSQL_HEAD && mysql->in.n_start == MYSQL_START;

	return is_inside && mysql->stage == MYSQL_COMMANDS && !mysql->is_lost ? mysql->in.left : 0;
}

void mysql_pass_reply(struct mysql *mysql, uint64_t length)
{
	struct mysql_packet *packet = &mysql->in;

	if (length > mysql_known_reply(mysql) || !length)
		return;
	packet->left -= (uint32_t)length;
	if (packet->left)
		return;
	packet->n_head = 0;
	packet->goes_on = packet->length == MYSQL_LONGEST;
	if (!packet->goes_on)
		end_packet(mysql);
}

void mysql_feed_end(struct mysql *mysql)
{
	mysql->has_ended = true;
}

void mysql_init(struct mysql *mysql)
{
	memset(mysql, 0, sizeof(*mysql));
	mysql->login.goodbye_length = sizeof(COM_QUIT_PACKET) - 1;
	memcpy(mysql->login.goodbye, COM_QUIT_PACKET, sizeof(COM_QUIT_PACKET) - 1);
}

bool mysql_is_settled(const struct mysql *mysql)
{
	return mysql->stage == MYSQL_COMMANDS && mysql->expect == MYSQL_NOTHING &&
	       mysql_packet_is_between(&mysql->out) && mysql_packet_is_between(&mysql->in);
}

bool mysql_is_goodbye(const struct mysql *mysql, const char *bytes, size_t length)
{
	return length == sizeof(COM_QUIT_PACKET) - 1 && memcmp(bytes, COM_QUIT_PACKET, length) == 0 &&
	       mysql_is_settled(mysql);
}
