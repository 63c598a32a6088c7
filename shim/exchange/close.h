/* Steps before the kernel closes a descriptor, by any call: close, dup2 onto it, close_range, fclose. */
#pragma once

#include <stdbool.h>

struct sock;

/* The program gives up a number: its connection is parked or made ready to end as it would natively. Afterwards the
 * number is untracked and the caller closes it for real, at once. Nothing for untracked and internal numbers. False:
 * the caller is a signal handler that interrupted us in the midst of changing this number's file; the number will be
 * closed as soon as that is over, and must not be now. */
bool close_begin(int fd);
