/*
 * The broker's board (pool/share/board.h) as this process sees it: mapped when somebody first wants to know, from the
 * file beside the socket, and looked for again each second, since a broker may have gone and another one come.
 */
#pragma once

#include <stdint.h>

struct broker_board;
struct destination_key;

/* How many connections the broker holds that may be to this destination; UINT32_MAX: it has to be asked. Needs no
 * lock. */
uint32_t board_n_held(const struct destination_key *key, uint64_t now_ns);

/* The board from whose shelf connections may be taken; NULL: there is none. */
struct broker_board *board_shelf(void);

/* In a fork's child. */
void board_after_fork(void);
