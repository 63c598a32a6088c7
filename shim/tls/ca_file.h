/*
 * Files of certificate authorities, each read once by a process: an index by subject, of which a store takes what a
 * chain asks for (ca_store.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pool/tls/bundle.h"

struct ca_file;

/* The index of a file as it is now, for a user more. NULL: it is to be read by the library. */
struct ca_file *ca_file_open(const char *path);

/* A user less. */
void ca_file_close(struct ca_file *file);

size_t ca_file_count(const struct ca_file *file);
const struct tls_bundle_entry *ca_file_entry(const struct ca_file *file, size_t index);

/* Bytes of a certificate or a subject, by what its entry says. They live as long as the user. */
const uint8_t *ca_file_bytes(const struct ca_file *file, uint32_t at);
