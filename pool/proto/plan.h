/*
 * The words of framing for any protocol: how bytes begin, and the edits that they need on their way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Classes of the first bytes of a connection (or of a request). */
enum framing_first {
	FRAMING_FIRST_PARTIAL, /* a proper prefix of something that we know: undecided */
	FRAMING_FIRST_SAFE, /* of a request that may be sent twice. HTTP: GET, HEAD, OPTIONS, TRACE (RFC 9110 9.2.1) */
	FRAMING_FIRST_UNSAFE,  /* of another request */
	FRAMING_FIRST_UNKNOWN, /* not this protocol */
};

#define FRAMING_MAX_EDITS 8

/* One range of a buffer to overwrite. Offsets are relative to the buffer that was fed. */
struct framing_edit {
	uint32_t offset;
	uint32_t length;
};

/* The edits of one buffer; made by feeding it, carried out by pool/exchange. All zero means none. */
struct framing_plan {
	unsigned n_edits; /* request: blank the protocol's `wish`. Answer: write it, padded with spaces */
	struct framing_edit edits[FRAMING_MAX_EDITS];
	bool insert; /* request: put the protocol's `insertion` ... Answer: `end_field`, where that is possible */
	uint32_t insert_offset; /* ... here */
};
