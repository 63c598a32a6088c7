/* Slots, and the total of what ended. See file.h. */
#include "pool/stats/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/base/path_trust.h"

/* Adding a page to a total takes some microseconds; the lock's holder may be descheduled. */
#define LOCK_TRIES 200
#define LOCK_WAIT_NS 50000
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

#define FILL_SIZE 4096

static const uint32_t page_room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static const uint32_t total_room[STATS_N_ARRAYS] = STATS_TOTAL_ROOM;

void stats_file_name_slot(unsigned slot, char name[STATS_SLOT_NAME_MAX])
{
	/* No stdio: the wrapper's caller may be in the middle of a stdio call. */
	for (int i = 3; i >= 0; i--, slot /= 10)
		name[i] = (char)('0' + slot % 10);
	name[4] = '\0';
}

/* Appends, or says that there is no room. */
static bool append(char path[PATH_MAX], const char *text)
{
	size_t length = strlen(path);

	if (length + strlen(text) >= PATH_MAX)
		return false;
	strcpy(path + length, text);
	return true;
}

/* The name contains the version, so that a program with an older library is never misread. */
#define FOLDER "/stats.4"
_Static_assert(STATS_VERSION == 4, "the folder's name says the version");

int stats_file_place(unsigned choice, const char *runtime, uid_t user, char path[PATH_MAX])
{
	char digits[16];
	size_t at = sizeof(digits) - 1;

	path[0] = digits[at] = '\0';
	if (choice == 0 && runtime && runtime[0] == '/')
		return append(path, runtime) && append(path, "/holdline" FOLDER) ? 0 : -ENAMETOOLONG;
	if (choice != 1)
		return -ENOENT;
	do
		digits[--at] = (char)('0' + user % 10);
	while (user /= 10);
	return append(path, "/dev/shm/holdline-") && append(path, digits + at) && append(path, FOLDER) ? 0
												       : -ENAMETOOLONG;
}

/* Cuts off the last component. Returns where; NULL: there is no folder before it, or only /. */
static char *cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return NULL;
	*slash = '\0';
	return slash;
}

/* 0, or the reason why the folder can't be used. */
static int judge_folder(const struct stats_sys *sys, int folder, uid_t user, bool may_be_on_disk)
{
	struct stat status;
	struct statfs system;

	if (sys->fstat(folder, &status) < 0 || sys->fstatfs(folder, &system) < 0)
		return -errno;
	if (!path_trust_is_private(&status, user))
		return -EPERM;
	return may_be_on_disk || system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC ? 0 : -EXDEV;
}

static int open_judged(const struct stats_sys *sys, const char *path, uid_t user, bool may_be_on_disk)
{
	int folder = sys->openat(AT_FDCWD, path, FOLDER_FLAGS), error;

	if (folder < 0)
		return -errno;
	error = judge_folder(sys, folder, user, may_be_on_disk);
	if (!error)
		return folder;
	sys->close(folder);
	return error;
}

static int stat_folder(const struct stats_sys *sys, const char *path, int flags, struct stat *status)
{
	return sys->fstatat(AT_FDCWD, path, status, flags) < 0 ? -errno : 0;
}

static int check_steady(const struct stats_sys *sys, const char *path, uid_t user)
{
	struct stat status;
	int error = stat_folder(sys, path, 0, &status);

	return error || path_trust_is_steady(&status, user) ? error : -EPERM;
}

static int check_private(const struct stats_sys *sys, const char *path, uid_t user)
{
	struct stat status;
	int error = stat_folder(sys, path, AT_SYMLINK_NOFOLLOW, &status);

	if (error == -ENOENT && sys->mkdir(path, 0700) == 0)
		error = stat_folder(sys, path, AT_SYMLINK_NOFOLLOW, &status);
	return error || path_trust_is_private(&status, user) ? error : -EPERM;
}

/* In /dev/shm anybody may have made our folder's parent, even as a symbolic link. sudo(8) may leave us another user's
 * $XDG_RUNTIME_DIR, and that user could replace the folder at any time. Nobody can once both are found good. */
static int check_parents(const struct stats_sys *sys, char *path, uid_t user)
{
	char *last = cut_name(path), *slash = last ? cut_name(path) : NULL;
	int error = slash ? check_steady(sys, path, user) : -EPERM;

	if (slash)
		*slash = '/';
	if (!error)
		error = check_private(sys, path, user);
	if (last)
		*last = '/';
	return error;
}

