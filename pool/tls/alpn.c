/* See alpn.h. */
#include "pool/tls/alpn.h"

#include <string.h>

size_t tls_alpn_without_h2(const uint8_t *list, size_t length, uint8_t to[TLS_ALPN_MAX])
{
	static const uint8_t h2[] = {2, 'h', '2'};
	size_t n = 0;

	if (length > TLS_ALPN_MAX)
		return 0;
	for (size_t at = 0, next; at < length; at = next) {
		next = at + 1 + list[at];
		if (next == at + 1 || next > length)
			return 0;
		if (next - at == sizeof(h2) && memcmp(list + at, h2, sizeof(h2)) == 0)
			continue;
		memcpy(to + n, list + at, next - at);
		n += next - at;
	}
	return n < length ? n : 0;
}
