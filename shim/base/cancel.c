/*
 * What glibc's pthread_cleanup_push() calls, and pthread_testcancel(): hidden functions of the same names in this
 * library, which look up glibc's.
 *
 * glibc moved its own from libpthread to libc in 2.34. A reference to them would have that version, and this library
 * would load with no older glibc. There a program that is not linked with libpthread has none of them, and no thread
 * that could be cancelled.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "shim/base/symbols.h"

#ifdef __GLIBC__
#include <gnu/lib-names.h>

static struct {
	void (*test)(void);
	void (*push)(__pthread_unwind_buf_t *);
	void (*pop)(__pthread_unwind_buf_t *);
	void (*unwind)(__pthread_unwind_buf_t *);
} calls;

static const char names[] = "pthread_testcancel\0"
			    "__pthread_register_cancel\0"
			    "__pthread_unregister_cancel\0"
			    "__pthread_unwind_next";
static const uint16_t offsets[] = {offsetof(__typeof__(calls), test), offsetof(__typeof__(calls), push),
				   offsetof(__typeof__(calls), pop), offsetof(__typeof__(calls), unwind)};
static const struct symbols_list list = {names, offsets, sizeof(offsets) / sizeof(offsets[0])};

static _Atomic(bool) is_bound;	    /* all of them */
static _Atomic(unsigned) looked_at; /* the generation of objects in which they were looked for */

static bool is_whole(void)
{
	return calls.test && calls.push && calls.pop && calls.unwind;
}

/* Threads may come with a library that is loaded later. What several threads write at once is the same; that it was
 * looked for is said last, so that nobody else finds less than there is: a push without its pop, or the reverse, leaves
 * a dead frame in libc's list. */
__attribute__((noinline)) static bool bind_calls(void)
{
	unsigned generation = symbols_generation;

	if (looked_at == generation)
		return is_bound;
	symbols_bind_libc(&list, &calls);
	if (!is_whole())
		symbols_bind_in(LIBPTHREAD_SO, &list, &calls, NULL, NULL);
	is_bound = is_whole();
	looked_at = generation;
	return is_bound;
}

static bool is_there(void)
{
	return __builtin_expect(is_bound, 1) || bind_calls();
}

void pthread_testcancel(void)
{
	if (is_there())
		calls.test();
}

void __pthread_register_cancel(__pthread_unwind_buf_t *buffer)
{
	if (is_there())
		calls.push(buffer);
}

void __pthread_unregister_cancel(__pthread_unwind_buf_t *buffer)
{
	if (is_there())
		calls.pop(buffer);
}

/* Only a thread that is being cancelled calls it. */
void __pthread_unwind_next(__pthread_unwind_buf_t *buffer)
{
	if (is_there())
		calls.unwind(buffer);
	abort();
}
#endif
