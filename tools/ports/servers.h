/*
 * The connections of a server in the ephemeral range whose listener is gone. Nothing but their number tells them from
 * a client's: one local port with many peers, each at an ephemeral port of its own and with this one connection.
 */
#pragma once

#include "tools/ports/ports.h"

/* Removes them from a sample that is complete, and whose usable ports are counted. Each is a tuple of one connection,
 * so that no tuple near its limit is ever lost. The server's port stays among those in use from its address. */
void servers_drop(struct ports_sample *sample);
