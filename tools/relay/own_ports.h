/*
 * Ports that a process of the program listens on itself. Its connections to them are left to the kernel: a thread of it
 * may wait for the end of one that we would keep, and a server under test is to see what its client does.
 */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

#include "pool/conn/destination.h"

/* A listen(), which is let pass. */
void own_ports_take_listen(const struct seccomp_notif *notice);

/* True if the process of this thread listens there. */
bool own_ports_has(pid_t thread, const struct destination_key *key);
