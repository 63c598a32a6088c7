/* See login_share.h. */
#include "shim/kept/login_share.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/conn/login_memory.h"
#include "pool/proto/mysql/login.h"
#include "pool/tls/state.h"
#include "shim/base/memory_file.h"
#include "shim/base/real.h"

/* All that comes with a connection has one size, so that the broker need not know what it is. */
#define SIZE TLS_STATE_SIZE

int login_share_make(const struct login *login)
{
	struct login_memory memory;
	int fd = memory_file_make("holdline-login", SIZE);

	login_memory_write(&memory, login);
	if (fd < 0 || libc.syscall(SYS_pwrite64, fd, &memory, sizeof(memory), 0) == sizeof(memory))
		return fd;
	real.close(fd);
	return -1;
}

/* No file of a file system, which may take for ever. */
static bool is_memory(int fd)
{
	int seals = fd >= 0 ? real.fcntl(fd, F_GET_SEALS) : -1;

	return seals >= 0 && (seals & F_SEAL_SHRINK);
}

bool login_share_open(int fd, struct login *login)
{
	struct mysql_greeting greeting;
	struct login_memory memory;

	return is_memory(fd) && libc.syscall(SYS_pread64, fd, &memory, sizeof(memory), 0) == sizeof(memory) &&
	       login_memory_read(&memory, login) &&
	       mysql_read_greeting(login->greeting, login->greeting_length, &greeting) && greeting.is_native &&
	       greeting.has_reset && !greeting.offers_tls;
}
