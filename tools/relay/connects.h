/*
 * A program's connect() and getpeername() calls: the socket is connected to the relay, refused as the server refuses,
 * or left to the kernel.
 */
#pragma once

#include <linux/seccomp.h>

void connects_take(const struct seccomp_notif *notice);

/* Lets those pass whose servers have not answered for too long. */
void connects_tick(void);

/* Milliseconds until connects_tick() is due; -1: never. */
int connects_wait_ms(void);
