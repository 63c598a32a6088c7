/* See guard.h. Raw system calls, since the wrappers' names are ours and libc's may be cancellation points. */
#include "shim/guard.h"

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pool/annotate.h"
#include "shim/real.h"
#include "shim/vfork.h"

#define SPINS_BUSY 200
#define SPINS_YIELDING 20000
#define KERNEL_SIGSET_SIZE 8

/* Changed in the constructor and in a fork's child only, while there is one thread. */
static pid_t home_pid;
static _Atomic(bool) *home_page;

static _Atomic(bool) is_memory_trusted;

/* Of the calling thread: how many locks it holds, and what it was before the first (UNCHANGED: as it is). */
static __thread unsigned n_held __attribute__((tls_model("initial-exec")));
static __thread int cancel_state __attribute__((tls_model("initial-exec")));
#define UNCHANGED (-1)

/* Where its stack was when it took the first of them, and when it began to handle something; 0: it does not. */
static __thread uintptr_t held_frame __attribute__((tls_model("initial-exec")));
static __thread uintptr_t handling_frame __attribute__((tls_model("initial-exec")));

/* The C library's calls under a lock are cancellation points; nobody else would unlock. Whoever is alone can only cancel
 * itself, which ends the process, and with it the lock. */
static void hold(void)
{
	if (n_held++)
		return;
	held_frame = (uintptr_t)__builtin_frame_address(0);
	if (__libc_single_threaded)
		cancel_state = UNCHANGED;
	else
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
}

static void let_go(void)
{
	if (cancel_state != UNCHANGED)
		pthread_setcancelstate(cancel_state, NULL);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool try_once(struct guard_lock *lock, unsigned long self, bool *is_own)
{
	unsigned long owner = 0;

	if (atomic_compare_exchange_strong_explicit(&lock->owner, &owner, self, memory_order_acquire,
						    memory_order_relaxed)) {
		ANNOTATE_LOCKED(lock);
		hold();
		lock->frame = (uintptr_t)__builtin_frame_address(0);
		return true;
	}
	*is_own = owner == self;
	return false;
}

__attribute__((noinline)) static bool wait_for(struct guard_lock *lock, unsigned long self)
{
	bool is_own = false;

	for (int i = 0; i < SPINS_BUSY + SPINS_YIELDING; i++) {
		if (try_once(lock, self, &is_own))
			return true;
		if (is_own)
			guard_lock_is_abandoned(lock);
		if (is_own || atomic_load_explicit(&lock->is_lost, memory_order_relaxed))
			return false;
		if (i < SPINS_BUSY)
			pause_briefly();
		else
			sched_yield();
	}
	atomic_store(&lock->is_lost, true);
	return false;
}

bool guard_lock_try(struct guard_lock *lock)
{
	unsigned long self = (unsigned long)pthread_self();
	bool is_own;

	return __builtin_expect(try_once(lock, self, &is_own), 1) || wait_for(lock, self);
}

bool guard_lock_try_now(struct guard_lock *lock)
{
	bool is_own;

	return try_once(lock, (unsigned long)pthread_self(), &is_own);
}

void guard_unlock(struct guard_lock *lock)
{
	/* In this order, since a handler may leave by longjmp in between. */
	if (n_held && --n_held == 0)
		let_go();
	atomic_store_explicit(&lock->is_lost, false, memory_order_relaxed);
	ANNOTATE_UNLOCKED(lock);
	atomic_store_explicit(&lock->owner, 0, memory_order_release);
}

bool guard_lock_is_own(const struct guard_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed) == (unsigned long)pthread_self();
}

/* What the kernel puts on a stack below an interrupted function: the registers, the floating point ones too (sigreturn(2)); not less
 * than so much on any machine. */
#define SIGNAL_FRAME_MIN 1024

/* A handler that has interrupted a function runs further down the same stack, or on the alternate one. Another call that the same
 * program makes later may lie a little deeper, too: as the compiler has it. */
static bool is_within(uintptr_t frame)
{
	stack_t alternate;

	if ((uintptr_t)__builtin_frame_address(0) + SIGNAL_FRAME_MIN <= frame)
		return true;
	return sigaltstack(NULL, &alternate) < 0 || (alternate.ss_flags & SS_ONSTACK);
}

bool guard_is_interrupted(void)
{
	return (n_held && is_within(held_frame)) || (handling_frame && is_within(handling_frame));
}

uintptr_t guard_begin_handling(void)
{
	uintptr_t outer = handling_frame;

	handling_frame = (uintptr_t)__builtin_frame_address(0);
	return outer;
}

void guard_end_handling(uintptr_t outer)
{
	handling_frame = outer;
}

bool guard_lock_is_abandoned(struct guard_lock *lock)
{
	if (!guard_lock_is_own(lock) || is_within(lock->frame))
		return false;
	if (!atomic_exchange(&lock->is_lost, true) && n_held) {
		n_held = 0;
		let_go();
	}
	return true;
}

