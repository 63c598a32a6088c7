/* See ca_store.h. */
#include "shim/tls/ca_store.h"

#include <stdatomic.h>
#include <string.h>

#include "pool/tls/certificate.h"

/* One file of a store. */
struct binding {
	struct binding *next;
	struct ca_file *file;
	_Atomic(bool) is_added[]; /* each of its certificates */
};

/* A name, in both of its forms. */
struct subject {
	const X509_NAME *name;
	bool has_fingerprint;
	uint64_t fingerprint;
};

static _Atomic(int) store_index; /* where a store keeps its bindings; 0: there is none yet */
static _Atomic(int) other_index; /* ... and that it looks elsewhere first */
static _Atomic(X509_LOOKUP_METHOD *) method;

static void free_bindings(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argument, void *more)
{
	struct binding *binding = pointer, *next;

	(void)parent;
	(void)data;
	(void)index;
	(void)argument;
	(void)more;
	for (; binding; binding = next) {
		next = binding->next;
		ca_file_close(binding->file);
		libssl.CRYPTO_free(binding, "", 0);
	}
}

static struct binding *bindings_of(const X509_STORE *store)
{
	return store_index > 0 ? libssl.X509_STORE_get_ex_data(store, store_index) : NULL;
}

static void add(X509_STORE *store, struct binding *binding, size_t index)
{
	const struct tls_bundle_entry *entry = ca_file_entry(binding->file, index);
	const unsigned char *bytes = ca_file_bytes(binding->file, entry->at);
	X509 *certificate = libssl.d2i_X509(NULL, &bytes, entry->length);

	if (certificate)
		libssl.X509_STORE_add_cert(store, certificate);
	libssl.X509_free(certificate);
	atomic_store(&binding->is_added[index], true);
}

static struct subject subject_of(const X509_NAME *name)
{
	struct subject subject = {.name = name};
	unsigned char *bytes = NULL;
	int length = libssl.i2d_X509_NAME(name, &bytes);

	if (length > 0)
		subject.has_fingerprint = tls_name_fingerprint(bytes, (size_t)length, &subject.fingerprint);
	libssl.CRYPTO_free(bytes, "", 0);
	return subject;
}

/* As the store compares names (X509_NAME_cmp(3)). */
static bool is_of(const struct ca_file *file, const struct tls_bundle_entry *entry, const struct subject *subject)
{
	const unsigned char *bytes = ca_file_bytes(file, entry->subject);
	X509_NAME *name;
	bool is_equal;

	if (subject->has_fingerprint && subject->fingerprint != entry->fingerprint)
		return false;
	name = libssl.d2i_X509_NAME(NULL, &bytes, entry->subject_length);
	is_equal = name && libssl.X509_NAME_cmp(name, subject->name) == 0;
	libssl.X509_NAME_free(name);
	return is_equal;
}

/* Adds all with that subject. True: there are such. */
static bool add_all_of(X509_STORE *store, const struct subject *subject)
{
	bool is_there = false;

	for (struct binding *binding = bindings_of(store); binding; binding = binding->next)
		for (size_t i = 0; i < ca_file_count(binding->file); i++) {
			if (!is_of(binding->file, ca_file_entry(binding->file, i), subject))
				continue;
			is_there = true;
			if (!atomic_load(&binding->is_added[i]))
				add(store, binding, i);
		}
	return is_there;
}

/* What the store has of that name by now. As libcrypto's own methods, it gives away no reference. */
static int find_in(X509_STORE *store, const X509_NAME *name, X509_OBJECT *result)
{
	X509_OBJECT *object;

	libssl.X509_STORE_lock(store);
	object = libssl.X509_OBJECT_retrieve_by_subject(libssl.X509_STORE_get0_objects(store), X509_LU_X509, name);
	if (object && libssl.X509_OBJECT_set1_X509(result, libssl.X509_OBJECT_get0_X509(object)))
		libssl.X509_free(libssl.X509_OBJECT_get0_X509(object));
	libssl.X509_STORE_unlock(store);
	return object != NULL;
}

/* X509_LOOKUP_meth_set_get_by_subject(3). */
static int get_by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name, X509_OBJECT *result)
{
	X509_STORE *store = libssl.X509_LOOKUP_get_store(lookup);
	struct subject subject;

	if (type != X509_LU_X509)
		return 0;
	subject = subject_of(name);
	return add_all_of(store, &subject) && find_in(store, name, result);
}

static bool make_index(_Atomic(int) *index, CRYPTO_EX_free *free_what)
{
	int none = 0;

	if (!atomic_load(index))
		atomic_compare_exchange_strong(
			index, &none,
			libssl.CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE, 0, NULL, NULL, NULL, free_what));
	return atomic_load(index) > 0;
}

void ca_store_note_lookup(X509_STORE *store, const X509_LOOKUP_METHOD *added)
{
	static const char mark;

	/* Files are read when they are named, and never asked. */
	if (added == libssl.X509_LOOKUP_file() || !store || bindings_of(store))
		return;
	if (make_index(&other_index, NULL))
		libssl.X509_STORE_set_ex_data(store, other_index, (void *)&mark);
}

