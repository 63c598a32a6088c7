/* See farewell.h. */
#include "pool/tls/farewell.h"

#include <string.h>

#include "pool/tls/state.h"

#define ALERT_WARNING 1
#define ALERT_CLOSE_NOTIFY 0

void tls_farewell_seal(struct tls_state *shared, struct tls_seal *seal, uint16_t epoch)
{
	static const uint8_t notify[] = {ALERT_WARNING, ALERT_CLOSE_NOTIFY};
	const struct tls_content content = {.type = TLS_ALERT, .length = sizeof(notify)};
	struct tls_farewell farewell = {0};
	uint8_t record[sizeof(farewell.record)];
	uint64_t number;

	if (tls_state_peek_number(shared, epoch, &farewell.number)) {
		number = farewell.number & TLS_NUMBER_MASK;
		farewell.length = (uint16_t)tls_record_seal(seal, number, shared->explicit_base + number, notify,
							    &content, record);
	}
	_Static_assert(sizeof(farewell.record) >=
			       TLS_HEADER_LENGTH + TLS_EXPLICIT_NONCE + sizeof(notify) + 1 + TLS_TAG_LENGTH,
		       "there is room for the longest");
	memcpy(farewell.record, record, farewell.length);
	shared->farewell = farewell;
}

bool tls_farewell_take(struct tls_state *shared, struct pool_farewell *farewell)
{
	struct tls_farewell said;

	memcpy(&said, &shared->farewell, sizeof(said));
	if (!said.length || said.length > sizeof(said.record) || !tls_state_take_this_number(shared, said.number))
		return false;
	_Static_assert(sizeof(farewell->bytes) >= sizeof(said.record), "it has room for it");
	farewell->length = said.length;
	memcpy(farewell->bytes, said.record, said.length);
	return true;
}
