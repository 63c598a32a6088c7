/* See login.h. */
#include "pool/proto/mysql/login.h"

#include <string.h>

#include "pool/proto/mysql/packet.h"

#define COM_CHANGE_USER 0x11
#define ASKS_FOR_OTHER 0xfe
#define SALT_HEAD 8u /* so many of its bytes come first */
static const char native[] = "mysql_native_password";

size_t mysql_packet_length(const uint8_t *bytes, size_t length)
{
	size_t whole;

	if (length < MYSQL_HEAD)
		return 0;
	whole = MYSQL_HEAD + (bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16);
	return whole <= length ? whole : 0;
}

static struct mysql_reader reader_of(const uint8_t *packet, size_t length)
{
	if (length < MYSQL_HEAD)
		return (struct mysql_reader){packet, packet, true};
	return (struct mysql_reader){packet + MYSQL_HEAD, packet + length, false};
}

static bool is_native_name(const uint8_t *name, size_t length)
{
	return name && length == sizeof(native) - 1 && memcmp(name, native, length) == 0;
}

/* As MySQL's of 5.7.3, MariaDB's of 10.2.4. What can't be read is older. */
static bool has_reset(const uint8_t *version, size_t length)
{
	static const char prefix[] = "5.5.5-"; /* MariaDB's, for old replicas */
	bool is_mariadb = length > sizeof(prefix) - 1 && memcmp(version, prefix, sizeof(prefix) - 1) == 0;
	uint32_t parts[3] = {0}, number;
	size_t at = is_mariadb ? sizeof(prefix) - 1 : 0;

	for (int i = 0; i < 3; i++, at++)
		for (; at < length && version[at] >= '0' && version[at] <= '9' && parts[i] < 100; at++)
			parts[i] = parts[i] * 10 + version[at] - '0';
	number = parts[0] << 20 | parts[1] << 10 | parts[2];
	return number >= (is_mariadb ? 10u << 20 | 2u << 10 | 4u : 5u << 20 | 7u << 10 | 3u);
}

bool mysql_read_greeting(const uint8_t *packet, size_t length, struct mysql_greeting *greeting)
{
	struct mysql_reader reader = reader_of(packet, length);
	const uint8_t *head, *rest, *plugin, *version;
	size_t n = 0, n_version;
	uint32_t capabilities;

	if (mysql_packet_length(packet, length) != length || mysql_read_number(&reader, 1) != 10)
		return false;
	version = mysql_read_text(&reader, &n_version);
	mysql_read_number(&reader, 4);
	head = mysql_read_bytes(&reader, SALT_HEAD);
	mysql_read_number(&reader, 1);
	capabilities = (uint32_t)mysql_read_number(&reader, 2);
	mysql_read_number(&reader, 3);
	capabilities |= (uint32_t)mysql_read_number(&reader, 2) << 16;
	mysql_read_bytes(&reader, 1 + 6);
	greeting->extended = (uint32_t)mysql_read_number(&reader, 4);
	rest = mysql_read_bytes(&reader, MYSQL_SALT - SALT_HEAD + 1);
	if (reader.is_short || !(capabilities & MYSQL_SECURE_CONNECTION))
		return false;
	plugin = capabilities & MYSQL_PLUGIN_AUTH ? mysql_read_text(&reader, &n) : NULL;
	memcpy(greeting->salt, head, SALT_HEAD);
	memcpy(greeting->salt + SALT_HEAD, rest, MYSQL_SALT - SALT_HEAD);
	greeting->capabilities = capabilities;
	greeting->has_reset = has_reset(version, n_version);
	greeting->offers_tls = capabilities & MYSQL_SSL;
	greeting->is_native = is_native_name(plugin, n);
	return !reader.is_short;
}

bool mysql_read_response(const uint8_t *packet, size_t length, struct mysql_response *response)
{
	struct mysql_reader reader = reader_of(packet, length);
	const uint8_t *fixed = mysql_read_bytes(&reader, sizeof(response->fixed));
	struct mysql_reader parts;

	if (!fixed || mysql_packet_length(packet, length) != length)
		return false;
	memset(response, 0, sizeof(*response));
	memcpy(response->fixed, fixed, sizeof(response->fixed));
	parts = (struct mysql_reader){fixed, fixed + sizeof(response->fixed), false};
	response->login.capabilities = (uint32_t)mysql_read_number(&parts, 4);
	response->login.max_packet = (uint32_t)mysql_read_number(&parts, 4);
	response->character_set = (uint8_t)mysql_read_number(&parts, 1);
	mysql_read_bytes(&parts, 19);
	response->login.extended = (uint32_t)mysql_read_number(&parts, 4);
	if (!(response->login.capabilities & MYSQL_PROTOCOL_41) || response->login.capabilities & MYSQL_SSL ||
	    !(response->login.capabilities & MYSQL_SECURE_CONNECTION))
		return false;
	response->user.at = mysql_read_text(&reader, &response->user.length);
	response->scramble.length = response->login.capabilities & MYSQL_LENENC_AUTH
					    ? (size_t)mysql_read_lenenc(&reader)
					    : (size_t)mysql_read_number(&reader, 1);
	response->scramble.at = mysql_read_bytes(&reader, response->scramble.length);
	if (response->login.capabilities & MYSQL_CONNECT_WITH_DB)
		response->database.at = mysql_read_text(&reader, &response->database.length);
	if (response->login.capabilities & MYSQL_PLUGIN_AUTH)
		response->plugin.at = mysql_read_text(&reader, &response->plugin.length);
	response->attributes = (struct mysql_bytes){reader.at, (size_t)(reader.end - reader.at)};
	return !reader.is_short;
}

