/*
 * The demo's network: a namespace of its own where that is allowed, so that no port of the machine is used up, and what
 * the kernel says about its connections.
 */
#pragma once

#include <stdint.h>

/* Moves this process into a new network namespace with its loopback device up; without root via a user namespace. 0 or
 * -errno: then it has not moved. */
int demo_network_enter(void) __attribute__((warn_unused_result));

/* Leaves this many ephemeral ports, and forbids their early reuse (tcp_tw_reuse=0). Only after demo_network_enter().
 * 0 or -errno. */
int demo_network_narrow(int n_ports) __attribute__((warn_unused_result));

/* Connections of the server at 127.0.0.1:port in TIME_WAIT: those where the client's end waits (each holds one of its
 * ports), and those where the server's end waits. */
void demo_network_count_time_wait(uint16_t port, unsigned *n_client, unsigned *n_server);
