/*
 * HOLDLINE_LOG: one line an event, appended to a file by a single write(2), formatted without stdio or memory. Silent
 * when the variable is unset: then each call is one comparison. Once the file was moved (log rotation), a new one is
 * opened at its path within a second, if that path is an absolute one.
 */
#pragma once

struct destination_key;

/* Opens the file; without one, or if it can't be opened, there is no log. The path must stay. */
void log_open(const char *path);

/* From now on no new file is opened: the program is about to forbid itself system calls. */
void log_leave_alone(void);

/* The log's descriptor, -1 if there is none. */
int log_fd(void);

/* Makes room at a number that the log may stand on. */
void log_move(int from);

/* The process's counters, as its last line: only those that are not zero. */
struct stats_counts;
void log_stats(const struct stats_counts *counts);

/* `what` happened to a socket with this key (its port is 0: no peer yet) and descriptor (-1: none), `why` may be
 * NULL. errno is preserved. */
void log_write(const char *what, const struct destination_key *key, int socket_fd, const char *why);
