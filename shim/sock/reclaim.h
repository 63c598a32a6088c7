/* Descriptors of ours that the program needs more than we do. */
#pragma once

#include <stdbool.h>

/* Ends every parked connection and closes every stub and spare: the program needs their descriptors, or may not use
 * them any more. False if there was none. */
bool reclaim_idle(void);

/* As fdtable_open_socket(), which gets what is idle out of the way where there is no descriptor left. */
int reclaim_open_socket(int domain, int type) __attribute__((warn_unused_result));

/* Frees a number that one of our own descriptors occupies, by moving that elsewhere: the program wants to put a file of
 * its own there, where as far as it knows nothing is. */
void reclaim_number(int fd);
