/* See notice.h. */
#include "tools/relay/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/kernel.h"

/* Of later kernels than the headers of today. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP UINT64_C(1)

static int listener = -1;

/* As large as the kernel's, which may have grown (seccomp(2), SECCOMP_GET_NOTIF_SIZES). */
static struct seccomp_notif *question;
static struct seccomp_notif_resp *answer;
static struct seccomp_notif_sizes sizes;

static size_t larger(size_t one, size_t other)
{
	return one > other ? one : other;
}

int notice_begin(int fd)
{
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	question = calloc(1, larger(sizes.seccomp_notif, sizeof(*question)));
	answer = calloc(1, larger(sizes.seccomp_notif_resp, sizeof(*answer)));
	if (!question || !answer)
		return -ENOMEM;
	listener = fd;
	/* The program and the relay then take turns on one processor: a tenth of the cost (Linux 6.6). */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
	return 0;
}

bool notice_take(struct seccomp_notif *notice)
{
	memset(question, 0, larger(sizes.seccomp_notif, sizeof(*question)));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, question) < 0)
		return false;
	*notice = *question;
	return true;
}

bool notice_is_valid(uint64_t id)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static void send_answer(uint64_t id, int error, uint32_t flags)
{
	memset(answer, 0, larger(sizes.seccomp_notif_resp, sizeof(*answer)));
	answer->id = id;
	answer->error = -error;
	answer->flags = flags;
	/* ENOENT: the thread was killed meanwhile. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
}

void notice_answer(uint64_t id, int error)
{
	send_answer(id, error, 0);
}

int notice_give(uint64_t id, int fd, uint32_t flags)
{
	struct seccomp_notif_addfd request = {
		.id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (uint32_t)fd, .newfd_flags = flags};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request) < 0 ? -errno : 0;
}

void notice_let_pass(uint64_t id)
{
	send_answer(id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}
