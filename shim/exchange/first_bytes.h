/*
 * The first bytes that a program sends on a connection decide what becomes of it: whether a kept one may carry them,
 * whether its server is asked to keep it, whether anybody will ride on it afterwards.
 */
#pragma once

#include <stddef.h>

#include "pool/proto/plan.h"

struct sock;
struct transfer;

/* Classifies the beginning of `total` bytes. */
enum framing_first first_bytes_classify(const struct transfer *transfer, size_t total);

/* Before they are sent. 0; 1: they go native, and the socket is not tracked any more; or -errno of a dial that failed.
 * Locked. */
int first_bytes_prepare(struct sock *sock, const struct transfer *transfer, size_t total)
	__attribute__((warn_unused_result));