/* The page reads as zeroes in the child of any fork, whatever made it (madvise(2), MADV_WIPEONFORK). */
static void *map_home_page(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (madvise(memory, page, MADV_WIPEONFORK) == 0)
		return memory;
	munmap(memory, page);
	return NULL;
}

pid_t guard_pid(void)
{
	return (pid_t)REAL(syscall)(SYS_getpid);
}

bool guard_is_home(void)
{
	if (__builtin_expect(is_memory_trusted, 1))
		return atomic_load_explicit(home_page, memory_order_relaxed) && !vfork_is_child;
	return guard_pid() == home_pid;
}

/* Main's stack, as far as it is in use, up to where the process began. Nothing else is mapped so near to it. */
#define STACK_REACH (16u << 20)
extern void *__libc_stack_end;

/* Where a program's small allocations begin: the C library's own heap, which grows by brk(2). */
#define HEAP_AT_START_MAX (4u << 20)
static uintptr_t heap_begin; /* immutable after init */

static void find_heap(void)
{
	size_t size = mallinfo2().arena;

	/* A large one may have grown elsewhere, too, before we came. */
	if (size < HEAP_AT_START_MAX)
		heap_begin = (uintptr_t)sbrk(0) - size;
}

/* The main program's variables, which nobody unmaps. */
static uintptr_t data_begin, data_end; /* immutable after init */

static int note_data(struct dl_phdr_info *program, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (int i = 0; i < program->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &program->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_R) && (segment->p_flags & PF_W)) {
			data_begin = program->dlpi_addr + segment->p_vaddr;
			data_end = data_begin + segment->p_memsz;
		}
	}
	/* The first one is the program itself (dl_iterate_phdr(3)). */
	return 1;
}

/* Memory that is there without a doubt, which most of what a program passes is: spares a system call. A program that has
 * taken pages out of the midst of its heap or stack is not reckoned with. */
static bool is_surely_readable(uintptr_t first, uintptr_t last)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0), stack_end = (uintptr_t)__libc_stack_end;

	if (first >= frame && last < stack_end)
		return stack_end - frame < STACK_REACH;
	if (first >= data_begin && last < data_end)
		return true;
	return heap_begin && first >= heap_begin && last < (uintptr_t)sbrk(0);
}

void guard_set_home(void)
{
	if (!heap_begin) {
		find_heap();
		dl_iterate_phdr(note_data, NULL);
	}
	home_pid = guard_pid();
	if (!home_page)
		home_page = map_home_page();
	is_memory_trusted = VFORK_IS_SEEN && home_page;
	if (home_page)
		atomic_store(home_page, true);
}

void guard_distrust_memory(void)
{
	is_memory_trusted = false;
}

/* rt_sigprocmask copies the new mask in before it looks at `how`: EFAULT tells of the memory, EINVAL of the how. */
static bool is_word_readable(uintptr_t address)
{
	return REAL(syscall)(SYS_rt_sigprocmask, -1, address & ~(uintptr_t)7, NULL, KERNEL_SIGSET_SIZE) == -1 &&
	       errno != EFAULT;
}

bool guard_readable(const void *memory, size_t length)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)memory;
	uintptr_t last = first + length - 1;
	int error = errno;
	bool readable = true;

	if (!length)
		return true;
	if (last < first)
		return false;
	if (is_surely_readable(first, last))
		return true;
	for (uintptr_t at = first; readable && at <= last; at = (at | (page - 1)) + 1) {
		readable = is_word_readable(at);
		if (at > UINTPTR_MAX - page)
			break;
	}
	errno = error;
	return readable;
}

/* Without a new mask the present one is told, there. */
static bool is_word_writable(uintptr_t address)
{
	return REAL(syscall)(SYS_rt_sigprocmask, SIG_BLOCK, NULL, address, KERNEL_SIGSET_SIZE) == 0;
}

bool guard_take_for_writing(void *memory, size_t length)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = (uintptr_t)memory, last = first + length - KERNEL_SIGSET_SIZE;
	int error = errno;
	bool is_writable = length >= KERNEL_SIGSET_SIZE && last >= first;

	for (uintptr_t at = first; is_writable && at < last; at = (at | (page - 1)) + 1)
		is_writable = is_word_writable(at);
	is_writable = is_writable && is_word_writable(last);
	errno = error;
	return is_writable;
}

/* A process may say of itself what a kernel's signal says (rt_tgsigqueueinfo(2)). */
void guard_raise_sigpipe(void)
{
	siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};
	int error = errno;

	info.si_pid = guard_pid();
	info.si_uid = getuid();
	REAL(syscall)(SYS_rt_tgsigqueueinfo, info.si_pid, REAL(syscall)(SYS_gettid), SIGPIPE, &info);
	errno = error;
}

void guard_get_time(clockid_t clock, struct timespec *now)
{
	if (real.clock_gettime)
		real.clock_gettime(clock, now);
	else
		clock_gettime(clock, now);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	guard_get_time(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t guard_clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t guard_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}
