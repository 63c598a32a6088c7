/*
 * The terminal as a screen that is drawn over and over: the alternate screen, without cursor and echo. It is left again
 * however the program ends, even by a signal that kills or stops it. There is only one, of standard input and output.
 * Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum terminal_event {
	TERMINAL_TIMEOUT,
	TERMINAL_KEY,
	TERMINAL_REDRAW, /* the size has changed, or the stopped program continues */
	TERMINAL_CLOSED, /* standard input has ended */
};

#define TERMINAL_ESCAPE 27
#define TERMINAL_BACKSPACE 127

/* Enters the screen. Signals that end or stop the process get handlers. 0 or -errno: -ENOTTY. */
int terminal_enter(void) __attribute__((warn_unused_result));

/* Leaves the screen; does nothing if it was not entered or is left already. */
void terminal_leave(void);

/* Waits for `timeout_ms`. Keys that are sequences, such as arrows, are passed over. Without a terminal to read from,
 * there are no keys. */
enum terminal_event terminal_wait(int timeout_ms, char *key);

void terminal_size(unsigned *columns, unsigned *lines);

/* Draws a whole screen: lines, each ended by a newline. The rest of the screen is blanked. */
void terminal_draw(const char *text, size_t length);
