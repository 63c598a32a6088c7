/* See filter.h. */
#include "tools/relay/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/kernel.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* The kernel's, of socket(2)'s second argument. */
#define SOCK_TYPE_MASK 0xf

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
/* Skips so many instructions where the loaded word has this value. */
#define SKIP_IF(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, n, 0)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)

/* connect() whose address can be IPv4 or IPv6, by the lengths that programs give: the size of either, or of the
 * largest. The library marks its own calls by another length, and an AF_UNIX address seldom has one of these. And
 * getpeername(), which is to show the server; listen(), since connections to a port of the program's own are left
 * alone; and landlock_restrict_self(), behind which the program may not connect where the relay may. */
static struct sock_filter connects[] = {
	LOAD(arch),
	SKIP_IF(ARCHITECTURE, 1),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(nr),
	SKIP_IF(SYS_listen, 9),
	SKIP_IF(SYS_getpeername, 8),
	SKIP_IF(SYS_landlock_restrict_self, 7),
	SKIP_IF(SYS_connect, 1),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(args[2]),
	SKIP_IF(sizeof(struct sockaddr_in), 3),
	SKIP_IF(sizeof(struct sockaddr_in6), 2),
	SKIP_IF(sizeof(struct sockaddr_storage), 1),
	ANSWER(SECCOMP_RET_ALLOW),
	ANSWER(SECCOMP_RET_USER_NOTIF),
};

/* And socket() of TCP, with whatever uses such a socket: every connect(), bind(), and what is sent by TCP Fast Open. */
static struct sock_filter sockets[] = {
	LOAD(arch),
	SKIP_IF(ARCHITECTURE, 1),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(nr),
	SKIP_IF(SYS_listen, 20),
	SKIP_IF(SYS_getpeername, 19),
	SKIP_IF(SYS_landlock_restrict_self, 18),
	SKIP_IF(SYS_connect, 17),
	SKIP_IF(SYS_bind, 16),
	SKIP_IF(SYS_socket, 3),
	SKIP_IF(SYS_sendto, 9),
	SKIP_IF(SYS_sendmsg, 10),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(args[0]),
	SKIP_IF(AF_INET, 2),
	SKIP_IF(AF_INET6, 1),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(args[1]),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SOCK_TYPE_MASK),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 5, 4),
	LOAD(args[3]),
	BPF_STMT(BPF_JMP | BPF_JA | BPF_K, 1),
	LOAD(args[2]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MSG_FASTOPEN, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	ANSWER(SECCOMP_RET_USER_NOTIF),
};

#define PROGRAM(filter)                                      \
	(struct sock_fprog)                                  \
	{                                                    \
		sizeof(filter) / sizeof((filter)[0]), filter \
	}

int relay_filter_install(bool tells_of_sockets)
{
	struct sock_fprog filter = tells_of_sockets ? PROGRAM(sockets) : PROGRAM(connects);
	long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);

	return listener < 0 ? -errno : (int)listener;
}

#else

int relay_filter_install(bool tells_of_sockets)
{
	(void)tells_of_sockets;
	return -ENOTSUP;
}

#endif
