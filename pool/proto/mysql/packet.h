/* One direction's packets; see framing.h. */
#pragma once

#include "pool/proto/mysql/framing.h"

/* Takes bytes, at most up to the end of a packet. Returns how many; *is_done: with the end of one that does not go on
 * in the next. */
size_t mysql_packet_take(struct mysql_packet *packet, const uint8_t *bytes, size_t length, bool *is_done);

static inline bool mysql_packet_is_between(const struct mysql_packet *packet)
{
	return !packet->n_head && !packet->goes_on;
}

/* A place in a packet's bytes. Behind the end all is 0, and `is_short` set. */
struct mysql_reader {
	const uint8_t *at, *end;
	bool is_short;
};

/* A number of so many bytes, the lowest first. */
uint64_t mysql_read_number(struct mysql_reader *reader, unsigned n_bytes);

/* A number that says itself how long it is. */
uint64_t mysql_read_lenenc(struct mysql_reader *reader);

/* So many bytes; NULL where there are not so many. */
const uint8_t *mysql_read_bytes(struct mysql_reader *reader, uint64_t length);

/* Up to a zero byte, which is passed. */
const uint8_t *mysql_read_text(struct mysql_reader *reader, size_t *length);

static inline struct mysql_reader mysql_reader_of(const struct mysql_packet *packet)
{
	return (struct mysql_reader){packet->start, packet->start + packet->n_start, false};
}