/* Those that node-mysql (since 2.15.0) says by default: no other client says all three, since they are about what goes
 * on in itself. */
#define NODE_MYSQL ((uint32_t)MYSQL_ODBC | MYSQL_IGNORE_SPACE | MYSQL_IGNORE_SIGPIPE)

bool mysql_can_be_asked(uint32_t capabilities)
{
	return (capabilities & MYSQL_SECURE_CONNECTION) &&
	       ((capabilities & MYSQL_PLUGIN_AUTH) || (capabilities & NODE_MYSQL) == NODE_MYSQL);
}

/* A login that names no plugin uses this one. */
static bool uses_native(const struct mysql_response *response)
{
	return !(response->login.capabilities & MYSQL_PLUGIN_AUTH) ||
	       is_native_name(response->plugin.at, response->plugin.length);
}

/* MariaDB takes these off at a login, but not at a change of user. */
static bool is_quoted(const struct mysql_bytes *name)
{
	return name->length > 1 && name->at[0] == '\'' && name->at[name->length - 1] == '\'';
}

bool mysql_response_is_native(const struct mysql_response *response)
{
	return mysql_can_be_asked(response->login.capabilities) && uses_native(response) &&
	       !is_quoted(&response->user) &&
	       (response->scramble.length == MYSQL_SCRAMBLE || !response->scramble.length);
}

uint64_t mysql_user_number(const struct mysql_response *response)
{
	uint64_t number = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < response->user.length; i++)
		number = (number ^ response->user.at[i]) * UINT64_C(0x100000001b3);
	return number | 1;
}

bool mysql_asks_for_same(const uint8_t *packet, size_t length, const struct mysql_greeting *greeting)
{
	struct mysql_reader reader = reader_of(packet, length);
	const uint8_t *plugin, *salt;
	size_t n;

	if (mysql_read_number(&reader, 1) != ASKS_FOR_OTHER)
		return false;
	plugin = mysql_read_text(&reader, &n);
	salt = mysql_read_bytes(&reader, MYSQL_SALT);
	return is_native_name(plugin, n) && salt && memcmp(salt, greeting->salt, MYSQL_SALT) == 0;
}

/* Where a packet is written. */
struct writer {
	uint8_t *begin, *at, *end;
	bool is_short;
};

static struct writer write_begin(uint8_t *to, size_t room)
{
	bool is_short = room < MYSQL_HEAD;

	return (struct writer){to, is_short ? to : to + MYSQL_HEAD, to + room, is_short};
}

static void write_bytes(struct writer *writer, const void *bytes, size_t length)
{
	if (writer->is_short || length > (size_t)(writer->end - writer->at)) {
		writer->is_short = true;
		return;
	}
	if (length)
		memcpy(writer->at, bytes, length);
	writer->at += length;
}

static void write_byte(struct writer *writer, uint8_t byte)
{
	write_bytes(writer, &byte, 1);
}

static void write_text(struct writer *writer, struct mysql_bytes text)
{
	write_bytes(writer, text.at, text.length);
	write_byte(writer, 0);
}

static size_t write_end(struct writer *writer, uint8_t number)
{
	size_t length;

	if (writer->is_short)
		return 0;
	length = (size_t)(writer->at - writer->begin) - MYSQL_HEAD;
	writer->begin[0] = (uint8_t)length;
	writer->begin[1] = (uint8_t)(length >> 8);
	writer->begin[2] = (uint8_t)(length >> 16);
	writer->begin[3] = number;
	return length + MYSQL_HEAD;
}

size_t mysql_write_change_user(const struct mysql_response *response, uint8_t *to, size_t room)
{
	struct writer writer = write_begin(to, room);

	write_byte(&writer, COM_CHANGE_USER);
	write_text(&writer, response->user);
	write_byte(&writer, (uint8_t)response->scramble.length);
	write_bytes(&writer, response->scramble.at, response->scramble.length);
	write_text(&writer, response->database);
	write_byte(&writer, response->character_set);
	write_byte(&writer, 0);
	if (response->login.capabilities & MYSQL_PLUGIN_AUTH)
		write_text(&writer, response->plugin);
	write_bytes(&writer, response->attributes.at, response->attributes.length);
	return write_end(&writer, 0);
}

size_t mysql_write_answer(struct mysql_bytes scramble, uint8_t number, uint8_t *to, size_t room)
{
	struct writer writer = write_begin(to, room);

	write_bytes(&writer, scramble.at, scramble.length);
	return write_end(&writer, number);
}

size_t mysql_write_switch(const struct mysql_greeting *greeting, uint8_t number, uint8_t *to, size_t room)
{
	struct writer writer = write_begin(to, room);

	write_byte(&writer, ASKS_FOR_OTHER);
	write_bytes(&writer, native, sizeof(native));
	write_bytes(&writer, greeting->salt, MYSQL_SALT);
	write_byte(&writer, 0);
	return write_end(&writer, number);
}

size_t mysql_write_response(const struct mysql_response *response, struct mysql_bytes scramble, uint8_t *to,
			    size_t room)
{
	struct writer writer = write_begin(to, room);

	write_bytes(&writer, response->fixed, sizeof(response->fixed));
	write_text(&writer, response->user);
	/* Short enough to say its length in one byte, in either way. */
	write_byte(&writer, (uint8_t)scramble.length);
	write_bytes(&writer, scramble.at, scramble.length);
	if (response->login.capabilities & MYSQL_CONNECT_WITH_DB)
		write_text(&writer, response->database);
	if (response->login.capabilities & MYSQL_PLUGIN_AUTH)
		write_bytes(&writer, native, sizeof(native));
	write_bytes(&writer, response->attributes.at, response->attributes.length);
	return write_end(&writer, 1);
}
