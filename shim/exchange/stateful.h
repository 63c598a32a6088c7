/*
 * Protocols whose connections have a session (Redis), where they differ from HTTP: which connection the first command
 * may go out on, and a goodbye that the server is not to hear.
 *
 * No command is sent twice: nothing is kept for a replay.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool/proto/protocol.h"

struct sock;
struct transfer;

/* The protocol of the first bytes, which are not HTTP: PROTOCOL_COUNT if it is none that is followed there. */
enum protocol_number stateful_recognize(const struct sock *sock, const char *bytes, size_t length);

/* The server of a fresh connection has sent these bytes before the program did (NULL: nobody has looked at them): its
 * protocol may be one of those whose servers do. Locked. */
void stateful_hear_first(struct sock *sock, const char *bytes, size_t length);

/* As first_bytes_prepare(), where the server has spoken first. Locked. */
int stateful_answer(struct sock *sock, const struct transfer *transfer) __attribute__((warn_unused_result));

/* As first_bytes_prepare(), for first bytes of that protocol. Locked. */
int stateful_begin(struct sock *sock, const struct transfer *transfer, size_t total, enum protocol_number number)
	__attribute__((warn_unused_result));

/* Before anything is sent on such a connection: true if it was a goodbye, which has been answered, and is not to be
 * sent. Locked. */
bool stateful_says_goodbye(struct sock *sock, const struct transfer *transfer, size_t total)
	__attribute__((warn_unused_result));
