/* See audit.h. */
#include "shim/tls/audit.h"

#ifdef HOLDLINE_CHECKED
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/tls/wire.h"

void audit_sealed(const struct wire *wire, uint64_t number)
{
	static const uint8_t salt[] = "audit";
	const char *path = getenv("HOLDLINE_TLS_AUDIT");
	bool sends_nonce = wire->suite->version == TLS_1_2 && wire->suite->cipher != TLS_CHACHA20_POLY1305;
	uint64_t name[4] = {0};
	char line[80];
	int fd = path ? libc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	wire->crypto->hmac(sizeof(name), salt, sizeof(salt), wire->state->wire_key[TLS_CLIENT].key,
			   wire->suite->key_length, (uint8_t *)name);
	snprintf(line, sizeof(line), "%016lx %016lx\n", name[0],
		 sends_nonce ? wire->state->explicit_base + number : number);
	(void)!real.write(fd, line, strlen(line));
	real.close(fd);
}
#endif
