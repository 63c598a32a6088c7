/* The broker at work: one a process. */
#pragma once

#include <stdbool.h>

/* For a listening AF_UNIX SOCK_SEQPACKET socket, non-blocking. SIGTERM and SIGINT are blocked from here on. 0 or -errno. */
int broker_loop_prepare(int listener, bool ends_when_idle) __attribute__((warn_unused_result));

/* Shows on it what is held, from now on and until the end. Zeroed, borrowed for good. */
struct broker_board;
void broker_loop_use_board(struct broker_board *board);

/* Serves until SIGTERM or SIGINT, or until nobody is connected and nothing is held, if that is to end it. */
void broker_loop_run(void);
