/* See sessions.h. */
#include "shim/kept/sessions.h"

#include <string.h>

#include "pool/config/config.h"
#include "pool/share/client.h"
#include "shim/base/executable.h"

/* Set by `holdline run`: a number that nobody guesses, for all processes of one run. */
#define VARIABLE "HOLDLINE_RUN="
#define KIND_OF_USER 1

const struct session_layer *session_layer;

static uint64_t kind; /* immutable after init */
static bool are_wanted, index_authorities, refuse_h2;

void sessions_init(const struct config *config, char *const environment[])
{
	are_wanted = config->policy.tls == CONFIG_TLS_REUSE;
	for (unsigned i = 0; i < config->n_rules; i++)
		are_wanted |= config->rules[i].policy.tls == CONFIG_TLS_REUSE;
	refuse_h2 = are_wanted && config->tls_h2 == CONFIG_TLS_H2_REFUSE;
	index_authorities = are_wanted && config->ca_cache;
	kind = config->tls_share == CONFIG_TLS_SHARE_USER ? KIND_OF_USER : 0;
	for (; !kind && environment && *environment; environment++)
		if (strncmp(*environment, VARIABLE, sizeof(VARIABLE) - 1) == 0 && (*environment)[sizeof(VARIABLE) - 1])
			kind = broker_client_program_number(*environment, strlen(*environment));
}

bool sessions_are_wanted(void)
{
	return are_wanted;
}

bool sessions_index_authorities(void)
{
	return index_authorities;
}

bool sessions_refuse_h2(void)
{
	return refuse_h2;
}

uint64_t sessions_kind(void)
{
	/* Programs of one kind ask for the same: what another one has parked would not fit. */
	return session_layer && kind ? kind ^ executable_number() : 0;
}
