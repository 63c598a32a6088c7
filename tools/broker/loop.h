/* The broker's loop: one per process. */
#pragma once

#include <stdbool.h>

/* Takes a listening AF_UNIX SOCK_SEQPACKET socket, non-blocking. SIGTERM and SIGINT are blocked from here on. 0 or
 * -errno. */
int broker_loop_prepare(int listener, bool ends_when_idle) __attribute__((warn_unused_result));

/* From now on shows on the board what is held; `has_shelf`: and lays there what anybody may take. The memory is zeroed
 * and borrowed for good. */
struct broker_board;
void broker_loop_use_board(struct broker_board *board, bool has_shelf);

/* Serves until SIGTERM or SIGINT; or, if so wanted, until no process is connected and nothing is held. */
void broker_loop_run(void);
