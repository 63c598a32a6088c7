/* See core.h. */
#include "tools/relay/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/stats/file.h"
#include "tools/base/clock.h"
#include "tools/stats/sys.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct relay_core relay_core;

static struct stats_page *page;
static int folder = -1, slot = -1;

uint64_t relay_now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

static void *map(uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, uint64_t length)
{
	munmap(memory, length);
}

static int disconnect(int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	return connect(fd, &nowhere, sizeof(nowhere.sa_family));
}

static struct pool_sys sys = {
	.getsockopt = getsockopt,
	.setsockopt = setsockopt,
	.now_ns = relay_now_ns,
	.map = map,
	.unmap = unmap,
	.recv = recv,
	.disconnect = disconnect,
	.shutdown = shutdown,
};

static int open_folder(void)
{
	const char *path = relay_core.config.stats_path;
	char place[PATH_MAX];
	int fd = -ENOENT;

	if (strcmp(path, "auto") != 0)
		return stats_file_open_folder(&stats_sys_libc, path, geteuid());
	for (unsigned choice = 0; fd < 0 && choice < 2; choice++)
		if (stats_file_place(choice, getenv("XDG_RUNTIME_DIR"), geteuid(), place) == 0)
			fd = stats_file_open_default(&stats_sys_libc, place, geteuid());
	return fd;
}

static void describe(const char *program)
{
	struct stat status;

	page->pid = (uint32_t)getpid();
	page->euid = geteuid();
	page->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	page->began_unix_ms = clock_now_ns(CLOCK_REALTIME) / MILLISECOND_NS;
	page->began_ns = relay_now_ns();
	memcpy(page->program, program, strnlen(program, sizeof(page->program)));
}

/* Counts stay in memory of ours where no file can be had. */
static int begin_counting(const char *program)
{
	static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;

	page = map(STATS_PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	stats_init(page, room);
	describe(program);
	if (strcmp(relay_core.config.stats_path, "off") == 0)
		return 0;
	folder = open_folder();
	if (folder >= 0)
		slot = stats_file_take(&stats_sys_libc, folder, &page);
	return 0;
}

static uint64_t own_netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0)
		cookie = 0;
	if (fd >= 0)
		close(fd);
	return cookie;
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
	relay_core.netns_cookie = own_netns_cookie();
	return 0;
}

void relay_core_end(void)
{
	if (slot >= 0)
		(void)!stats_file_put(&stats_sys_libc, folder, (unsigned)slot, page);
}
