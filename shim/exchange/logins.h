/*
 * What was said first on connections whose server speaks first (MySQL), when they are parked and when the process ends.
 * How a program logs in on such a one: relogin.h.
 */
#pragma once

#include "pool/conn/refusal.h"

struct sock;

/* What was said first on a connection that is about to be parked is noted with it. REFUSAL_NONE, or why nobody could
 * log in on it. Locked. */
enum refusal logins_note(struct sock *sock);

/* The process ends: the servers of idle connections hear a goodbye. May wait for a moment. */
void logins_end_all(void);
