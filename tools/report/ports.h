/*
 * The ephemeral ports that a run's connections use, as the kernel reports them (tools/ports/ports.h): of this network
 * namespace only, and of all programs that connect to the same destinations.
 */
#pragma once

#include "tools/base/address.h"

struct stats_view;

struct report_ports {
	unsigned used, usable; /* of the fullest tuple; usable 0: the kernel refused */
	unsigned time_wait;    /* of all the view's destinations together */
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX]; /* of that tuple; "": none is in use */
};

/* Looks now. */
void report_ports_look(const struct stats_view *view, struct report_ports *ports);
