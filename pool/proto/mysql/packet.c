/* See packet.h. */
#include "pool/proto/mysql/packet.h"

#include <string.h>

static size_t take_head(struct mysql_packet *packet, const uint8_t *bytes, size_t length)
{
	size_t n = 0;

	while (packet->n_head < MYSQL_HEAD && n < length)
		packet->head[packet->n_head++] = bytes[n++];
	if (packet->n_head == MYSQL_HEAD && n) {
		packet->length = packet->head[0] | (uint32_t)packet->head[1] << 8 | (uint32_t)packet->head[2] << 16;
		packet->left = packet->length;
		packet->was_long = packet->goes_on;
		if (!packet->goes_on)
			packet->n_start = 0;
	}
	return n;
}

static void keep_start(struct mysql_packet *packet, const uint8_t *bytes, size_t length)
{
	size_t room = MYSQL_START - packet->n_start;

	if (length > room)
		length = room;
	memcpy(packet->start + packet->n_start, bytes, length);
	packet->n_start = (uint8_t)(packet->n_start + length);
}

size_t mysql_packet_take(struct mysql_packet *packet, const uint8_t *bytes, size_t length, bool *is_done)
{
	size_t n = 0, part;

	*is_done = false;
	if (packet->n_head < MYSQL_HEAD)
		n = take_head(packet, bytes, length);
	if (packet->n_head < MYSQL_HEAD)
		return n;
	part = packet->left < length - n ? packet->left : length - n;
	keep_start(packet, bytes + n, part);
	packet->left -= (uint32_t)part;
	if (!packet->left) {
		packet->n_head = 0;
		packet->goes_on = packet->length == MYSQL_LONGEST;
		*is_done = !packet->goes_on;
	}
	return n + part;
}

const uint8_t *mysql_read_bytes(struct mysql_reader *reader, uint64_t length)
{
	const uint8_t *at = reader->at;

	if (reader->is_short || length > (uint64_t)(reader->end - reader->at)) {
		reader->is_short = true;
		return NULL;
	}
	reader->at += length;
	return at;
}

uint64_t mysql_read_number(struct mysql_reader *reader, unsigned n_bytes)
{
	const uint8_t *bytes = mysql_read_bytes(reader, n_bytes);
	uint64_t number = 0;

	while (bytes && n_bytes)
		number = number << 8 | bytes[--n_bytes];
	return number;
}

uint64_t mysql_read_lenenc(struct mysql_reader *reader)
{
	uint64_t first = mysql_read_number(reader, 1);

	switch (first) {
	case 0xfc:
		return mysql_read_number(reader, 2);
	case 0xfd:
		return mysql_read_number(reader, 3);
	case 0xfe:
		return mysql_read_number(reader, 8);
	default:
		return first;
	}
}

const uint8_t *mysql_read_text(struct mysql_reader *reader, size_t *length)
{
	const uint8_t *at = reader->at;
	const uint8_t *zero = reader->is_short ? NULL : memchr(at, 0, (size_t)(reader->end - at));

	*length = zero ? (size_t)(zero - at) : 0;
	if (!zero) {
		reader->is_short = true;
		return NULL;
	}
	reader->at = zero + 1;
	return at;
}
