/* See start.h. */
#include "tools/broker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "pool/share/wire.h"
#include "tools/base/detach.h"
#include "tools/broker/path.h"

#define READY_TIMEOUT_MS 2000

static int wait_until_ready(int ready)
{
	struct pollfd entry = {.fd = ready, .events = POLLIN};

	return poll(&entry, 1, READY_TIMEOUT_MS) > 0 ? 0 : -ETIMEDOUT;
}

/* Without a pidfd (Linux 5.3) the broker learns of us by the connections that we share, and lingers. */
static void tell_of_run(int broker)
{
	static const struct pool_sys sys = {.sendmsg = sendmsg};
	struct broker_head run = broker_wire_head(BROKER_RUN, 0, 0);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (pidfd < 0)
		return;
	(void)!fdpass_send(&sys, broker, &run, sizeof(run), pidfd);
	close(pidfd);
}

int broker_join(const char *path)
{
	int fd = broker_path_connect(path);

	if (fd < 0)
		return fd;
	tell_of_run(fd);
	close(fd);
	return 0;
}

int broker_start(const char *path)
{
	int ready[2], error = broker_join(path);

	if (error != -ENOENT && error != -ECONNREFUSED)
		return error;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	/* The broker closes its descriptor when it is ready. */
	error = detach_start(ready[1], (const char *const[]){"broker", "--detached", path, NULL});
	close(ready[1]);
	if (!error)
		error = wait_until_ready(ready[0]);
	close(ready[0]);
	return error ? error : broker_join(path);
}
