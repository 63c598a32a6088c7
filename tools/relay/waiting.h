/*
 * Clients that wait for a connection at the limit of their destination: a line for each destination, first come, first
 * served.
 */
#pragma once

#include <stdbool.h>

struct client;
struct destination_key;

/* True if somebody waits for this one (NULL: for any). */
bool waiting_is_any(const struct destination_key *key);

/* At the end of its line. False when there is no memory. */
bool waiting_add(struct client *client) __attribute__((warn_unused_result));

void waiting_remove(struct client *client);

/* Removes the first of each line, again and again, as long as it can be served; and serves it. Whoever waits again ends
 * that for its line. */
void waiting_serve(bool (*can_be_served)(const struct client *client), void (*serve)(struct client *client));