/* A folder, say, is asked before the file that is named later, though that is what the store would have first. */
static bool looks_elsewhere_first(const X509_STORE *store)
{
	return other_index > 0 && libssl.X509_STORE_get_ex_data(store, other_index);
}

static bool make_method(void)
{
	X509_LOOKUP_METHOD *made, *none = NULL;

	if (!atomic_load(&method)) {
		made = libssl.X509_LOOKUP_meth_new("Certificates of a file, by subject");
		if (made && libssl.X509_LOOKUP_meth_set_get_by_subject(made, get_by_subject))
			atomic_compare_exchange_strong(&method, &none, made);
	}
	return make_index(&store_index, free_bindings) && atomic_load(&method);
}

static bool is_among(uint64_t fingerprint, const struct ca_file *file, size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++)
		if (ca_file_entry(file, i)->fingerprint == fingerprint)
			return true;
	return false;
}

/* Names of what a store has already. */
struct present {
	uint64_t *fingerprints;
	size_t n;
	bool is_known; /* all of them have one */
};

static struct present note_present(X509_STORE *store)
{
	struct present present = {.is_known = true};
	const OPENSSL_STACK *objects;
	int n;

	libssl.X509_STORE_lock(store);
	objects = (const OPENSSL_STACK *)libssl.X509_STORE_get0_objects(store);
	n = libssl.OPENSSL_sk_num(objects);
	if (n > 0)
		present.fingerprints = libssl.CRYPTO_zalloc((size_t)n * sizeof(uint64_t), "", 0);
	for (int i = 0; i < n && present.is_known; i++) {
		const X509 *certificate = libssl.X509_OBJECT_get0_X509(libssl.OPENSSL_sk_value(objects, i));
		struct subject subject;

		if (!certificate)
			continue;
		subject = subject_of(libssl.X509_get_subject_name(certificate));
		present.is_known = subject.has_fingerprint && present.fingerprints;
		if (present.is_known)
			present.fingerprints[present.n++] = subject.fingerprint;
	}
	libssl.X509_STORE_unlock(store);
	return present;
}

/* The store looks no further where it has one of a name: so several of one name are added together, before anybody
 * looks. */
static bool is_among_others(X509_STORE *store, const struct present *present, const struct ca_file *file, size_t index)
{
	uint64_t fingerprint = ca_file_entry(file, index)->fingerprint;

	if (is_among(fingerprint, file, 0, index) || is_among(fingerprint, file, index + 1, ca_file_count(file)))
		return true;
	for (const struct binding *other = bindings_of(store); other; other = other->next)
		if (other->file != file && is_among(fingerprint, other->file, 0, ca_file_count(other->file)))
			return true;
	for (size_t i = 0; i < present->n; i++)
		if (present->fingerprints[i] == fingerprint)
			return true;
	return false;
}

static void add_those_among_others(X509_STORE *store, const struct present *present, struct binding *binding)
{
	for (size_t i = 0; i < ca_file_count(binding->file); i++) {
		uint64_t fingerprint = ca_file_entry(binding->file, i)->fingerprint;

		if (!is_among_others(store, present, binding->file, i))
			continue;
		for (struct binding *other = binding->next; other; other = other->next)
			for (size_t j = 0; j < ca_file_count(other->file); j++)
				if (ca_file_entry(other->file, j)->fingerprint == fingerprint &&
				    !atomic_load(&other->is_added[j]))
					add(store, other, j);
		add(store, binding, i);
	}
}

static struct binding *bind(X509_STORE *store, struct ca_file *file)
{
	struct binding *binding = libssl.CRYPTO_zalloc(sizeof(*binding) + ca_file_count(file), "", 0);

	if (!binding)
		return NULL;
	binding->file = file;
	binding->next = bindings_of(store);
	if (libssl.X509_STORE_add_lookup(store, atomic_load(&method)) &&
	    libssl.X509_STORE_set_ex_data(store, store_index, binding))
		return binding;
	libssl.CRYPTO_free(binding, "", 0);
	return NULL;
}

bool ca_store_add(X509_STORE *store, struct ca_file *file)
{
	struct binding *binding = NULL;
	struct present present;

	if (!store || !make_method() || looks_elsewhere_first(store))
		return false;
	present = note_present(store);
	if (present.is_known)
		binding = bind(store, file);
	if (binding)
		add_those_among_others(store, &present, binding);
	libssl.CRYPTO_free(present.fingerprints, "", 0);
	return binding != NULL;
}

void ca_store_make_way(X509_STORE *store, X509 *certificate)
{
	struct subject subject;

	if (!bindings_of(store) || !certificate)
		return;
	subject = subject_of(libssl.X509_get_subject_name(certificate));
	add_all_of(store, &subject);
}

void ca_store_complete(X509_STORE *store)
{
	for (struct binding *binding = bindings_of(store); binding; binding = binding->next)
		for (size_t i = 0; i < ca_file_count(binding->file); i++)
			if (!atomic_load(&binding->is_added[i]))
				add(store, binding, i);
}
