/* See stats_pages.h. */
#include "tests/unit/fake/stats_pages.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool/conn/destination.h"

struct destination_key stats_pages_key(unsigned host, unsigned port)
{
	struct destination_key key = {.family = AF_INET, .port = htons((uint16_t)port)};

	memcpy(key.address, (const uint8_t[]){127, 0, 0, (uint8_t)host}, 4);
	return key;
}

struct stats_page *stats_pages_new(uint32_t pid, const char *program)
{
	static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
	struct stats_page *page = calloc(1, STATS_PAGE_SIZE);
	struct timespec now;
	struct stat status;

	ck_assert_ptr_nonnull(page);
	stats_init(page, room);
	page->pid = pid;
	page->euid = (uint32_t)geteuid();
	memcpy(page->program, program, strnlen(program, STATS_NAME_MAX));
	ck_assert_int_eq(stat("/proc/self/ns/pid", &status), 0);
	page->pid_namespace = status.st_ino;
	clock_gettime(CLOCK_MONOTONIC, &now);
	page->began_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return page;
}

struct stats_page *stats_pages_new_own(void)
{
	return stats_pages_new((uint32_t)getpid(), "myself");
}

uint32_t stats_pages_dead_pid(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	return (uint32_t)child;
}

void stats_pages_count(struct stats_page *page, unsigned port, unsigned n)
{
	struct destination_key key = stats_pages_key(1, port);
	struct stats_destination *destination = stats_find(page, &key);

	for (unsigned i = 0; i < n; i++) {
		stats_count(destination, STATS_CONNECTS);
		stats_count_dial(destination, 100000);
	}
}

const char *stats_pages_make_folder(void)
{
	static char path[64];

	strcpy(path, "/tmp/holdline-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

void stats_pages_remove_folder(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char inner[512];

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			stats_pages_remove_folder(inner);
		else
			unlink(inner);
	}
	closedir(directory);
	rmdir(path);
}

void stats_pages_write(const char *path, const char *name, const struct stats_page *page, size_t length)
{
	char file[512];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, page, length), (ssize_t)length);
	close(fd);
}
