/* Reading pages of counters. A copy keeps to the arrays' order, so that it has each entry that its hashes promise. See
 * page_file.h. */
#include "tools/stats/page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/stats/file.h"

#define TOTAL_SIZE_MAX (4u << 20)

/* A page's header and its hashes: a process's page of any room has no more of them. */
union head {
	struct stats_page page;
	char bytes[4096];
};

static size_t read_at(int fd, void *buffer, size_t room, size_t offset)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = pread(fd, (char *)buffer + length, room - length, (off_t)(offset + length));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	return length;
}

static int open_file(int folder, const char *name, uid_t owner, struct stat *status)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fstat(fd, status) == 0 && S_ISREG(status->st_mode) && status->st_uid == owner)
		return fd;
	close(fd);
	return -EPERM;
}

bool page_file_read_header(int folder, const char *name, uid_t owner, struct stats_page *header)
{
	struct stat status;
	int fd = open_file(folder, name, owner, &status);
	size_t length;

	if (fd < 0)
		return false;
	length = read_at(fd, header, sizeof(*header), 0);
	close(fd);
	return length == sizeof(*header) && memcmp(header->magic, STATS_MAGIC, sizeof(header->magic)) == 0;
}

static size_t limit_size(const char *name, const struct stat *status)
{
	off_t limit = strcmp(name, STATS_TOTAL_NAME) == 0 ? TOTAL_SIZE_MAX : STATS_PAGE_SIZE;

	return (size_t)(status->st_size < limit ? status->st_size : limit);
}

static struct stats_page *read_whole(int fd, size_t size)
{
	struct stats_page *page = size ? malloc(size) : NULL;

	if (page && !stats_is_sound(page, read_at(fd, page, size, 0))) {
		free(page);
		page = NULL;
	}
	return page;
}

struct stats_page *page_file_read(int folder, const char *name, uid_t owner)
{
	struct stat status;
	int fd = open_file(folder, name, owner, &status);
	struct stats_page *page;

	if (fd < 0)
		return NULL;
	page = read_whole(fd, limit_size(name, &status));
	close(fd);
	return page;
}

/* How much of each array has been claimed. Entries are claimed from the first on; an array has one at least. */
static void find_used(const struct stats_page *page, bool has_counts_only, uint32_t n_used[STATS_N_ARRAYS])
{
	memset(n_used, 0, STATS_N_ARRAYS * sizeof(*n_used));
	for (int array = 0; array < (has_counts_only ? STATS_CALLSITES : STATS_INTERVALS); array++) {
		n_used[array] = page->n_max[array];
		while (n_used[array] > 1 && !stats_has(page, (enum stats_array)array, n_used[array] - 1))
			n_used[array]--;
	}
	if (has_counts_only)
		return;
	n_used[STATS_INTERVALS] = page->n_max[STATS_INTERVALS];
	if (page->n_intervals < n_used[STATS_INTERVALS])
		n_used[STATS_INTERVALS] = page->n_intervals ? (uint32_t)page->n_intervals : 1;
}

/* The header and the hashes, for the room that is used. */
static void copy_head(struct stats_page *to, const struct stats_page *from, const uint32_t n_used[STATS_N_ARRAYS])
{
	const uint32_t *from_hash = (const uint32_t *)(from + 1);
	uint32_t *to_hash = (uint32_t *)(to + 1);

	*to = *from;
	memcpy(to->n_max, n_used, sizeof(to->n_max));
	for (int array = 0; array < STATS_INTERVALS; array++) {
		memcpy(to_hash, from_hash, n_used[array] * sizeof(*to_hash));
		from_hash += from->n_max[array];
		to_hash += n_used[array];
	}
	/* They are padded to an even number. */
	if ((to_hash - (uint32_t *)(to + 1)) % 2)
		*to_hash = 0;
}

static bool read_arrays(int fd, const struct stats_page *head, struct stats_page *page)
{
	for (int array = 0; array < STATS_N_ARRAYS; array++) {
		size_t to = stats_offset(page->n_max, array), length = stats_offset(page->n_max, array + 1) - to;

		if (read_at(fd, (char *)page + to, length, stats_offset(head->n_max, array)) != length)
			return false;
	}
	return true;
}

static struct stats_page *read_used(int fd, const struct stats_page *head, bool has_counts_only)
{
	uint32_t n_used[STATS_N_ARRAYS];
	struct stats_page *page;

	find_used(head, has_counts_only, n_used);
	page = malloc(stats_size(n_used));
	if (!page)
		return NULL;
	copy_head(page, head, n_used);
	if (read_arrays(fd, head, page))
		return page;
	free(page);
	return NULL;
}

struct stats_page *page_file_read_used(int folder, const char *name, uid_t owner, bool has_counts_only)
{
	struct stats_page *page = NULL;
	struct stat status;
	union head head;
	int fd = open_file(folder, name, owner, &status);
	size_t length;

	if (fd < 0)
		return NULL;
	length = read_at(fd, &head, sizeof(head), 0);
	/* The sizes follow from the header. Most slots are of ended processes: not worth a copy. */
	if (length >= sizeof(head.page) && stats_is_sound(&head.page, limit_size(name, &status)) && head.page.pid &&
	    stats_offset(head.page.n_max, 0) <= length)
		page = read_used(fd, &head.page, has_counts_only);
	close(fd);
	return page;
}
