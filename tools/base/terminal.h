/*
 * The terminal as a screen that is drawn over and over: the alternate screen without cursor and echo, left again however
 * the program ends, by a signal that kills it or stops it too. Only one, of standard input and output. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum terminal_event {
	TERMINAL_TIMEOUT,
	TERMINAL_KEY,
	TERMINAL_REDRAW, /* the size has changed, or the program was stopped and goes on */
	TERMINAL_CLOSED, /* nobody types any more */
};

#define TERMINAL_ESCAPE 27
#define TERMINAL_BACKSPACE 127

/* Enters the screen. Signals that end or stop the process get handlers. 0 or -errno: -ENOTTY. */
int terminal_enter(void) __attribute__((warn_unused_result));

/* Leaves it; nothing happens if it was not entered, or is left already. */
void terminal_leave(void);

/* Waits for `timeout_ms`. A key that is a sequence, as the arrows are, is passed over. Without a terminal to read from,
 * there are no keys. */
enum terminal_event terminal_wait(int timeout_ms, char *key);

void terminal_size(unsigned *columns, unsigned *lines);

/* Draws a whole screen: lines, each ended by a newline. What it does not cover is blank. */
void terminal_draw(const char *text, size_t length);
