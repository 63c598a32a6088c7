/* See made_sockets.h. */
#include "tools/relay/made_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "tools/base/proc_file.h"
#include "tools/relay/core.h"
#include "tools/relay/notice.h"
#include "tools/relay/program_socket.h"

/* Programs seldom make many sockets before they connect the first; the rest of theirs go the kernel's way. */
#define KEPT_MAX 256

struct made {
	int fd;
	ino_t inode;
	struct made *prev, *next;
};

static bool is_on;
static struct made *kept; /* the oldest first */
static unsigned n_kept;

void made_sockets_begin(void)
{
	is_on = true;
}

bool made_sockets_is_on(void)
{
	return is_on;
}

bool made_sockets_is_any(void)
{
	return kept != NULL;
}

unsigned made_sockets_n(void)
{
	return n_kept;
}

static int release(struct made *made)
{
	int fd = made->fd;

	DL_DELETE(kept, made);
	n_kept--;
	free(made);
	return fd;
}

/* A socket that we make is of our user and network namespace. */
static bool is_like_us(pid_t thread)
{
	char path[64], status[4096];
	const char *users;
	struct stat theirs, ours;
	unsigned effective;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", thread);
	if (stat(path, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0 || theirs.st_ino != ours.st_ino)
		return false;
	/* Only root's program can have become another user. */
	if (relay_own_user() != 0)
		return true;
	users = proc_file_read(thread, "status", status, sizeof(status)) ? strstr(status, "\nUid:") : NULL;
	return users && sscanf(users, "\nUid: %*u %u", &effective) == 1 && effective == 0;
}

static void keep(int fd)
{
	struct made *made = malloc(sizeof(*made));
	struct stat status;

	if (!made || fstat(fd, &status) < 0) {
		free(made);
		close(fd);
		return;
	}
	*made = (struct made){.fd = fd, .inode = status.st_ino};
	DL_APPEND(kept, made);
	n_kept++;
	if (n_kept > KEPT_MAX)
		close(release(kept));
}

/* -1: that is the kernel's to do. */
static int make(const struct seccomp_notif *notice)
{
	int type = (int)notice->data.args[1], protocol = (int)notice->data.args[2];

	if ((protocol != 0 && protocol != IPPROTO_TCP) || !is_like_us((pid_t)notice->pid))
		return -1;
	return socket((int)notice->data.args[0], type | SOCK_CLOEXEC, protocol);
}

void made_sockets_take_call(const struct seccomp_notif *notice)
{
	bool is_cloexec = notice->data.args[1] & SOCK_CLOEXEC;
	int fd = make(notice);

	if (fd >= 0 && notice_give(notice->id, fd, is_cloexec ? O_CLOEXEC : 0) == 0) {
		keep(fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	notice_let_pass(notice->id);
}

ino_t made_sockets_inode(pid_t thread, int fd)
{
	char path[64], target[64] = "";
	unsigned long long inode;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", thread, fd);
	if (readlink(path, target, sizeof(target) - 1) < 0 || sscanf(target, "socket:[%llu]", &inode) != 1)
		return 0;
	return (ino_t)inode;
}

int made_sockets_take_fd(pid_t thread, int fd)
{
	ino_t inode = made_sockets_inode(thread, fd);
	struct made *made;

	DL_SEARCH_SCALAR(kept, made, inode, inode);
	return made ? release(made) : -ENOENT;
}

void made_sockets_tick(void)
{
	struct made *made, *next;

	DL_FOREACH_SAFE(kept, made, next)
	if (!program_socket_is_unused(made->fd))
		close(release(made));
}
