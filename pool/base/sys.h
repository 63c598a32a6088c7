/*
 * The system calls that the pool makes, passed in by its owner: the shim gives the real libc's functions (never its
 * own wrappers), the broker libc's, the tests ones that fail on demand. All follow libc's convention: -1 and errno.
 * Immutable after init; every member is async-signal-safe. An owner may leave out what the modules that it uses don't
 * call.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* The bytes that a connection's owner has left to be sent before its end of file. */
struct pool_farewell {
	size_t length; /* 0: nothing */
	uint8_t bytes[40];
};

struct pool_sys {
	int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *length);
	int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t length);
	int (*close)(int fd);	       /* of a descriptor that the pool owns */
	void (*forget)(int fd);	       /* the number is somebody else's by now. NULL: that can't be */
	uint64_t (*now_ns)(void);      /* CLOCK_MONOTONIC or its coarse kin */
	void *(*map)(uint64_t length); /* zeroed memory, NULL if there is none */
	void (*unmap)(void *memory, uint64_t length);

	ssize_t (*recv)(int fd, void *buffer, size_t length, int flags); /* NULL: ask the ledger for everything */

	/* Frees what a connection's owner has kept with it (conn.h). */
	void (*end_session)(void *session);

	/* Takes what is to be said before its connection ends, once. */
	bool (*take_farewell)(void *session, struct pool_farewell *farewell);

	/* For ending.h alone: connect(2) with AF_UNSPEC ends a connection for all who hold it, by RST. */
	int (*disconnect)(int fd);
	int (*shutdown)(int fd, int how);

	/* For sharing with other processes. */
	int (*getpeername)(int fd, struct sockaddr *address, socklen_t *length);
	ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
	ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
	int (*poll)(struct pollfd *fds, nfds_t n, int timeout_ms);
	/* Memory of another process, which may be hostile: NULL also where looking at it could end this one. Children
	 * of fork don't inherit it. */
	void *(*map_shared)(int fd, uint64_t length);
	void (*ring)(void);		    /* the broker is to look at its shelf. NULL: it looks in time */
	int (*watch)(int fd, void *object); /* tells of FIN and RST on it, once each, until it is closed */
	/* Tells of the process's end, by a descriptor of it: the caller's to close. -ESRCH: it has ended. */
	int (*watch_process)(int pid, void *object);

	/* For a file that another process writes. */
	int (*open_file)(const char *path); /* follows no link, waits for nobody; to write too where that is allowed */
	int (*close_file)(int fd);
	int (*stat_file)(int fd, const char *path, struct stat *status); /* fd -1: of the path, without following */
	ssize_t (*read_file)(int fd, void *bytes, size_t length, uint64_t offset);
	/* Instead of what is at `place` unless NULL. *is_writable: whether it has to be, and then whether it is. */
	void *(*map_file)(int fd, uint64_t length, void *place, bool *is_writable);
};
