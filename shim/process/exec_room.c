/* See exec_room.h. */
#include "shim/process/exec_room.h"

#include <errno.h>
#include <sys/mman.h>

#include "shim/base/home.h"
#include "shim/base/real.h"

/* The head of a mapping. */
struct exec_room {
	struct exec_room *next;
	size_t size;
	int depth; /* of vfork children, that of its owner */
};

/* The newest first. A vfork child has its parent's, and a handler leaves it as it was. */
static __thread struct exec_room *rooms __attribute__((tls_model("initial-exec")));

struct exec_room *exec_room_begin(void)
{
	return rooms;
}

void *exec_room_map(size_t size)
{
	struct exec_room *room;

	size += sizeof(*room);
	room = libc.mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	*room = (struct exec_room){rooms, size, vfork_is_child};
	rooms = room;
	return room + 1;
}

static void unmap_newest(void)
{
	struct exec_room *room = rooms;

	rooms = room->next;
	libc.munmap(room, room->size);
}

void exec_room_end(struct exec_room *begin)
{
	int error = errno;

	while (rooms && rooms != begin)
		unmap_newest();
	errno = error;
}

void exec_room_end_of_child(void)
{
	while (rooms && rooms->depth > vfork_is_child)
		unmap_newest();
}
