/*
 * The first bytes that a program sends on a connection decide what becomes of it: whether a kept one may carry them,
 * whether its server is asked to keep it, whether anybody will ride on it afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool/proto/plan.h"

struct sock;
struct transfer;

/* Classifies the beginning of `total` bytes. */
enum framing_first first_bytes_classify(const struct transfer *transfer, size_t total);

/* Notes what the first bytes of a connection tell of its program and its destination: `is_fit`, a kept connection may
 * carry them. True if nobody will ride on what it leaves, as far as can be told. Locked. */
bool first_bytes_note(struct sock *sock, bool is_fit);

/* The server of a fresh connection has sent something before the program did. Leaves an error of the dial for the
 * program to find. */
bool first_bytes_has_spoken(const struct sock *sock, int fd);

enum first_bytes { FIRST_BYTES_TRACKED, FIRST_BYTES_NATIVE, FIRST_BYTES_TRANSLATED };

/* Before they are sent. An enum first_bytes: native, the socket is not tracked any more; translated, it has a transport
 * now, whose they are. Or -errno of a dial that failed. Locked. */
int first_bytes_prepare(struct sock *sock, const struct transfer *transfer, size_t total)
	__attribute__((warn_unused_result));
