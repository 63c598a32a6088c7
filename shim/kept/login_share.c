/* See login_share.h. */
#include "shim/kept/login_share.h"

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

bool login_share_open(int fd, struct login *login)
{
	struct mysql_greeting greeting;
	struct login_memory memory;

	/* A file of a file system may take for ever. */
	return memory_file_is_sound(fd, SIZE) &&
	       libc.syscall(SYS_pread64, fd, &memory, sizeof(memory), 0) == sizeof(memory) &&
	       login_memory_read(&memory, login) &&
	       mysql_read_greeting(login->greeting, login->greeting_length, &greeting) && greeting.is_native &&
	       greeting.has_reset && !greeting.offers_tls;
}
