/*
 * The program's own libssl and libcrypto, version 3 of OpenSSL, found among the loaded objects when one of our wrappers
 * of theirs is first called: this library links with neither.
 *
 * Functions of them allocate: they are called where the program has called libssl itself.
 */
#pragma once

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "pool/tls/crypto.h"

/* clang-format off */
#define LIBSSL_FUNCTIONS(F) \
	F(SSL_connect) F(SSL_do_handshake) F(SSL_clear) F(SSL_get_ex_data) F(SSL_set_ex_data) F(SSL_CTX_get_ex_data) \
	F(SSL_CTX_set_ex_data) F(SSL_get_SSL_CTX) F(SSL_CTX_get_keylog_callback) F(SSL_CTX_set_keylog_callback) \
	F(SSL_is_server) F(SSL_in_before) F(SSL_get_wfd) F(SSL_get_wbio) F(SSL_get_rbio) F(SSL_get1_session) \
	F(SSL_set_session) \
	F(SSL_SESSION_free) F(SSL_session_reused) F(SSL_get0_alpn_selected) F(SSL_get_certificate) F(SSL_ctrl) \
	F(SSL_get1_peer_certificate) F(SSL_export_keying_material) F(SSL_get_finished) F(SSL_get_peer_finished) \
	F(SSL_CTX_new) F(TLS_client_method) F(SSL_CTX_set_verify) F(SSL_CTX_set_options) F(SSL_new) F(SSL_free) \
	F(SSL_set_ciphersuites) F(SSL_set_cipher_list) F(SSL_set_alpn_protos) F(SSL_set_bio) F(SSL_set_connect_state) \
	F(SSL_get_error) F(SSL_set_quiet_shutdown)

#define LIBCRYPTO_FUNCTIONS(F) \
	F(BIO_method_name) F(BIO_test_flags) F(BIO_new) F(BIO_s_mem) F(BIO_ctrl) F(BIO_read) F(BIO_write) \
	F(CRYPTO_get_ex_new_index) \
	F(ERR_set_mark) F(ERR_pop_to_mark) F(OpenSSL_version_num) F(EVP_CIPHER_CTX_new) F(EVP_CIPHER_CTX_free) \
	F(EVP_CipherInit_ex) F(EVP_CipherUpdate) F(EVP_CipherFinal_ex) F(EVP_CIPHER_CTX_ctrl) F(EVP_aes_128_gcm) \
	F(EVP_aes_256_gcm) F(EVP_chacha20_poly1305) F(HMAC) F(EVP_sha256) F(EVP_sha384) F(X509_digest) F(X509_free) \
	F(EVP_PKEY_get0_type_name) F(EVP_PKEY_todata) F(OSSL_PARAM_free) F(EVP_PKEY_CTX_new_from_name) \
	F(EVP_PKEY_fromdata_init) F(EVP_PKEY_fromdata) F(EVP_PKEY_CTX_free) F(RAND_bytes_ex) F(RAND_priv_bytes_ex) \
	F(EVP_PKEY_keygen) F(X509_load_cert_crl_file_ex) F(X509_STORE_add_cert) F(X509_STORE_get0_objects) \
	F(X509_STORE_get_ex_data) F(X509_STORE_set_ex_data) F(X509_STORE_lock) F(X509_STORE_unlock) \
	F(X509_STORE_add_lookup) F(X509_LOOKUP_file) F(X509_LOOKUP_meth_new) F(X509_LOOKUP_meth_set_get_by_subject) \
	F(X509_LOOKUP_get_store) F(X509_OBJECT_get0_X509) F(X509_OBJECT_set1_X509) \
	F(X509_OBJECT_retrieve_by_subject) F(X509_get_subject_name) F(X509_NAME_cmp) F(X509_NAME_free) \
	F(i2d_X509_NAME) F(d2i_X509_NAME) F(d2i_X509) F(OPENSSL_sk_num) F(OPENSSL_sk_value) F(CRYPTO_zalloc) \
	F(CRYPTO_free)
/* clang-format on */

#define LIBSSL_MEMBER(name) __typeof__(&(name)) name;

/* NULL where it was not found. */
struct libssl {
	LIBSSL_FUNCTIONS(LIBSSL_MEMBER)
	LIBCRYPTO_FUNCTIONS(LIBSSL_MEMBER)
};

extern struct libssl libssl;

/* Binds what is loaded. True if all of it is there, once: one libssl, one libcrypto. Looks again when objects have been
 * loaded. No lock, no memory. */
bool libssl_bind(void);

/* See library.h. */
void libssl_pin(void);

/* True if this return address lies in libssl. */
bool libssl_has_called(const void *return_address);

/* ... in libcrypto. */
bool libssl_has_called_crypto(const void *return_address);

/* What the record layer needs. Once bound. */
extern const struct tls_crypto libssl_crypto;
