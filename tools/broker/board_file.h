/* The file of the broker's board (pool/share/board.h), beside its socket. */
#pragma once

#include <stdbool.h>
#include <sys/un.h>

#include "pool/share/board.h"

/* Room for a socket's path and the suffix. */
#define BROKER_BOARD_FILE_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(BROKER_BOARD_SUFFIX))

/* A new board in the place of whatever lies there, for the path that this socket listens at; whoever has mapped an older one
 * keeps that. Zeroed memory, which stays mapped, and *path to be removed at the end. NULL: there can't be one, so every process
 * asks. */
struct broker_board *broker_board_file_make(int listener, char path[BROKER_BOARD_FILE_MAX]);
