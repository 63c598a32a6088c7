/* See core.h. */
#include "tools/relay/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/stats/file.h"
#include "tools/base/calls.h"
#include "tools/base/clock.h"
#include "tools/ports/netns.h"
#include "tools/stats/sys.h"

struct relay_core relay_core;

static struct stats_page *page;
static int folder = -1, slot = -1;

uint64_t relay_now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

uid_t relay_own_user(void)
{
	static uid_t user = (uid_t)-1;

	if (user == (uid_t)-1)
		user = geteuid();
	return user;
}

/* glibc declares it with a transparent union for the address. */
static int get_peer_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

static void *map_shared(int fd, uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int open_file(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static int stat_file(int fd, const char *path, struct stat *status)
{
	return path ? lstat(path, status) : fstat(fd, status);
}

static void *map_file(int fd, uint64_t length, void *place, bool *is_writable)
{
	void *memory = mmap(place, length, PROT_READ, MAP_SHARED | (place ? MAP_FIXED : 0), fd, 0);

	*is_writable = false;
	return memory == MAP_FAILED ? NULL : memory;
}

static struct pool_sys sys = {
	.getsockopt = getsockopt,
	.setsockopt = setsockopt,
	.now_ns = relay_now_ns,
	.map = calls_map,
	.unmap = calls_unmap,
	.recv = recv,
	.disconnect = calls_disconnect,
	.shutdown = shutdown,
	.getpeername = get_peer_name,
	.sendmsg = sendmsg,
	.recvmsg = recvmsg,
	.poll = poll,
	.map_shared = map_shared,
	.open_file = open_file,
	.close_file = close,
	.stat_file = stat_file,
	.map_file = map_file,
};

static void describe(const char *program)
{
	struct stat status;

	page->pid = (uint32_t)getpid();
	page->euid = relay_own_user();
	page->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	page->began_unix_ms = clock_now_ns(CLOCK_REALTIME) / MILLISECOND_NS;
	page->began_ns = relay_now_ns();
	memcpy(page->program, program, strnlen(program, sizeof(page->program)));
}

/* Counts stay in memory of ours where no file can be had. */
static int begin_counting(const char *program)
{
	static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;

	page = calls_map(STATS_PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	stats_init(page, room);
	describe(program);
	if (strcmp(relay_core.config.stats_path, "off") == 0)
		return 0;
	folder = stats_file_open(&stats_sys_libc, relay_core.config.stats_path, getenv("XDG_RUNTIME_DIR"),
				 relay_own_user());
	if (folder >= 0)
		slot = stats_file_take(&stats_sys_libc, folder, &page);
	return 0;
}

int relay_core_begin(const char *program, int (*close_fd)(int fd))
{
	int error;

	config_init(&relay_core.config);
	error = config_read_environment(&relay_core.config, environ, NULL);
	if (!error)
		error = begin_counting(program);
	if (error)
		return error;
	sys.close = close_fd;
	idle_pool_init(&relay_core.pool, &sys, &relay_core.config, page);
	block_store_init(&relay_core.blocks, &sys);
	relay_core.netns_cookie = netns_own_cookie();
	return 0;
}

void relay_core_end(void)
{
	if (slot >= 0)
		(void)!stats_file_put(&stats_sys_libc, folder, (unsigned)slot, page);
}
