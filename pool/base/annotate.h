/*
 * Tells a race detector that knows pthread's locks alone about ours. Nothing at all unless the build says
 * HOLDLINE_HELGRIND (tests/helgrind): then by client requests to valgrind, which are a few instructions without
 * effect outside of it.
 */
#pragma once

#ifdef HOLDLINE_HELGRIND
#include <valgrind/helgrind.h>
#define ANNOTATE_LOCKED(lock) ANNOTATE_RWLOCK_ACQUIRED(lock, 1)
/* A thread that found an object by an atomic pointer may read the bytes that were written before it was published. */
#define ANNOTATE_PUBLISHED(object) ANNOTATE_HAPPENS_BEFORE(object)
#define ANNOTATE_FOUND(object) ANNOTATE_HAPPENS_AFTER(object)
#define ANNOTATE_UNLOCKED(lock) ANNOTATE_RWLOCK_RELEASED(lock, 1)
#else
#define ANNOTATE_LOCKED(lock) ((void)(lock))
#define ANNOTATE_UNLOCKED(lock) ((void)(lock))
#define ANNOTATE_PUBLISHED(object) ((void)(object))
#define ANNOTATE_FOUND(object) ((void)(object))
#endif
