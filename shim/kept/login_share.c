/* See login_share.h. */
#include "shim/kept/login_share.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/conn/login_memory.h"
#include "pool/proto/mysql/login.h"
#include "pool/tls/state.h"
#include "shim/base/real.h"

/* All that comes with a connection has one size, so that the broker need not know what it is. */
#define SIZE TLS_STATE_SIZE
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int login_share_make(const struct login *login)
{
	struct login_memory memory;
	int fd = (int)libc.syscall(SYS_memfd_create, "holdline-login", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	login_memory_write(&memory, login);
	if (libc.syscall(SYS_pwrite64, fd, &memory, sizeof(memory), 0) == sizeof(memory) &&
	    libc.syscall(SYS_ftruncate, fd, (long)SIZE) == 0 && real.fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	real.close(fd);
	return -1;
}

bool login_share_open(int fd, struct login *login)
{
	struct mysql_greeting greeting;
	struct login_memory memory;

	return fd >= 0 && libc.syscall(SYS_pread64, fd, &memory, sizeof(memory), 0) == sizeof(memory) &&
	       login_memory_read(&memory, login) &&
	       mysql_read_greeting(login->greeting, login->greeting_length, &greeting) && greeting.is_native &&
	       greeting.has_reset && !greeting.offers_tls;
}
