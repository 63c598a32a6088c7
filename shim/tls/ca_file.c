/* See ca_file.h. */
#include "shim/tls/ca_file.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "shim/base/lock.h"
#include "shim/base/real.h"

/* Beyond it, and below, an index gains nothing that matters. */
#define LEAST 4096
#define MOST (16 << 20)
/* Of these a process remembers the indexes; any more end with their users. */
#define N_KNOWN 8
#define SETTLED_S 2

struct ca_file {
	struct stat identity; /* of the file when it was read */
	_Atomic(unsigned) n_users;
	size_t n, mapped;
	const struct tls_bundle_entry *entries;
	const uint8_t *decoded;
};

static struct guard_lock lock; /* covers what follows */
static struct ca_file *known[N_KNOWN];
static unsigned next_known;

static bool is_same(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
	       memcmp(&one->st_mtim, &other->st_mtim, sizeof(one->st_mtim)) == 0 &&
	       memcmp(&one->st_ctim, &other->st_ctim, sizeof(one->st_ctim)) == 0;
}

static struct ca_file *find_known(const struct stat *identity)
{
	struct ca_file *found = NULL;

	if (!guard_lock_try(&lock))
		return NULL;
	for (unsigned i = 0; i < N_KNOWN && !found; i++)
		if (known[i] && is_same(&known[i]->identity, identity))
			found = known[i];
	if (found)
		atomic_fetch_add(&found->n_users, 1);
	guard_unlock(&lock);
	return found;
}

static size_t in_pages(size_t length)
{
	return (length + 4095) & ~(size_t)4095;
}

static void unmap(struct ca_file *file)
{
	libc.munmap(file, file->mapped);
}

/* The file, its entries and what was decoded of it, in one mapping. */
static struct ca_file *make(const char *text, const struct stat *identity)
{
	size_t length = (size_t)identity->st_size, n_entries = tls_bundle_entries(length);
	size_t entries_at = in_pages(sizeof(struct ca_file));
	size_t decoded_at = entries_at + in_pages(n_entries * sizeof(struct tls_bundle_entry));
	size_t mapped = decoded_at + in_pages(tls_bundle_decoded(length));
	uint8_t *memory = libc.mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ca_file *file = (void *)memory;

	if (memory == MAP_FAILED)
		return NULL;
	file->identity = *identity;
	file->n_users = 1;
	file->mapped = mapped;
	file->entries = (void *)(memory + entries_at);
	file->decoded = memory + decoded_at;
	file->n = tls_bundle_read(text, length, memory + decoded_at, (void *)(memory + entries_at));
	if (file->n)
		return file;
	unmap(file);
	return NULL;
}

static bool read_all(int fd, char *text, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t n = real.read(fd, text + at, length - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* A file that changes while it is read is none to be remembered. (It is not mapped: it may become shorter.) */
static struct ca_file *read_file(int fd, const struct stat *identity)
{
	size_t length = (size_t)identity->st_size;
	void *text = libc.mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct ca_file *file = NULL;
	struct stat after;

	if (text == MAP_FAILED)
		return NULL;
	if (read_all(fd, text, length))
		file = make(text, identity);
	libc.munmap(text, length);
	if (file && (libc.fstat(fd, &after) < 0 || !is_same(identity, &after))) {
		unmap(file);
		file = NULL;
	}
	return file;
}

static void remember(struct ca_file *file)
{
	struct ca_file *former;

	if (!guard_lock_try(&lock))
		return;
	former = known[next_known];
	known[next_known] = file;
	next_known = (next_known + 1) % N_KNOWN;
	atomic_fetch_add(&file->n_users, 1);
	guard_unlock(&lock);
	if (former)
		ca_file_close(former);
}

/* What is written now may be written again without its times telling: clocks of file systems are coarse. */
static bool is_settled(const struct stat *identity)
{
	struct timespec now;

	return libc.clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - identity->st_mtim.tv_sec >= SETTLED_S &&
	       now.tv_sec - identity->st_ctim.tv_sec >= SETTLED_S;
}

struct ca_file *ca_file_open(const char *path)
{
	int fd = libc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct ca_file *file = NULL;
	struct stat identity;

	if (fd < 0)
		return NULL;
	if (libc.fstat(fd, &identity) == 0 && S_ISREG(identity.st_mode) && identity.st_size >= LEAST &&
	    identity.st_size <= MOST) {
		file = find_known(&identity);
		if (!file && (file = read_file(fd, &identity)) && is_settled(&identity))
			remember(file);
	}
	real.close(fd);
	return file;
}

void ca_file_close(struct ca_file *file)
{
	if (atomic_fetch_sub(&file->n_users, 1) == 1)
		unmap(file);
}

size_t ca_file_count(const struct ca_file *file)
{
	return file->n;
}

const struct tls_bundle_entry *ca_file_entry(const struct ca_file *file, size_t index)
{
	return &file->entries[index];
}

const uint8_t *ca_file_bytes(const struct ca_file *file, uint32_t at)
{
	return file->decoded + at;
}
