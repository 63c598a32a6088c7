/*
 * The program's memory: what of it can be touched without a fault. See usermem.h.
 *
 * Most of what a program passes lies on its stack, in its heap or among its variables, which is known without a
 * system call. For the rest the kernel is asked. A program that has taken pages out of the midst of those is not
 * reckoned with.
 */
#include "shim/base/usermem.h"

#include <errno.h>
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/symbols.h"

#define KERNEL_SIGSET_SIZE 8

/* Main's stack, as far as it is in use, up to what the kernel has put at its end: arguments, environment, and behind
 * them the program's path (getauxval(3), AT_EXECFN). Nothing else is mapped so near to it. */
#define STACK_REACH (16u << 20)
/* The end of another thread's stack, at the thread's own structure (glibc); other mappings are further away. */
#define THREAD_STACK_REACH (256u << 10)
static uintptr_t stack_end; /* immutable after init */

/* The heap that grows by brk(2): looked through once, from the lowest address that was asked for. */
#define HEAP_MAX (16u << 20)

static pthread_t main_thread;	       /* immutable after init, as the next three are */
static uintptr_t page_size;	       /* of the kernel's pages */
static uintptr_t data_begin, data_end; /* the main program's variables, but those that are read-only */
#define IMAGE_PARTS_MAX 6
static uintptr_t image_begin[IMAGE_PARTS_MAX],
	image_end[IMAGE_PARTS_MAX];   /* all that can be read of the main program's file */
static void *const *heap_end;	      /* where the C library keeps the break (brk(2)); NULL: not known */
static _Atomic(uintptr_t) heap_begin; /* everything from here to the break is there; 0: nothing is known */
static _Atomic(bool) is_heap_odd;     /* it has holes, or is too large to look through */

/* The program itself, by what the kernel has told it (getauxval(3)). */
static void find_image(void)
{
	const ElfW(Phdr) *header = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	unsigned long n = getauxval(AT_PHNUM);
	uintptr_t bias = 0, relro_end = 0;
	unsigned n_parts = 0;

	for (unsigned long i = 0; header && i < n; i++) {
		if (header[i].p_type == PT_PHDR)
			bias = (uintptr_t)header - header[i].p_vaddr;
		if (header[i].p_type == PT_GNU_RELRO)
			relro_end = header[i].p_vaddr + header[i].p_memsz;
	}
	for (unsigned long i = 0; header && i < n; i++) {
		if (header[i].p_type != PT_LOAD || !(header[i].p_flags & PF_R))
			continue;
		if (n_parts < IMAGE_PARTS_MAX) {
			image_begin[n_parts] = header[i].p_vaddr + bias;
			image_end[n_parts++] = header[i].p_vaddr + bias + header[i].p_memsz;
		}
		if (!(header[i].p_flags & PF_W))
			continue;
		data_begin = header[i].p_vaddr;
		data_end = data_begin + header[i].p_memsz + bias;
		if (relro_end > data_begin)
			data_begin = relro_end;
		data_begin = (data_begin + bias + page_size - 1) & ~(page_size - 1);
	}
}

void guard_learn_memory(void)
{
	static const uint16_t offset;
	const struct symbols_list list = {"__curbrk", &offset, 1};

	main_thread = pthread_self();
	page_size = (uintptr_t)getauxval(AT_PAGESZ);
	stack_end = (uintptr_t)getauxval(AT_EXECFN);
	if (stack_end < (uintptr_t)getauxval(AT_RANDOM))
		stack_end = (uintptr_t)getauxval(AT_RANDOM);
	symbols_bind_libc(&list, &heap_end);
	find_image();
}

/* Nothing is written by it: it says whether pages are missing (msync(2)). mincore(2) would say so too, but services are
 * killed for it where systemd allows them @system-service. */
static bool is_mapped(uintptr_t first, uintptr_t end)
{
	return libc.syscall(SYS_msync, first, end - first, MS_ASYNC) == 0;
}

/* Looks once at what lies between there and what is known of the heap. */
__attribute__((noinline)) static bool extend_heap(uintptr_t first)
{
	uintptr_t begin = first & ~(page_size - 1), known = heap_begin, end = (uintptr_t)*heap_end;
	int saved = errno;

	if (known)
		end = known;
	if (is_heap_odd || end - begin > HEAP_MAX)
		return false;
	if (is_mapped(begin, end))
		heap_begin = begin;
	else
		is_heap_odd = true;
	errno = saved;
	return !is_heap_odd;
}

static bool is_on_heap(uintptr_t first, uintptr_t last)
{
	uintptr_t end;

	if (!heap_end || first < data_end)
		return false;
	end = (uintptr_t)*heap_end;
	if (last >= end)
		return false;
	return (heap_begin && first >= heap_begin) || extend_heap(first);
}

