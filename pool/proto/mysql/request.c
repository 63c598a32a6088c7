/* The client's packets; see framing.h. */
#include <string.h>

#include "pool/proto/mysql/packet.h"
#include "pool/proto/mysql/private.h"

enum command {
	COM_QUIT = 0x01,
	COM_INIT_DB = 0x02,
	COM_QUERY = 0x03,
	COM_FIELD_LIST = 0x04,
	COM_CREATE_DB = 0x05,
	COM_DROP_DB = 0x06,
	COM_REFRESH = 0x07,
	COM_STATISTICS = 0x09,
	COM_PROCESS_INFO = 0x0a,
	COM_PROCESS_KILL = 0x0c,
	COM_DEBUG = 0x0d,
	COM_PING = 0x0e,
	COM_STMT_PREPARE = 0x16,
	COM_STMT_EXECUTE = 0x17,
	COM_STMT_SEND_LONG_DATA = 0x18,
	COM_STMT_CLOSE = 0x19,
	COM_STMT_RESET = 0x1a,
	COM_SET_OPTION = 0x1b,
	COM_STMT_FETCH = 0x1c,
	COM_RESET_CONNECTION = 0x1f,
	COM_STMT_BULK_EXECUTE = 0xfa,
};

/* MYSQL_NOTHING: it is none of those that can be undone and whose reply is known. */
static enum mysql_expect expect_after(unsigned command)
{
	switch (command) {
	case COM_QUERY:
	case COM_STMT_EXECUTE:
	case COM_PROCESS_INFO:
	case COM_STMT_BULK_EXECUTE:
		return MYSQL_FIRST;
	case COM_STMT_PREPARE:
		return MYSQL_PREPARED;
	case COM_STMT_FETCH:
		return MYSQL_ROW;
	case COM_FIELD_LIST:
		return MYSQL_FIELDS;
	case COM_INIT_DB:
	case COM_CREATE_DB:
	case COM_DROP_DB:
	case COM_REFRESH:
	case COM_STATISTICS:
	case COM_PROCESS_KILL:
	case COM_DEBUG:
	case COM_PING:
	case COM_STMT_RESET:
	case COM_SET_OPTION:
	case COM_RESET_CONNECTION:
		return MYSQL_ONE;
	default:
		return MYSQL_NOTHING;
	}
}

/* XA: a transaction may outlive its connection. */
static bool is_distributed(const struct mysql_packet *packet)
{
	unsigned i = 1;

	while (i < packet->n_start &&
	       (packet->start[i] == ' ' || (packet->start[i] >= '\t' && packet->start[i] <= '\r')))
		i++;
	return i + 2 < packet->n_start && (packet->start[i] | 0x20) == 'x' && (packet->start[i + 1] | 0x20) == 'a' &&
	       packet->start[i + 2] <= ' ';
}

static void begin_command(struct mysql *mysql)
{
	const struct mysql_packet *packet = &mysql->out;
	unsigned command = packet->n_start ? packet->start[0] : 0;
	enum mysql_expect expect = expect_after(command);

	if (command == COM_STMT_SEND_LONG_DATA || command == COM_STMT_CLOSE)
		return;
	if (command == COM_QUIT)
		mysql_doubt(mysql, REFUSAL_CLIENT_CLOSE);
	else if (expect == MYSQL_NOTHING || mysql->expect != MYSQL_NOTHING)
		mysql_lose(mysql, REFUSAL_REFUSED_COMMAND);
	if (expect == MYSQL_NOTHING || mysql->is_lost)
		return;
	if (command == COM_QUERY && is_distributed(packet))
		mysql_doubt(mysql, REFUSAL_REFUSED_COMMAND);
	if (command == COM_SET_OPTION && packet->n_start > 1)
		mysql->allows_several = packet->start[1] == 0;
	mysql->expect = expect;
	mysql->in_reply = false;
	mysql->n_sent++;
}

/* The client's first packet: what it is able to. */
static void read_capabilities(struct mysql *mysql)
{
	struct mysql_reader reader = mysql_reader_of(&mysql->out);
	struct login *login = &mysql->login;

	login->capabilities = (uint32_t)mysql_read_number(&reader, 4);
	login->max_packet = (uint32_t)mysql_read_number(&reader, 4);
	mysql_read_bytes(&reader, 20);
	login->extended = (uint32_t)mysql_read_number(&reader, 4);
	mysql->allows_several = login->capabilities & MYSQL_MULTI_STATEMENTS;
	if (reader.is_short || !(login->capabilities & MYSQL_PROTOCOL_41))
		mysql_lose(mysql, REFUSAL_UNKNOWN_PROTOCOL);
	else if (login->capabilities & MYSQL_SSL)
		mysql_lose(mysql, REFUSAL_TLS_OPAQUE);
	else if (login->capabilities & (MYSQL_COMPRESS | MYSQL_ZSTD) || mysql->out.length > MYSQL_LOGIN_MAX)
		mysql_lose(mysql, REFUSAL_REFUSED_COMMAND);
}

/* The answer to a greeting, or to a question about it, is nobody's business any more. */
static void forget(struct mysql_packet *packet)
{
	explicit_bzero(packet->start, sizeof(packet->start));
	packet->n_start = 0;
}

static void end_packet(struct mysql *mysql)
{
	if (mysql->stage == MYSQL_COMMANDS && mysql->expect == MYSQL_FILE) {
		if (!mysql->out.length)
			mysql->expect = MYSQL_FIRST;
	} else if (mysql->stage == MYSQL_COMMANDS) {
		begin_command(mysql);
	} else if (!mysql->has_answered_greeting) {
		mysql->has_answered_greeting = true;
		mysql->n_sent++;
		read_capabilities(mysql);
	}
	if (mysql->stage == MYSQL_LOGIN)
		forget(&mysql->out);
}

void mysql_feed_request(struct mysql *mysql, const char *bytes, size_t length)
{
	size_t i = 0;
	bool is_done;

	if (mysql->stage == MYSQL_GREETING && length)
		mysql_lose(mysql, REFUSAL_UNKNOWN_PROTOCOL);
	while (i < length && !mysql->is_lost) {
		i += mysql_packet_take(&mysql->out, (const uint8_t *)bytes + i, length - i, &is_done);
		if (is_done)
			end_packet(mysql);
	}
}
