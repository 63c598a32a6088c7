/* The layer of sessions (shim/kept/sessions.h) that TLS is. */
#include "shim/kept/sessions.h"
#include "shim/tls/libgnutls.h"
#include "shim/tls/libssl.h"
#include "shim/tls/offline.h"
#include "shim/tls/wire.h"

static void *open_session(int fd)
{
	return wire_open(fd);
}

static int descriptor_of(const void *session)
{
	return ((const struct wire *)session)->state_fd;
}

static bool take_farewell(void *session, struct pool_farewell *farewell)
{
	return wire_take_farewell(session, farewell);
}

static void end_session(void *session)
{
	wire_put(session);
}

static bool is_any_library_loaded(void)
{
	return libssl_bind() || libgnutls_bind();
}

/* Of a priority of its own: those of one priority are called together, without the arguments that init() needs. */
__attribute__((constructor(101))) static void announce(void)
{
	static const struct session_layer layer = {.open = open_session,
						   .descriptor = descriptor_of,
						   .take_farewell = take_farewell,
						   .end = end_session,
						   .can_be_used = is_any_library_loaded,
						   .take_first = offline_take_first};

	session_layer = &layer;
}
