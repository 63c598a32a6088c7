/* The end of a recorded handshake: its connection gets the wire of its first program, or is none to be kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/refusal.h"
#include "pool/tls/state.h"

struct handshake;

/* What a handshake is concluded with: facts of the library. */
struct recording_facts {
	enum refusal why_not;  /* REFUSAL_NONE: as far as the library can tell, it can be repeated */
	bool asks_certificate; /* the server asked for one, if the library knows */
	bool has_client_certificate;
	uint8_t leaf[TLS_DIGEST_LENGTH];
};

/* The last bytes of a recorded handshake are in the program's hands, and about to be sent. */
void recording_note_last_flight(struct handshake *handshake, const uint8_t *bytes, size_t length);

/* The recorded handshake has succeeded: its connection is one that can be kept. Or why it can't, and it is native from
 * here on. */
void recording_conclude(struct handshake *handshake, const struct recording_facts *facts);