/* Only where the parent is in memory. */
static int make_default(const struct stats_sys *sys, char *path, uid_t user)
{
	char *last = cut_name(path);
	int parent;

	if (!last)
		return -EPERM;
	parent = open_judged(sys, path, user, false);
	*last = '/';
	if (parent < 0)
		return parent;
	sys->close(parent);
	sys->mkdir(path, 0700);
	return open_judged(sys, path, user, false);
}

int stats_file_open_default(const struct stats_sys *sys, char *path, uid_t user)
{
	int error = check_parents(sys, path, user), folder;

	if (error)
		return error;
	folder = open_judged(sys, path, user, false);
	return folder == -ENOENT ? make_default(sys, path, user) : folder;
}

__attribute__((noinline)) static void make_folder(const struct stats_sys *sys, const char *path)
{
	char parent[PATH_MAX] = "";

	if (append(parent, path) && cut_name(parent))
		sys->mkdir(parent, 0700);
	sys->mkdir(path, 0700);
}

int stats_file_open_folder(const struct stats_sys *sys, const char *path, uid_t user)
{
	int folder = open_judged(sys, path, user, true);

	if (folder != -ENOENT)
		return folder;
	make_folder(sys, path);
	return open_judged(sys, path, user, true);
}

int stats_file_open(const struct stats_sys *sys, const char *setting, const char *runtime, uid_t user)
{
	char path[PATH_MAX];
	int folder = -ENOENT;

	if (strcmp(setting, "auto") != 0)
		return stats_file_open_folder(sys, setting, user);
	for (unsigned choice = 0; folder < 0 && choice < 2; choice++)
		if (stats_file_place(choice, runtime, user, path) == 0)
			folder = stats_file_open_default(sys, path, user);
	return folder;
}

/* Opened and locked, or -errno. Unlocking ends the lock even if a forked child shares the descriptor. */
static int open_locked(const struct stats_sys *sys, int folder, const char *name, unsigned tries)
{
	static const struct timespec wait = {0, LOCK_WAIT_NS};
	int fd = sys->openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

	if (fd < 0)
		return -errno;
	while (sys->flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && --tries) {
			sys->nanosleep(&wait, NULL);
			continue;
		}
		sys->close(fd);
		return -EWOULDBLOCK;
	}
	return fd;
}

static void close_locked(const struct stats_sys *sys, int fd)
{
	sys->flock(fd, LOCK_UN);
	sys->close(fd);
}

/* Writes the whole file, so that a store into the mapping can't fault. If there is no room for it, the file is
 * removed. */
static int make_room(const struct stats_sys *sys, int folder, int fd, size_t size)
{
	struct stat status;
	int error;

	if (sys->fstat(fd, &status) < 0)
		return -errno;
	if ((size_t)status.st_size >= size || sys->fallocate(fd, 0, 0, (off_t)size) == 0)
		return 0;
	error = -errno;
	if (!status.st_size)
		sys->unlinkat(folder, STATS_TOTAL_NAME, 0);
	return error;
}

/* Maps the total, made if it is new; NULL and *error. */
static struct stats_page *map_total(const struct stats_sys *sys, int folder, int fd, int *error)
{
	size_t size = stats_size(total_room);
	struct stats_page *total;

	*error = make_room(sys, folder, fd, size);
	if (*error)
		return NULL;
	total = sys->mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (total == MAP_FAILED) {
		*error = -errno;
		return NULL;
	}
	if (!total->magic[0])
		stats_init(total, total_room);
	if (stats_is_sound(total, size) && memcmp(total->n_max, total_room, sizeof(total_room)) == 0)
		return total;
	sys->munmap(total, size);
	*error = -EPROTO;
	return NULL;
}

/* The generation is odd during a change, so that readers notice. A killed process may have left it odd already. */
static void begin_change(struct stats_page *total)
{
	__atomic_store_n(&total->generation, total->generation | 1, __ATOMIC_SEQ_CST);
}

static void end_change(struct stats_page *total)
{
	__atomic_store_n(&total->generation, total->generation + 1, __ATOMIC_SEQ_CST);
}

static int fold(const struct stats_sys *sys, int folder, struct stats_page *page)
{
	int fd = open_locked(sys, folder, STATS_TOTAL_NAME, LOCK_TRIES), error;
	struct stats_page *total;

	if (fd < 0)
		return fd;
	total = map_total(sys, folder, fd, &error);
	if (total) {
		begin_change(total);
		stats_fold(total, page);
		end_change(total);
		sys->munmap(total, stats_size(total_room));
	}
	close_locked(sys, fd);
	return error;
}

