/*
 * One call of the read or write families, whatever its name: so that there is one path for each direction.
 * The native form is kept, so that a call that turns out to be none of ours is made exactly as the program made it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum transfer_kind {
	TRANSFER_READ,
	TRANSFER_READV,
	TRANSFER_RECV,
	TRANSFER_RECVFROM,
	TRANSFER_RECVMSG,
	TRANSFER_SPLICE, /* into a pipe; what is moved is looked at in `single` before */
	TRANSFER_WRITE,
	TRANSFER_WRITEV,
	TRANSFER_SEND,
	TRANSFER_SENDTO,
	TRANSFER_SENDMSG,
};

struct transport;

struct transfer {
	enum transfer_kind kind;
	int fd;
	int flags;
	struct iovec single;	 /* the contiguous forms' buffer */
	const struct iovec *iov; /* the vector forms' */
	size_t n_iov;
	struct msghdr *message;		 /* the message forms' (not written to when sending) */
	const struct transport *through; /* what it is native to; NULL: the kernel */
	void *caller;			 /* the program's return address, where it may connect (MSG_FASTOPEN) */
	union {
		struct {
			struct sockaddr *address;
			socklen_t address_length;
			socklen_t *address_length_out;
		};
		struct { /* TRANSFER_SPLICE */
			int pipe;
			unsigned splice_flags;
			bool *pipe_refused; /* the error is the pipe's, not the connection's */
		};
	};
};

/* The call as the program made it; where its bytes are translated, it fails. */
ssize_t transfer_native(const struct transfer *transfer);

/* The call as the program made it, whatever its socket is. For what is no session yet. */
ssize_t transfer_call_kernel(const struct transfer *transfer);

/* The buffers as a vector, in either form. Only once known readable for vectors. */
const struct iovec *transfer_vector(const struct transfer *transfer, size_t *n);

/* True if the vector itself can be read, so that its entries may be looked at. */
bool transfer_is_readable(const struct transfer *transfer);

/* Total length; SIZE_MAX if it overflows. */
size_t transfer_length(const struct transfer *transfer);

/* Calls for a tracked descriptor; they fall back to transfer_native() wherever we are not wanted. Cancellation
 * points, as the calls that they stand for are, before they have done anything. */
ssize_t exchange_send(struct transfer *transfer);
ssize_t exchange_receive(struct transfer *transfer);

/* What a transport (transport.h) found inside of such a call: TRANSFER_SEND and TRANSFER_RECV, `through` it, of memory
 * of its own. */
ssize_t exchange_send_inner(struct transfer *transfer);
ssize_t exchange_receive_inner(struct transfer *transfer);

/* One receive of what has come, by exchange_receive(). */
ssize_t exchange_receive_once(struct transfer *transfer);
