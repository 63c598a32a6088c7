/* See large.h. */
#include "shim/base/large.h"

#include <errno.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "shim/base/real.h"

/* Linux 5.14; an older kernel refuses it, and each page then costs its own fault. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* To ask for so many pages in between costs no more than a system call. */
#define GAP_PAGES 2

struct span {
	uintptr_t begin, end; /* whole pages */
};

static void insert(struct span *spans, size_t n, struct span new)
{
	for (; n && spans[n - 1].begin > new.begin; n--)
		spans[n] = spans[n - 1];
	spans[n] = new;
}

void large_make_present(const struct large_part *parts, size_t n)
{
	uintptr_t page_size = (uintptr_t)getauxval(AT_PAGESZ), end;
	struct span spans[LARGE_PARTS_MAX];
	int saved = errno;

	for (size_t i = 0; i < n; i++) {
		end = (uintptr_t)parts[i].begin + parts[i].length;
		insert(spans, i,
		       (struct span){(uintptr_t)parts[i].begin & ~(page_size - 1),
				     (end + page_size - 1) & ~(page_size - 1)});
	}
	for (size_t i = 0, next; i < n; i = next) {
		end = spans[i].end;
		for (next = i + 1; next < n && spans[next].begin <= end + GAP_PAGES * page_size; next++)
			end = spans[next].end > end ? spans[next].end : end;
		libc.madvise((void *)spans[i].begin, end - spans[i].begin, MADV_POPULATE_WRITE);
	}
	errno = saved;
}
