/*
 * Stores of OpenSSL (X509_STORE_new(3)) whose certificate authorities come from an indexed file: a certificate is
 * parsed and added when a chain asks for its subject, and all are when the program asks for them. Whatever a store
 * finds, it finds as if all had been added at once.
 */
#pragma once

#include "shim/tls/ca_file.h"
#include "shim/tls/libssl.h"

/* The store has the file's certificates from now on. Takes a user of the file. False: it has not, nothing was done. */
bool ca_store_add(X509_STORE *store, struct ca_file *file) __attribute__((warn_unused_result));

/* The store gets a way to look certificates up. */
void ca_store_note_lookup(X509_STORE *store, const X509_LOOKUP_METHOD *added);

/* Those with the same subject as `certificate`, which is about to be added, are added before. */
void ca_store_make_way(X509_STORE *store, X509 *certificate);

/* All that are not yet in the store are added. */
void ca_store_complete(X509_STORE *store);
