/*
 * What a store of OpenSSL finds of a bundle of authorities: authorities WAY BUNDLE LEAF [EXTRA]. LEAF is verified,
 * with what is behind it in its file as intermediate ones. WAY: `verify`; `list` (all that is in the store, before and
 * after); `locked` (likewise, as Python does); `copies`; `twice` (the bundle is loaded again); `before`, `after`
 * (EXTRA's certificates are added one by one); `files` (EXTRA is loaded as well); `folder`, `folder-first` (EXTRA is a
 * folder of authorities); `subject` (the store is asked for the leaf's issuer); `threads`; `contexts` (50 of them);
 * `count` (of what really is in the store).
 */
#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char *way;
static X509_STORE *shared;
static const char *leaf_path;

static int is_way(const char *name)
{
	return strcmp(way, name) == 0;
}

static void show_name(const char *what, const X509 *certificate)
{
	char name[300];

	X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof(name));
	printf("%s %s\n", what, name);
}

static STACK_OF(X509) * read_all(const char *path)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *file = BIO_new_file(path, "r");
	X509 *one;

	while (file && (one = PEM_read_bio_X509(file, NULL, NULL, NULL)))
		sk_X509_push(all, one);
	BIO_free(file);
	ERR_clear_error();
	return all;
}

static void add_all(X509_STORE *store, const char *path)
{
	STACK_OF(X509) *all = read_all(path);

	for (int i = 0; i < sk_X509_num(all); i++)
		printf("added: %d\n", X509_STORE_add_cert(store, sk_X509_value(all, i)));
	sk_X509_pop_free(all, X509_free);
}

/* The verdict, and the chain. `out` NULL: nothing is printed. */
static int verify(X509_STORE *store, FILE *out)
{
	STACK_OF(X509) *all = read_all(leaf_path), *chain;
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int result;

	X509_STORE_CTX_init(context, store, sk_X509_value(all, 0), all);
	result = X509_verify_cert(context);
	chain = X509_STORE_CTX_get0_chain(context);
	if (out) {
		fprintf(out, "verified: %d, %s at %d\n", result,
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)),
			X509_STORE_CTX_get_error_depth(context));
		for (int i = 0; i < sk_X509_num(chain); i++) {
			show_name("chain:", sk_X509_value(chain, i));
			fprintf(out, "serial: %ld\n",
				(long)X509_NAME_hash_ex(X509_get_issuer_name(sk_X509_value(chain, i)), NULL, NULL,
							NULL));
		}
	}
	X509_STORE_CTX_free(context);
	sk_X509_pop_free(all, X509_free);
	return result;
}

static int compare_names(const X509_OBJECT *const *one, const X509_OBJECT *const *other)
{
	const X509 *first = X509_OBJECT_get0_X509(*one), *second = X509_OBJECT_get0_X509(*other);

	return first && second ? X509_cmp(first, second) : (first != NULL) - (second != NULL);
}

static void list(X509_STORE *store)
{
	STACK_OF(X509_OBJECT) * all;

	if (is_way("locked"))
		X509_STORE_lock(store);
	all = sk_X509_OBJECT_dup(X509_STORE_get0_objects(store));
	if (is_way("locked"))
		X509_STORE_unlock(store);
	sk_X509_OBJECT_set_cmp_func(all, compare_names);
	sk_X509_OBJECT_sort(all);
	printf("in the store: %d\n", sk_X509_OBJECT_num(all));
	for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
		if (X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)))
			show_name("has", X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)));
	sk_X509_OBJECT_free(all);
}

static void copy(X509_STORE *store)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(store);

	printf("copies: %d\n", sk_X509_num(all));
	sk_X509_pop_free(all, X509_free);
}

static void ask_for_issuer(X509_STORE *store)
{
	STACK_OF(X509) *all = read_all(leaf_path), *found;
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_NAME *name = X509_get_issuer_name(sk_X509_value(all, 0));
	X509_OBJECT *object = X509_OBJECT_new();
	X509 *issuer = NULL;

	X509_STORE_CTX_init(context, store, NULL, NULL);
	found = X509_STORE_CTX_get1_certs(context, name);
	printf("of that name: %d\n", found ? sk_X509_num(found) : 0);
	printf("object: %d\n", X509_STORE_CTX_get_by_subject(context, X509_LU_X509, name, object));
	if (X509_OBJECT_get0_X509(object))
		show_name("object", X509_OBJECT_get0_X509(object));
	printf("list: %d\n", X509_STORE_CTX_get_by_subject(context, X509_LU_CRL, name, object));
	printf("issuer: %d\n", X509_STORE_CTX_get1_issuer(&issuer, context, sk_X509_value(all, 0)));
	X509_free(issuer);
	X509_OBJECT_free(object);
	sk_X509_pop_free(found, X509_free);
	X509_STORE_CTX_free(context);
	sk_X509_pop_free(all, X509_free);
}

static void *verify_often(void *unused)
{
	int n = 0;

	(void)unused;
	for (int i = 0; i < 50; i++)
		n += verify(shared, NULL);
	return (void *)(long)n;
}

static void verify_in_threads(X509_STORE *store)
{
	pthread_t threads[8];
	void *n;

	shared = store;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, verify_often, NULL);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &n);
		printf("thread: %ld\n", (long)n);
	}
}

static void verify_with_contexts(const char *bundle)
{
	int n = 0;

	for (int i = 0; i < 50; i++) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());

		SSL_CTX_load_verify_file(context, bundle);
		n += verify(SSL_CTX_get_cert_store(context), NULL);
		SSL_CTX_free(context);
	}
	printf("contexts: %d\n", n);
}

/* Past whoever has put himself in between. */
static void count(X509_STORE *store)
{
	STACK_OF(X509_OBJECT) * (*get)(const X509_STORE *) =
		dlsym(dlopen("libcrypto.so.3", RTLD_NOLOAD | RTLD_NOW), "X509_STORE_get0_objects");

	printf("%d\n", sk_X509_OBJECT_num(get(store)));
}

static void load(SSL_CTX *context, const char *path)
{
	int result = SSL_CTX_load_verify_file(context, path);

	printf("loaded: %d %s\n", result, result ? "" : ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	const char *bundle = argv[2], *extra = argc > 4 ? argv[4] : NULL;

	way = argv[1];
	leaf_path = argv[3];
	if (is_way("count")) {
		SSL_CTX_load_verify_file(context, bundle);
		verify(store, NULL);
		count(store);
		return 0;
	}
	if (is_way("before"))
		add_all(store, extra);
	if (is_way("folder-first"))
		printf("folder: %d\n", SSL_CTX_load_verify_dir(context, extra));
	load(context, bundle);
	if (is_way("after"))
		add_all(store, extra);
	if (is_way("twice"))
		load(context, bundle);
	if (is_way("files"))
		load(context, extra);
	if (is_way("folder"))
		printf("folder: %d\n", SSL_CTX_load_verify_dir(context, extra));
	if (is_way("list") || is_way("locked"))
		list(store);
	if (is_way("copies"))
		copy(store);
	if (is_way("subject"))
		ask_for_issuer(store);
	if (is_way("threads"))
		verify_in_threads(store);
	if (is_way("contexts"))
		verify_with_contexts(bundle);
	verify(store, stdout);
	list(store);
	SSL_CTX_free(context);
	return 0;
}
