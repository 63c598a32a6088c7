/* Starts a user's broker, if there is none, for `holdline run`. */
#pragma once

/* Tells the broker at `path` of this process, the run that it is to stay for. 0, or -errno: there is none. */
int broker_join(const char *path);

/* The same, once one listens at `path` (broker_path_find()) or cannot be had: 0 or -errno. The broker is nobody's
 * child, has none of our descriptors, and ends by itself. */
int broker_start(const char *path) __attribute__((warn_unused_result));
