/* See notice.h. */
#include "tools/relay/notice.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/kernel.h"

/* Of later kernels than the headers of today. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#define SYNC_WAKE_UP UINT64_C(1)

/* So many can be told of that have been taken and not been answered; of more, the newest. */
#define TAKEN_MAX 4096

static int listener = -1;

/* What the relay has taken. The kernel tells nobody of that again, not even if the relay dies: its watchdog sees this,
 * too. */
struct taken {
	uint64_t ids[TAKEN_MAX];       /* by their last bits; 0: none */
	struct seccomp_notif question; /* the last one, to its end; it may be larger */
};

/* As large as the kernel's, which may have grown (seccomp(2), SECCOMP_GET_NOTIF_SIZES). */
static struct taken *taken;
static struct seccomp_notif_resp *answer;
static struct seccomp_notif_sizes sizes;

static size_t larger(size_t one, size_t other)
{
	return one > other ? one : other;
}

static size_t question_size(void)
{
	return larger(sizes.seccomp_notif, sizeof(taken->question));
}

int notice_share(void)
{
	void *made;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return -errno;
	made = mmap(NULL, offsetof(struct taken, question) + question_size(), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made == MAP_FAILED)
		return -errno;
	taken = made;
	return 0;
}

int notice_begin(int fd)
{
	int error = taken ? 0 : notice_share();

	if (error)
		return error;
	answer = calloc(1, larger(sizes.seccomp_notif_resp, sizeof(*answer)));
	if (!answer)
		return -ENOMEM;
	listener = fd;
	/* The program and the relay then take turns on one processor: a tenth of the cost (Linux 6.6). */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
	return 0;
}

bool notice_take(struct seccomp_notif *notice)
{
	memset(&taken->question, 0, question_size());
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &taken->question) < 0)
		return false;
	*notice = taken->question;
	taken->ids[notice->id % TAKEN_MAX] = notice->id;
	return true;
}

static void forget(uint64_t id)
{
	uint64_t *place = &taken->ids[id % TAKEN_MAX];

	if (*place == id)
		*place = 0;
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
	forget(id);
}

void notice_answer(uint64_t id, int error)
{
	send_answer(id, error, 0);
}

int notice_give(uint64_t id, int fd, uint32_t flags)
{
	struct seccomp_notif_addfd request = {
		.id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = (uint32_t)fd, .newfd_flags = flags};

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request) < 0)
		return -errno;
	forget(id);
	return 0;
}

void notice_let_pass(uint64_t id)
{
	send_answer(id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void notice_let_taken_pass(void)
{
	/* It may have been taken a moment before the end. */
	notice_let_pass(taken->question.id);
	for (unsigned i = 0; i < TAKEN_MAX; i++)
		if (taken->ids[i])
			notice_let_pass(taken->ids[i]);
}
