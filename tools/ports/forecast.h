/*
 * What will become of a tuple's ports: how fast they are taken now, how fast they could be for ever, and when none will be
 * left. Pure arithmetic over a sealed sample (ports.h).
 *
 * With N usable ports, and connections that live for `lifetime` and then leave TIME_WAIT on our side for W = 60 s (where
 * tcp_tw_reuse applies: its delay, 1 s), N / (lifetime + W) dials a second can go on for ever. If the peer closes first,
 * there is no TIME_WAIT here, and W is 0.
 */
#pragma once

#include "tools/ports/kernel.h"

struct ports_forecast {
	double dials;  /* a second, now */
	double closes; /* beginnings of TIME_WAIT a second, now: seen in their timers, without waiting */
	double growth; /* by so many a second do connections become more that are not in TIME_WAIT; 0: not seen to */
	double lifetime_s;   /* of a connection until it is closed; 0 where no dials were seen */
	double sustainable;  /* dials a second that could go on for ever; 0: unknown */
	double exhaustion_s; /* until no port is left if it goes on as now; 0: none is left; INFINITY: never, or a burst
				 * of less than two seconds or five events, which foretells nothing */
	unsigned n_events;   /* dials and closes that this rests on: few of them make it rough */
	bool is_past_cliff; /* more than half is used: connect() searches the other half in vain first, and gets slow */
};

/* `pace`: what happened in the window before the sample; NULL if there was none. */
void ports_forecast_make(const struct ports_sample *sample, const struct ports_tuple *tuple,
			 const struct ports_pace *pace, struct ports_forecast *forecast);

/* A stretch of time over which events came at a steady rate. */
struct ports_stretch {
	double seconds;
	unsigned n_events;
	double rate; /* a second; over one second at least */
};

/* The latest such stretch, from the events' ages in bins (the youngest first). One without events is one, too. */
void ports_forecast_find_stretch(const uint16_t bins[PORTS_N_BINS], struct ports_stretch *stretch);