static bool is_on_stack(uintptr_t first, uintptr_t last)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0), end = stack_end;

	if (first < frame)
		return false;
	if (last < end && end - frame < STACK_REACH)
		return true;
	end = (uintptr_t)pthread_self();
	return last < end && end - frame < THREAD_STACK_REACH && !pthread_equal(pthread_self(), main_thread);
}

bool guard_is_surely_there(const void *memory, size_t length)
{
	uintptr_t first = (uintptr_t)memory, last = first + length - 1;

	if (!length)
		return true;
	if (last < first || !page_size)
		return false;
	return is_on_stack(first, last) || (first >= data_begin && last < data_end) || is_on_heap(first, last);
}

static bool is_in_image(uintptr_t first, uintptr_t last)
{
	for (unsigned i = 0; i < IMAGE_PARTS_MAX; i++)
		if (first >= image_begin[i] && last < image_end[i])
			return true;
	return false;
}

/*
 * Pages that the kernel has answered for within this tick of the clock. Programs use the same few again and again,
 * and one that unmaps a page and passes it on in the same milliseconds, for an error, is not reckoned with.
 */
#define TICK_SHIFT 22 /* of nanoseconds: 4 ms */
#define SEEN_PAGES 64
#define SEEN_SHIFT 58 /* leaves numbers of them */

struct seen_pages {
	_Atomic(uint64_t) page[SEEN_PAGES]; /* with the tick in the bits below the page's number */
};

static struct seen_pages seen_readable, seen_writable;

static uint64_t seen_value(uintptr_t address)
{
	return (uint64_t)(address & ~(uintptr_t)4095) | ((guard_now_ns() >> TICK_SHIFT) & 4095);
}

static _Atomic(uint64_t) *seen_place(struct seen_pages *seen, uintptr_t address)
{
	/* Pages of one kind often lie at round distances from each other. */
	return &seen->page[(address >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> SEEN_SHIFT];
}

/* A place that was never used looks like the first page in every 4096th tick; nothing is there. */
static bool was_seen(struct seen_pages *seen, uintptr_t address)
{
	return address >= 4096 &&
	       atomic_load_explicit(seen_place(seen, address), memory_order_relaxed) == seen_value(address);
}

static bool note_seen(struct seen_pages *seen, uintptr_t address, bool is_there)
{
	if (is_there)
		atomic_store_explicit(seen_place(seen, address), seen_value(address), memory_order_relaxed);
	return is_there;
}

/* Nobody is woken or moved by it, and nothing waits: the kernel reads the word, to compare it (futex(2)). */
static bool is_word_readable(uintptr_t address)
{
	uintptr_t word = address & ~(uintptr_t)3;

	return was_seen(&seen_readable, address) ||
	       note_seen(&seen_readable, address,
			 libc.syscall(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, word, 0) >= 0 ||
				 errno != EFAULT);
}

bool guard_readable(const void *memory, size_t length)
{
	uintptr_t first = (uintptr_t)memory, last = first + length - 1;
	int error = errno;
	bool readable = true;

	if (guard_is_surely_there(memory, length))
		return true;
	if (last < first || !page_size)
		return false;
	if (is_in_image(first, last))
		return true;
	for (uintptr_t at = first; readable && at <= last; at = (at | (page_size - 1)) + 1) {
		readable = is_word_readable(at);
		if (at > UINTPTR_MAX - page_size)
			break;
	}
	errno = error;
	return readable;
}

/* Without a new mask the present one is told, there. */
static bool is_word_writable(uintptr_t address)
{
	uintptr_t last = address + KERNEL_SIGSET_SIZE - 1;

	if (was_seen(&seen_writable, address) && was_seen(&seen_writable, last))
		return true;
	return note_seen(&seen_writable, address,
			 libc.syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, address, KERNEL_SIGSET_SIZE) == 0) &&
	       note_seen(&seen_writable, last, true);
}

bool guard_take_for_writing(void *memory, size_t length)
{
	uintptr_t first = (uintptr_t)memory, last = first + length - KERNEL_SIGSET_SIZE;
	int error = errno;
	bool is_writable = length >= KERNEL_SIGSET_SIZE && last >= first && page_size;

	if (is_writable && guard_is_surely_there(memory, length))
		return true;
	for (uintptr_t at = first; is_writable && at < last; at = (at | (page_size - 1)) + 1)
		is_writable = is_word_writable(at);
	is_writable = is_writable && is_word_writable(last);
	errno = error;
	return is_writable;
}
