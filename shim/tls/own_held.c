/* See own_held.h. */
#include "shim/tls/own_held.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/conn/ending.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/kept/pool.h"
#include "shim/tls/own_attempt.h"
#include "shim/tls/own_request.h"

/* For so long, and some round trips, a server may take for another connection while the first still stands (as in
 * redial.c); and the dial before that. */
#define GENTLE_NS (200 * MILLISECOND_NS)
#define GENTLE_ROUND_TRIPS 4
#define DIAL_NS (3000 * MILLISECOND_NS)

static uint64_t round_trip_ns(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	real.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	return (uint64_t)info.tcpi_rtt * 1000;
}

void own_held_begin(struct own_wire *own, struct conn *conn)
{
	own->held = conn;
	own->is_gentle = true;
	own->gentle_ns = GENTLE_NS + GENTLE_ROUND_TRIPS * round_trip_ns(conn->fd);
}

void own_held_end(struct own_wire *own, bool is_for_server)
{
	struct conn *held = own->held;
	struct pool_farewell farewell;

	own->held = NULL;
	/* A child of fork has only a copy. */
	if (!held || own_is_parents(own))
		return;
	if (!is_for_server) {
		held->session = own->old;
		own->old = NULL;
	} else if (wire_take_farewell(own->old, &farewell)) {
		ending_make_for_all(&sock_pool_sys, held->fd, &farewell);
	}
	/* (A slow server looks the same: nothing is learned of it.) */
	redial_end_held(held, false);
}

static bool is_silent(int fd)
{
	char byte;

	return real.recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void own_held_end_gentle_time(struct own_wire *own, int fd, bool is_dialed)
{
	uint64_t now_ns = guard_now_ns();

	if (is_dialed && !own->is_dialed)
		own->begun_ns = now_ns;
	own->is_dialed |= is_dialed;
	if (now_ns - own->begun_ns <= (own->is_dialed ? own->gentle_ns : DIAL_NS))
		return;
	own->is_gentle = false;
	if (!own_attempt_was_answered(own) && is_silent(fd))
		own_held_end(own, true);
}
