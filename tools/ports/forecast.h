/*
 * The future of a tuple's ports: how fast they are taken now, which rate could last for ever, and when none will be
 * left. Pure arithmetic over a sealed sample (ports.h).
 *
 * With N usable ports, and connections that live for `lifetime` and then leave TIME_WAIT on our side for W = 60 s
 * (where tcp_tw_reuse applies: its delay, 1 s), N / (lifetime + W) dials a second can go on for ever. If the peer
 * closes first, there is no TIME_WAIT here, and W is 0.
 */
#pragma once

#include "tools/ports/kernel.h"

struct ports_forecast {
	double dials;	    /* a second, now */
	double closes;	    /* a second, now: TIME_WAITs that begin, seen in their timers without waiting */
	double growth;	    /* a second: increase of connections outside TIME_WAIT; 0: none seen */
	double lifetime_s;  /* of a connection until it is closed; 0: no dials were seen */
	double sustainable; /* dials a second that could go on for ever; 0: unknown */
	/* Until no port is left at the present rates; 0: none is left; INFINITY: never, or a burst of less than two
	 * seconds or five events, which allows no forecast. */
	double exhaustion_s;
	unsigned n_events;  /* dials and closes behind these figures: few of them make the figures rough */
	bool is_past_cliff; /* more than half is used: connect() first searches the other half in vain, and gets slow */
};

/* `pace`: dials and closes in the window before the sample; NULL if there was no window. */
void ports_forecast_make(const struct ports_sample *sample, const struct ports_tuple *tuple,
			 const struct ports_pace *pace, struct ports_forecast *forecast);

/* A stretch of time over which events came at a steady rate. */
struct ports_stretch {
	double seconds;
	unsigned n_events;
	double rate; /* a second, measured over one second at least */
};

/* Finds the latest such stretch from the events' ages in bins (the youngest first). One without events counts, too. */
void ports_forecast_find_stretch(const uint16_t bins[PORTS_N_BINS], struct ports_stretch *stretch);
