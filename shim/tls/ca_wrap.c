/* The functions of libcrypto that are interposed for files of certificate authorities (ca_store.h). */
#include <stddef.h>

#include "shim/base/export.h"
#include "shim/kept/sessions.h"
#include "shim/tls/ca_store.h"
#include "shim/tls/function.h"
#include "shim/tls/libssl.h"

STACK_OF(X509_OBJECT) * X509_STORE_get1_objects(X509_STORE *store); /* OpenSSL 3.3 */

static bool is_wanted(void)
{
	return sessions_index_authorities() && libssl_bind();
}

/* libcrypto calls it by its table of imports, as all that makes way for what is added. */
static bool is_file_of_authorities(const void *return_address, const char *path, int type, const void *context,
				   const char *properties)
{
	return is_wanted() && type == X509_FILETYPE_PEM && path && !context && !properties &&
	       libssl_has_called_crypto(return_address);
}

EXPORT int X509_load_cert_crl_file_ex(X509_LOOKUP *lookup, const char *path, int type, OSSL_LIB_CTX *context,
				      const char *properties)
{
	__typeof__(&X509_load_cert_crl_file_ex) load = FUNCTION(X509_load_cert_crl_file_ex);
	struct ca_file *file;

	if (!load)
		return 0;
	if (is_file_of_authorities(__builtin_return_address(0), path, type, context, properties) &&
	    (file = ca_file_open(path))) {
		int n = (int)ca_file_count(file);

		if (ca_store_add(libssl.X509_LOOKUP_get_store(lookup), file))
			return n;
		ca_file_close(file);
	}
	return load(lookup, path, type, context, properties);
}

EXPORT int X509_STORE_add_cert(X509_STORE *store, X509 *certificate)
{
	__typeof__(&X509_STORE_add_cert) add = FUNCTION(X509_STORE_add_cert);

	if (is_wanted())
		ca_store_make_way(store, certificate);
	return add ? add(store, certificate) : 0;
}

EXPORT X509_LOOKUP *X509_STORE_add_lookup(X509_STORE *store, X509_LOOKUP_METHOD *method)
{
	__typeof__(&X509_STORE_add_lookup) add = FUNCTION(X509_STORE_add_lookup);

	if (is_wanted())
		ca_store_note_lookup(store, method);
	return add ? add(store, method) : NULL;
}

EXPORT STACK_OF(X509_OBJECT) * X509_STORE_get0_objects(const X509_STORE *store)
{
	__typeof__(&X509_STORE_get0_objects) get = FUNCTION(X509_STORE_get0_objects);

	/* libcrypto asks for them with the lock held, when ca_store_complete() has been called already. */
	if (is_wanted() && !libssl_has_called_crypto(__builtin_return_address(0)))
		ca_store_complete((X509_STORE *)store);
	return get ? get(store) : NULL;
}

EXPORT STACK_OF(X509_OBJECT) * X509_STORE_get1_objects(X509_STORE *store)
{
	__typeof__(&X509_STORE_get1_objects) get = FUNCTION(X509_STORE_get1_objects);

	if (is_wanted())
		ca_store_complete(store);
	return get ? get(store) : NULL;
}

EXPORT STACK_OF(X509) * X509_STORE_get1_all_certs(X509_STORE *store)
{
	__typeof__(&X509_STORE_get1_all_certs) get = FUNCTION(X509_STORE_get1_all_certs);

	if (is_wanted())
		ca_store_complete(store);
	return get ? get(store) : NULL;
}

/* A program that locks a store is about to look at all of it. */
EXPORT int X509_STORE_lock(X509_STORE *store)
{
	__typeof__(&X509_STORE_lock) lock = FUNCTION(X509_STORE_lock);

	if (is_wanted() && !libssl_has_called_crypto(__builtin_return_address(0)))
		ca_store_complete(store);
	return lock ? lock(store) : 0;
}
