/* See board_view.h. */
#include "pool/share/board_view.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

static bool make_path(const char *broker_path, char path[PATH_MAX])
{
	size_t length = strlen(broker_path);

	if (length + sizeof(BROKER_BOARD_SUFFIX) > PATH_MAX)
		return false;
	memcpy(path, broker_path, length);
	memcpy(path + length, BROKER_BOARD_SUFFIX, sizeof(BROKER_BOARD_SUFFIX));
	return true;
}

/* Only one that nobody else can write to, or cut short under us. */
static bool is_trusted(const struct stat *status, uint32_t euid)
{
	return S_ISREG(status->st_mode) && (status->st_uid == euid || status->st_uid == 0) &&
	       !(status->st_mode & (S_IWGRP | S_IWOTH)) && status->st_size >= (off_t)sizeof(struct broker_board);
}

static bool map(struct broker_board_view *view, const struct pool_sys *sys, int fd, const struct stat *status)
{
	/* The process writes to places on the last board's shelf: the next one has to be writable, too. */
	bool is_writable = view->is_writable;
	struct broker_board *mapped = sys->map_file(fd, sizeof(*mapped), view->last, &is_writable);

	if (!mapped)
		return false;
	view->last = view->memory;
	view->memory = mapped;
	view->is_writable = is_writable;
	view->device = status->st_dev;
	view->inode = status->st_ino;
	return broker_board_is_sound(mapped, sizeof(*mapped));
}

static bool look(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path, uint32_t euid)
{
	char path[PATH_MAX];
	struct stat status;
	bool is_found;
	int fd;

	if (!make_path(broker_path, path))
		return false;
	if (view->is_current && sys->stat_file(-1, path, &status) == 0 && status.st_dev == view->device &&
	    status.st_ino == view->inode)
		return true;
	view->is_current = false;
	fd = sys->open_file(path);
	if (fd < 0)
		return false;
	is_found = sys->stat_file(fd, NULL, &status) == 0 && is_trusted(&status, euid) && map(view, sys, fd, &status);
	sys->close_file(fd);
	return is_found;
}

void broker_board_view_look(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path,
			    uint32_t euid)
{
	view->is_current = look(view, sys, broker_path, euid);
}

uint32_t broker_board_view_n_held(const struct broker_board_view *view, const struct destination_key *key)
{
	return view->is_current ? broker_board_n_held(view->memory, key) : UINT32_MAX;
}

static bool read_n_held(const struct pool_sys *sys, int fd, const struct destination_key *key, uint16_t *n_held)
{
	struct broker_board_head head;
	uint64_t offset;

	return sys->read_file(fd, &head, sizeof(head), 0) == sizeof(head) && broker_board_find(&head, key, &offset) &&
	       sys->read_file(fd, n_held, sizeof(*n_held), offset) == sizeof(*n_held);
}

uint32_t broker_board_view_glance(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path,
				  uint32_t euid, const struct destination_key *key)
{
	char path[PATH_MAX];
	struct stat status;
	uint16_t n_held;
	bool is_found;
	int fd;

	if (!make_path(broker_path, path) || (fd = sys->open_file(path)) < 0)
		return UINT32_MAX;
	is_found = sys->stat_file(fd, NULL, &status) == 0 && is_trusted(&status, euid) &&
		   read_n_held(sys, fd, key, &n_held);
	if (is_found && n_held)
		view->is_current = map(view, sys, fd, &status);
	sys->close_file(fd);
	return is_found ? n_held : UINT32_MAX;
}

struct broker_board *broker_board_view_shelf(const struct broker_board_view *view)
{
	struct broker_board *board = view->memory;

	return view->is_current && view->is_writable && board->is_open && board->has_shelf ? board : NULL;
}
