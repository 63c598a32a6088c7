/* Starts the user's broker for `holdline run`, if there is none. */
#pragma once

/* Tells the broker at `path` about this process, the run that it must stay for. 0, or -errno: there is no broker. */
int broker_join(const char *path);

/* The same, once a broker listens at `path` (broker_path_find()) or none can be started: 0 or -errno. A new broker is
 * not our child, has none of our descriptors, and ends by itself. */
int broker_start(const char *path) __attribute__((warn_unused_result));
