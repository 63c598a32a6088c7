/* See owners.h. */
#include "tools/ports/owners.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/base/text.h"
#include "tools/ports/parked.h"

struct wanted {
	uint32_t inode;
	pid_t *pid;
};

struct search {
	struct wanted *wanted; /* by inode */
	size_t n, n_missing;
};

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static void want(struct search *search, uint32_t inode, pid_t *pid)
{
	if (inode)
		search->wanted[search->n++] = (struct wanted){inode, pid};
}

static int begin(struct search *search, struct ports_sample *sample)
{
	size_t n = sample->n_live + sample->n_holders + sample->n_fixed;

	search->n = 0;
	search->wanted = n ? malloc(n * sizeof(search->wanted[0])) : NULL;
	if (n && !search->wanted)
		return -ENOMEM;
	for (size_t i = 0; i < sample->n_live; i++)
		if (!sample->live[i].pid && !sample->live[i].ended[0])
			want(search, sample->live[i].inode, &sample->live[i].pid);
	for (size_t i = 0; i < sample->n_holders; i++)
		want(search, sample->holders[i].inode, &sample->holders[i].pid);
	for (size_t i = 0; i < sample->n_fixed; i++)
		want(search, sample->fixed[i].inode, &sample->fixed[i].pid);
	if (search->n)
		qsort(search->wanted, search->n, sizeof(search->wanted[0]), compare_wanted);
	search->n_missing = search->n;
	return 0;
}

static void meet(struct search *search, const char *link, pid_t pid)
{
	struct wanted key = {0}, *found;
	unsigned inode;

	if (sscanf(link, "socket:[%u]", &inode) != 1)
		return;
	key.inode = inode;
	found = bsearch(&key, search->wanted, search->n, sizeof(key), compare_wanted);
	/* A socket of several processes, for instance of a server that forked, is attributed to the first one found. */
	if (!found || *found->pid)
		return;
	*found->pid = pid;
	search->n_missing--;
}

static void search_process(struct search *search, pid_t pid)
{
	char path[64], link[64];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	while (folder && search->n_missing && (entry = readdir(folder))) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1);

		if (length <= 0)
			continue;
		link[length] = '\0';
		meet(search, link, pid);
	}
	if (folder)
		closedir(folder);
}

static void find_parkers(struct ports_sample *sample)
{
	struct parked_list parked;

	if (!sample->n_live)
		return;
	parked_read(&parked);
	for (size_t i = 0; i < sample->n_live; i++) {
		struct ports_live *live = &sample->live[i];
		const struct parked *found = parked_find(&parked, live->cookie, (uint16_t)live->tuple->key.port);

		if (found && found->pid)
			live->pid = found->pid;
		else if (found)
			memcpy(live->ended, found->name, sizeof(live->ended));
	}
	parked_free(&parked);
}

int owners_find(struct ports_sample *sample)
{
	struct search search = {0};
	struct dirent *entry;
	DIR *processes = NULL;
	int error;

	find_parkers(sample);
	error = begin(&search, sample);

	if (!error && search.n_missing && !(processes = opendir("/proc")))
		error = -errno;
	while (processes && search.n_missing && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			search_process(&search, atoi(entry->d_name));
	if (processes)
		closedir(processes);
	free(search.wanted);
	return error;
}

static struct owners_share *find_share(struct owners_share *shares, size_t n, const struct ports_live *live)
{
	for (size_t i = 0; i < n; i++)
		if (shares[i].pid == live->pid && (live->pid || shares[i].uid == live->uid) &&
		    strcmp(shares[i].ended, live->ended) == 0)
			return &shares[i];
	return NULL;
}

static int compare_shares(const void *a, const void *b)
{
	const struct owners_share *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

size_t owners_share(const struct ports_tuple *tuple, struct owners_share *shares, size_t max)
{
	size_t n = 0;

	for (const struct ports_live *live = tuple->live; live; live = live->next) {
		struct owners_share *share = find_share(shares, n, live);

		if (share)
			share->n++;
		if (share || n == max)
			continue;
		shares[n] = (struct owners_share){.pid = live->pid, .uid = live->uid, .n = 1};
		memcpy(shares[n++].ended, live->ended, sizeof(live->ended));
	}
	if (n)
		qsort(shares, n, sizeof(shares[0]), compare_shares);
	return n;
}

void owners_name(pid_t pid, char name[OWNERS_NAME_MAX])
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, OWNERS_NAME_MAX, file))
		strcpy(name, "?");
	name[strcspn(name, "\n")] = '\0';
	text_make_printable(name);
	if (file)
		fclose(file);
}
