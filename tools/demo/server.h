/*
 * The demo's HTTP/1.x server: a process of its own on 127.0.0.1. It keeps connections as real servers do, answers every
 * request with 1 KiB, and counts.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct demo_counts {
	_Atomic uint64_t n_connections;
	_Atomic uint64_t n_requests;
};

struct demo_server {
	uint16_t port;
	struct demo_counts *counts; /* shared with the server's process */
	pid_t pid;
};

/* Starts a server on `port`; 0: on any free one. After the last response of a connection (HTTP/1.0, `Connection:
 * close`) the server closes first, as real ones do; with `client_closes_first` it lets the client do so. 0 or
 * -errno. */
int demo_server_start(struct demo_server *server, uint16_t port, bool client_closes_first)
	__attribute__((warn_unused_result));

void demo_server_stop(struct demo_server *server);
