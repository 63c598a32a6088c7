/* The file of the broker's board (pool/share/board.h), beside its socket. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#include "pool/share/board.h"

/* Room for a socket's path and the suffix. */
#define BROKER_BOARD_FILE_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(BROKER_BOARD_SUFFIX))

/* Makes a new board in the place of any old one, for the path at which this socket listens; processes that have mapped
 * the old one keep that. Returns zeroed memory, which stays mapped, and in *path the file to remove at the end. NULL:
 * there can't be a board, so every process asks. */
struct broker_board *broker_board_file_make(int listener, char path[BROKER_BOARD_FILE_MAX]);