int stats_file_put(const struct stats_sys *sys, int folder, unsigned slot, struct stats_page *page)
{
	char name[STATS_SLOT_NAME_MAX];
	int fd, error;

	stats_file_name_slot(slot, name);
	fd = open_locked(sys, folder, name, 1);
	if (fd < 0)
		return fd;
	error = fold(sys, folder, page);
	if (!error)
		sys->unlinkat(folder, name, 0);
	close_locked(sys, fd);
	return error;
}

int stats_file_fold_total(const struct stats_sys *sys, int to_folder, struct stats_page *total)
{
	return fold(sys, to_folder, total);
}

/* A new process with the dead owner's pid keeps the slot taken while it lives; readers count the numbers anyway. */
static bool is_alive(const struct stats_sys *sys, const struct stats_page *page, const struct stats_page *self)
{
	if (page->pid_namespace != self->pid_namespace)
		return true;
	/* Our own slot, taken before an exec. */
	if (page->pid == self->pid)
		return false;
	return sys->kill((pid_t)page->pid, 0) == 0 || errno != ESRCH;
}

/* Takes the slot, unless a living process has it. */
static int take_locked(const struct stats_sys *sys, int folder, int fd, struct stats_page *page)
{
	struct stats_page *old;
	int error = 0;

	old = sys->mmap(NULL, STATS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (old == MAP_FAILED)
		return -errno;
	if (stats_is_sound(old, STATS_PAGE_SIZE) && old->pid) {
		error = is_alive(sys, old, page) ? -EBUSY : fold(sys, folder, old);
		/* A total that can't be written now will not become writable later. */
		if (error == -EPROTO)
			error = 0;
	}
	sys->munmap(old, STATS_PAGE_SIZE);
	return error;
}

/* Writes the whole file, so that a store into the mapping can't fault. */
static int fill(const struct stats_sys *sys, int fd)
{
	static const char zeroes[FILL_SIZE];

	if (sys->fallocate(fd, 0, 0, STATS_PAGE_SIZE) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	for (off_t at = 0; at < STATS_PAGE_SIZE; at += FILL_SIZE)
		if (sys->pwrite(fd, zeroes, FILL_SIZE, at) != FILL_SIZE)
			return -ENOSPC;
	return 0;
}

/* A reader finds a half-written page unsound, or without an owner. Pages of the same size keep their indices. */
static void write_page(struct stats_page *to, struct stats_page *from)
{
	if (to->magic[0]) {
		__atomic_store_n(&to->pid, 0, __ATOMIC_SEQ_CST);
		memset(to, 0, STATS_PAGE_SIZE);
	}
	*to = *from;
	to->pid = 0;
	if (memcmp(from->n_max, page_room, sizeof(page_room)) == 0) {
		memcpy(to + 1, from + 1, STATS_PAGE_SIZE - sizeof(*from));
	} else {
		to->n_intervals = 0;
		stats_init(to, page_room);
		stats_move(to, from);
	}
	__atomic_store_n(&to->pid, from->pid, __ATOMIC_SEQ_CST);
}

static int map_page(const struct stats_sys *sys, int fd, struct stats_page **page)
{
	/* Most processes count in three of its pages: faults there cost less than to map all sixteen. */
	void *mapped = sys->mmap(NULL, STATS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		return -errno;
	write_page(mapped, *page);
	*page = mapped;
	return 0;
}

static int try_slot(const struct stats_sys *sys, int folder, unsigned slot, struct stats_page **page)
{
	char name[STATS_SLOT_NAME_MAX];
	struct stat status;
	int fd, error;

	stats_file_name_slot(slot, name);
	fd = open_locked(sys, folder, name, 1);
	if (fd == -EWOULDBLOCK)
		return -EBUSY;
	if (fd < 0)
		return fd;
	error = sys->fstat(fd, &status) < 0 ? -errno : 0;
	/* The file was removed before we had the lock. */
	if (!error && !status.st_nlink)
		error = -EBUSY;
	if (!error && status.st_size >= STATS_PAGE_SIZE)
		error = take_locked(sys, folder, fd, *page);
	if (!error) {
		error = status.st_size >= STATS_PAGE_SIZE ? 0 : fill(sys, fd);
		if (!error)
			error = map_page(sys, fd, page);
		if (error)
			sys->unlinkat(folder, name, 0);
	}
	close_locked(sys, fd);
	return error;
}

int stats_file_take(const struct stats_sys *sys, int folder, struct stats_page **page)
{
	for (unsigned i = 0; i < STATS_SLOTS; i++) {
		unsigned slot = ((*page)->pid + i) % STATS_SLOTS;
		int error = try_slot(sys, folder, slot, page);

		if (error == 0)
			return (int)slot;
		if (error != -EBUSY && error != -EWOULDBLOCK)
			return error;
	}
	return -EBUSY;
}
