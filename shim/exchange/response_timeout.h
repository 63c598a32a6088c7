/*
 * How long a blocking read may wait for an answer that has not begun (RESPONSE_HEADER_TIMEOUT,
 * EXPECT_CONTINUE_TIMEOUT).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sock;
struct transfer;

#define RESPONSE_TIMEOUT_ENDLESS UINT64_MAX

/* The remaining time of this call, in ns; RESPONSE_TIMEOUT_ENDLESS where no timeout is set, the program doesn't wait,
 * or has a shorter timeout of its own. Locked. */
uint64_t response_timeout_left(const struct sock *sock, const struct transfer *transfer);

/* Waits for bytes. True: there are some (or an end, or an error). False and errno: ETIMEDOUT, and the connection is
 * ended as one that timed out; or EINTR. Unlocked. */
bool response_timeout_wait(int fd, uint64_t left_ns);
