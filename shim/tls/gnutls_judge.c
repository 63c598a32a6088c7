/* The program's own judgements of certificates; see gnutls.h. */
#include <stdatomic.h>

#include "shim/base/large.h"
#include "shim/tls/gnutls.h"
#include "shim/tls/gnutls_client.h"
#include "shim/tls/handshake.h"

/* Credentials with a function of the program's. One that finds no entry makes all sessions opaque. */
#define JUDGES 64u

static LARGE struct judge {
	_Atomic(gnutls_certificate_credentials_t) credentials; /* NULL: the entry is free */
	_Atomic(gnutls_certificate_verify_function *) verify;
} judges[JUDGES];

static int ask(gnutls_certificate_verify_function *verify, gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);
	struct handshake_place outer = handshake_step_in(NULL);
	int result = verify(session);

	handshake_step_out(outer);
	if (client)
		client->judge_waits = result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED;
	return result;
}

static int judge_of_session(gnutls_session_t session)
{
	struct gnutls_client *client = gnutls_client_find(session);

	return client && client->verify ? ask(client->verify, session) : GNUTLS_E_INTERNAL_ERROR;
}

static struct judge *find(gnutls_certificate_credentials_t credentials)
{
	for (unsigned i = 0; i < JUDGES; i++)
		if (atomic_load(&judges[i].credentials) == credentials)
			return &judges[i];
	return NULL;
}

static struct judge *take(gnutls_certificate_credentials_t credentials)
{
	for (unsigned i = 0; i < JUDGES; i++) {
		gnutls_certificate_credentials_t none = NULL;

		if (atomic_compare_exchange_strong(&judges[i].credentials, &none, credentials))
			return &judges[i];
	}
	return NULL;
}

static int judge_of_credentials(gnutls_session_t session)
{
	void *credentials = NULL;
	gnutls_certificate_verify_function *verify = NULL;
	struct judge *judge;

	if (libgnutls.gnutls_credentials_get(session, GNUTLS_CRD_CERTIFICATE, &credentials) < 0)
		return GNUTLS_E_INTERNAL_ERROR;
	judge = find(credentials);
	if (judge)
		verify = atomic_load(&judge->verify);
	return verify ? ask(verify, session) : GNUTLS_E_INTERNAL_ERROR;
}

void gnutls_set_session_judge(gnutls_session_t session, gnutls_certificate_verify_function *verify)
{
	struct gnutls_client *client = gnutls_client_find(session);

	if (!client) {
		libgnutls.gnutls_session_set_verify_function(session, verify);
		return;
	}
	client->verify = verify;
	client->judge = verify ? GNUTLS_JUDGE_FUNCTION : GNUTLS_JUDGE_CREDENTIALS;
	libgnutls.gnutls_session_set_verify_function(session, verify ? judge_of_session : NULL);
}

void gnutls_set_credentials_judge(gnutls_certificate_credentials_t credentials,
				  gnutls_certificate_verify_function *verify)
{
	struct judge *judge = find(credentials);

	if (!judge && verify)
		judge = take(credentials);
	if (!judge && verify)
		atomic_store(&gnutls_client_all_opaque, true);
	if (judge)
		atomic_store(&judge->verify, verify);
	libgnutls.gnutls_certificate_set_verify_function(credentials, judge && verify ? judge_of_credentials : verify);
}

void gnutls_forget_credentials(gnutls_certificate_credentials_t credentials)
{
	struct judge *judge = credentials ? find(credentials) : NULL;

	if (judge)
		atomic_store(&judge->credentials, NULL);
}
