/* The relay process proper. */
#pragma once

/* Says on `run` (handshake.h) who it is, takes the notifications, passes their descriptor on to `watchdog`, and serves
 * until no process is left that they could be of. `program` is the name under which it counts. */
void relay_serve(int run, int watchdog, const char *program);
