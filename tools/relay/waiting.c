/* See waiting.h. */
#include "tools/relay/waiting.h"

#include <stdlib.h>
#include <utlist.h>

#include "tools/relay/client.h"

/* Never empty. They are few: of destinations that are at their limit. */
struct line {
	struct destination_key key;
	struct client *first;
	bool was_seen; /* in this round */
	struct line *prev, *next;
};

static struct line *lines;

static struct line *find(const struct destination_key *key)
{
	struct line *line;

	DL_FOREACH(lines, line)
	if (destination_key_equal(&line->key, key))
		return line;
	return NULL;
}

bool waiting_is_any(const struct destination_key *key)
{
	return key ? find(key) != NULL : lines != NULL;
}

bool waiting_add(struct client *client)
{
	struct line *line = find(&client->key);

	if (!line) {
		line = calloc(1, sizeof(*line));
		if (!line)
			return false;
		line->key = client->key;
		DL_APPEND(lines, line);
	}
	DL_APPEND2(line->first, client, queue_previous, queue_next);
	return true;
}

void waiting_remove(struct client *client)
{
	struct line *line = find(&client->key);

	DL_DELETE2(line->first, client, queue_previous, queue_next);
	if (line->first)
		return;
	DL_DELETE(lines, line);
	free(line);
}

/* True if it was served, and another one may be. */
static bool serve_first(const struct line *line, bool (*can_be_served)(const struct client *client),
			void (*serve)(struct client *client))
{
	struct client *client = line->first;

	if (!can_be_served(client))
		return false;
	waiting_remove(client);
	serve(client);
	return client->stage != CLIENT_QUEUED;
}

static struct line *next_unseen(void)
{
	struct line *line;

	DL_FOREACH(lines, line)
	if (!line->was_seen)
		return line;
	return NULL;
}

void waiting_serve(bool (*can_be_served)(const struct client *client), void (*serve)(struct client *client))
{
	struct line *line;

	DL_FOREACH(lines, line)
	{
		line->was_seen = false;
	}
	while ((line = next_unseen())) {
		struct destination_key key = line->key;

		/* The line may be gone afterwards, or be a new one. */
		if (!serve_first(line, can_be_served, serve) && (line = find(&key)))
			line->was_seen = true;
	}
}
