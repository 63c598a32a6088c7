/*
 * Memory for the arguments and the environment of a program that is about to be executed: in the caller's frame where
 * they are few. A large environment has a mapping of its own, since the caller's stack may be a small one: of a thread,
 * or of a vfork child, which has its parent's.
 *
 * Async-signal-safe. errno is lost, but by exec_room_end().
 */
#pragma once

#include <stddef.h>

#define EXEC_ROOM_IN_FRAME 4096

/* Aligned for pointers; NULL: there is none. A macro, since the memory is in the caller's frame. */
#define EXEC_ROOM(size) ((size) <= EXEC_ROOM_IN_FRAME ? __builtin_alloca(size) : exec_room_map(size))

struct exec_room;

/* The mapping that the thread had before, for exec_room_end(). */
struct exec_room *exec_room_begin(void);

/* Maps memory until exec_room_end(). */
void *exec_room_map(size_t size);

/* The program was not executed, or in another process: what was mapped since is unmapped. errno is preserved. */
void exec_room_end(struct exec_room *begin);

/* In the parent of a vfork child that has executed a program or has ended: what the child has mapped is unmapped. */
void exec_room_end_of_child(void);
