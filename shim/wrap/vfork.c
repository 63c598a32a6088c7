/*
 * vfork(2), whose child runs in our memory and on its parent's stack until it executes something: the wrapper notes in
 * the thread's storage which of the two it has returned to (home.h).
 */
#include "shim/base/home.h"

#include <errno.h>

#include "shim/base/fdlimit.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"

long vfork_fail(long error);
__attribute__((used)) long vfork_fail(long error)
{
	errno = (int)-error;
	return -1;
}

/* Whether there is something to release again. The nested vfork() of a child has nothing to hold. */
int vfork_prepare(void);
__attribute__((used)) int vfork_prepare(void)
{
	if (!guard_is_home())
		return false;
	/* The program that the child executes sees the kernel's own state. */
	eof_make();
	handoff_settle_fences();
	return fdlimit_hold();
}

void vfork_conclude(int is_held);
__attribute__((used)) void vfork_conclude(int is_held)
{
	if (is_held)
		fdlimit_release();
}

#if defined(__x86_64__)
/* The return address waits in %rdi, what vfork_prepare() said in %esi and what we were before in %edx, which the
 * kernel preserves, because the child will overwrite the stack. */
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n"
	"	subq $8, %rsp\n"
	"	call vfork_prepare\n"
	"	addq $8, %rsp\n"
	"	movl %eax, %esi\n"
	"	movq vfork_is_child@gottpoff(%rip), %rcx\n"
	"	movl %fs:(%rcx), %edx\n"
	"	popq %rdi\n"
	"	movl $58, %eax\n" /* __NR_vfork */
	"	syscall\n"
	"	pushq %rdi\n"
	"	movq vfork_is_child@gottpoff(%rip), %rcx\n"
	"	testq %rax, %rax\n"
	"	jnz 1f\n"
	"	movl $1, %fs:(%rcx)\n"
	"	ret\n"
	"1:	movl %edx, %fs:(%rcx)\n"
	"	pushq %rax\n"
	"	movl %esi, %edi\n"
	"	call vfork_conclude\n"
	"	popq %rdi\n"
	"	cmpq $-4095, %rdi\n"
	"	jae vfork_fail\n"
	"	movq %rdi, %rax\n"
	"	ret\n"
	".size vfork, .-vfork\n");
#endif
