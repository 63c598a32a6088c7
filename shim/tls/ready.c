/* Records for the program; see channel.h. Apart from the rest of it, since all that a channel calls makes some. */
#include "shim/tls/channel.h"

bool channel_make_ready(struct channel *channel, enum tls_type type, const uint8_t *bytes, size_t length)
{
	struct tls_content content = {.type = (uint8_t)type, .length = (uint16_t)length};
	size_t sealed = 0;

	if (sizeof(channel->ready) - channel->ready_length >= TLS_RECORD_MAX)
		sealed = tls_record_seal(&channel->to_program, channel->n_to_program, channel->n_to_program, bytes,
					 &content, channel->ready + channel->ready_length);
	channel->n_to_program += sealed != 0;
	channel->ready_length += (uint32_t)sealed;
	return sealed != 0;
}
