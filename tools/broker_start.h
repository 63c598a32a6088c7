/* Starts a user's broker, if there is none, for `holdline run`. */
#pragma once

/* Returns once a broker listens at `path` (as broker_place_find() gives it), or cannot be had: 0 or -errno. The broker is
 * nobody's child, has none of our descriptors, and ends by itself. */
int broker_start(const char *path) __attribute__((warn_unused_result));
