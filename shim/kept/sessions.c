/* See sessions.h. */
#include "shim/kept/sessions.h"

#include <string.h>

#include "pool/config/config.h"
#include "pool/share/client.h"
#include "shim/base/executable.h"

/* Set by `holdline run`: a number that nobody guesses, for all processes of one run. */
#define VARIABLE "HOLDLINE_RUN="
#define KIND_OF_USER 1
#define KIND_OF_LOGIN UINT64_C(0x6c6f67696e) /* none of another layer is like it */

const struct session_layer *session_layer;

static uint64_t kind, run; /* immutable after init; 0: none */
static bool are_wanted, index_authorities, refuse_h2;

void sessions_init(const struct config *config, char *const environment[])
{
	are_wanted = config->policy.tls == CONFIG_TLS_REUSE;
	for (unsigned i = 0; i < config->n_rules; i++)
		are_wanted |= config->rules[i].policy.tls == CONFIG_TLS_REUSE;
	refuse_h2 = are_wanted && config->tls_h2 == CONFIG_TLS_H2_REFUSE;
	index_authorities = are_wanted && config->ca_cache;
	run = 0;
	for (; !run && environment && *environment; environment++)
		if (**environment == *VARIABLE && strncmp(*environment, VARIABLE, sizeof(VARIABLE) - 1) == 0 &&
		    (*environment)[sizeof(VARIABLE) - 1])
			run = broker_client_program_number(*environment, strlen(*environment));
	kind = config->tls_share == CONFIG_TLS_SHARE_USER ? KIND_OF_USER : run;
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

uint64_t sessions_login_kind(enum config_mysql_share share)
{
	uint64_t with = share == CONFIG_MYSQL_SHARE_USER ? KIND_OF_USER : share == CONFIG_MYSQL_SHARE_RUN ? run : 0;

	return with ? with ^ KIND_OF_LOGIN ^ executable_number() ^ executable_script_number() : 0;
}
