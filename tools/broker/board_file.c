/* See board_file.h. */
#include "tools/broker/board_file.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static bool make_path(int listener, char path[BROKER_BOARD_FILE_MAX])
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (getsockname(listener, (struct sockaddr *)&address, &length) < 0 || length > sizeof(address) ||
	    address.sun_path[0] != '/')
		return false;
	snprintf(path, BROKER_BOARD_FILE_MAX, "%.*s%s", (int)sizeof(address.sun_path), address.sun_path,
		 BROKER_BOARD_SUFFIX);
	return true;
}

/* Allocate all of it now: a store into a hole that finds no room later raises SIGBUS. */
static struct broker_board *map_new(int fd)
{
	void *memory = MAP_FAILED;

	if (posix_fallocate(fd, 0, sizeof(struct broker_board)) == 0)
		memory = mmap(NULL, sizeof(struct broker_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

struct broker_board *broker_board_file_make(int listener, char path[BROKER_BOARD_FILE_MAX])
{
	char new_path[BROKER_BOARD_FILE_MAX + 8];
	struct broker_board *board;
	int fd;

	if (!make_path(listener, path))
		return NULL;
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	unlink(new_path);
	fd = open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return NULL;
	board = map_new(fd);
	close(fd);
	if (board && rename(new_path, path) == 0)
		return board;
	if (board)
		munmap(board, sizeof(*board));
	unlink(new_path);
	return NULL;
}
