/*
 * vfork(2), whose child runs in our memory and on its parent's stack until it executes something: the wrapper notes in
 * the thread's storage which of the two it has returned to (home.h).
 */
#include "shim/base/home.h"

#include <errno.h>

#include "shim/base/fdlimit.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"
#include "shim/process/exec_room.h"

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
	handoff_settle_fences(false);
	return fdlimit_hold();
}

void vfork_conclude(int is_held);
__attribute__((used)) void vfork_conclude(int is_held)
{
	if (is_held)
		fdlimit_release();
	exec_room_end_of_child();
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
	"	incl %edx\n"
	"	movl %edx, %fs:(%rcx)\n"
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
#elif defined(__aarch64__)
/* The same by clone(2), since there is no such system call. The kernel preserves all registers but %x0: what
 * vfork_prepare() said waits in %w5, what we were before in %w6, where that is noted in %x7. */
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, %function\n"
	"vfork:\n"
	"	hint #34\n" /* bti c: where indirect jumps may go */
	"	stp x29, x30, [sp, #-16]!\n"
	"	bl vfork_prepare\n"
	"	ldp x29, x30, [sp], #16\n"
	"	mov w5, w0\n"
	"	mrs x7, tpidr_el0\n"
	"	adrp x3, :gottprel:vfork_is_child\n"
	"	ldr x3, [x3, :gottprel_lo12:vfork_is_child]\n"
	"	add x7, x7, x3\n"
	"	ldr w6, [x7]\n"
	"	mov x0, #0x4111\n" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
	"	mov x1, xzr\n"
	"	mov x2, xzr\n"
	"	mov x3, xzr\n"
	"	mov x4, xzr\n"
	"	mov x8, #220\n" /* __NR_clone */
	"	svc #0\n"
	"	cbnz x0, 1f\n"
	"	add w1, w6, #1\n"
	"	str w1, [x7]\n"
	"	ret\n"
	"1:	str w6, [x7]\n"
	"	stp x29, x30, [sp, #-32]!\n"
	"	str x0, [sp, #16]\n"
	"	mov w0, w5\n"
	"	bl vfork_conclude\n"
	"	ldr x0, [sp, #16]\n"
	"	ldp x29, x30, [sp], #32\n"
	"	cmn x0, #4095\n"
	"	b.cc 2f\n"
	"	b vfork_fail\n"
	"2:	ret\n"
	".size vfork, .-vfork\n");
#endif
