/*
 * What is known of a program's client sessions of GnuTLS. libgnutls can't begin a handshake again, so that ClientHello
 * and answers have to be known to fit before the program's session sees any of them. Therefore each session has two
 * shadows, on which each call is repeated that shapes a ClientHello: they make the handshake first, away from any
 * socket. A session with a call that can't be repeated is opaque, and native.
 *
 * A session belongs to the thread that uses it, as libgnutls wants it. No locks.
 */
#pragma once

#include <stdatomic.h>

#include "shim/tls/libgnutls.h"

#define GNUTLS_SHADOWS 2

struct handshake;

/* Who judges the certificate in the handshake. */
enum gnutls_judge {
	GNUTLS_JUDGE_CREDENTIALS, /* a function of the credentials, or nobody */
	GNUTLS_JUDGE_FUNCTION,	  /* a function of the program's */
	GNUTLS_JUDGE_LIBRARY,	  /* gnutls_session_set_verify_cert(): the shadows do as well */
};

struct gnutls_client {
	_Atomic(gnutls_session_t) session; /* NULL: the entry is free */
	gnutls_session_t shadows[GNUTLS_SHADOWS];
	unsigned flags; /* of gnutls_init() */
	bool is_opaque;
	bool has_begun; /* its handshake: nothing shapes it any more */
	bool has_own_push;
	bool has_own_timeout;
	gnutls_pull_func own_pull; /* NULL: the library's */
	enum gnutls_judge judge;
	bool judge_waits; /* the program's has not made up its mind: it is asked again */
	gnutls_certificate_verify_function *verify;
	gnutls_keylog_func keylog; /* the program's, while ours is in its place */
	bool has_keylog;
	void *resumption; /* what gnutls_session_set_data() gave it, put aside; NULL: nothing */
	size_t resumption_length;
	struct handshake *handshake; /* recorded, or played; NULL: neither */
	int fd;			     /* of its handshake */
};

/* gnutls_init() has made it. */
void gnutls_client_begin(gnutls_session_t session, unsigned flags);

/* gnutls_deinit() is about to end it. */
void gnutls_client_end(gnutls_session_t session);

/* NULL: it is none of ours. */
struct gnutls_client *gnutls_client_find(gnutls_session_t session);

/* The same for a call that shapes its ClientHello: NULL where nothing is to be repeated, or the library makes it. */
struct gnutls_client *gnutls_client_shaped(gnutls_session_t session, const void *return_address);

/* Something shapes it that can't be repeated. */
void gnutls_client_make_opaque(gnutls_session_t session, const void *return_address);

/* No session of this process can be known any more: what shapes it counts for all of them. */
extern _Atomic(bool) gnutls_client_all_opaque;

/* Some credentials have a function that finds a certificate of the client's. */
extern _Atomic(bool) gnutls_client_has_retriever;

/* gnutls_session_set_data(), put aside. Its result. */
int gnutls_client_put_aside(struct gnutls_client *client, const void *data, size_t length);

/* What was put aside is set after all, or (`is_wanted` false) given up. */
void gnutls_client_end_putting_aside(struct gnutls_client *client, bool is_wanted);

void gnutls_client_drop_shadows(struct gnutls_client *client);
