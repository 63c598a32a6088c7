/* See queue.h. */
#include "tools/relay/queue.h"

#include <stdlib.h>
#include <string.h>

#define LEAST 4096u
#define KEPT_EMPTY 16384u /* of an empty queue */

static bool make_room(struct queue *queue, size_t length)
{
	size_t capacity = queue->capacity ? queue->capacity : LEAST;
	char *bytes;

	if (queue->begin + queue->length + length <= queue->capacity)
		return true;
	if (queue->begin) {
		memmove(queue->bytes, queue_bytes(queue), queue->length);
		queue->begin = 0;
	}
	while (capacity < queue->length + length)
		capacity *= 2;
	if (capacity == queue->capacity)
		return true;
	bytes = realloc(queue->bytes, capacity);
	if (!bytes)
		return false;
	queue->bytes = bytes;
	queue->capacity = capacity;
	return true;
}

bool queue_add(struct queue *queue, const char *bytes, size_t length)
{
	if (!make_room(queue, length))
		return false;
	memcpy(queue_bytes(queue) + queue->length, bytes, length);
	queue->length += length;
	return true;
}

void queue_drop(struct queue *queue, size_t length)
{
	queue->begin += length;
	queue->length -= length;
	if (queue->length)
		return;
	queue->begin = 0;
	if (queue->capacity > KEPT_EMPTY)
		queue_clear(queue);
}

void queue_clear(struct queue *queue)
{
	free(queue->bytes);
	*queue = (struct queue){0};
}
