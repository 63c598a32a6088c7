/* Bytes on their way from one socket to another, in the order in which they came. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* All zero: empty. */
struct queue {
	char *bytes; /* those that wait begin at `begin` */
	size_t begin, length, capacity;
};

static inline char *queue_bytes(const struct queue *queue)
{
	return queue->bytes + queue->begin;
}

/* False when there is no memory: nothing has changed. */
bool queue_add(struct queue *queue, const char *bytes, size_t length) __attribute__((warn_unused_result));

/* The first `length` bytes have gone. An empty queue gives its memory back where it was much. */
void queue_drop(struct queue *queue, size_t length);

void queue_clear(struct queue *queue);
