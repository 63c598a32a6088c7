/*
 * What passes through a channel once its handshake is over: between the program's records and the exchange, which sees
 * what is inside of them, and between the exchange and the wire.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct channel;
struct msghdr;
struct transfer;
struct transport;

/* The program's calls. */
ssize_t session_send(struct channel *channel, struct transfer *transfer);
ssize_t session_receive(struct channel *channel, struct transfer *transfer);

/* The exchange's, as struct transport has them. */
ssize_t session_wire_send(const struct transport *transport, int fd, const struct msghdr *message, int flags);
ssize_t session_wire_receive(const struct transport *transport, const struct transfer *transfer, struct iovec *vector,
			     size_t n, int more_flags);
bool session_is_quiet(const struct transport *transport, int fd);
