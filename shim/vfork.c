/* See vfork.h. */
#include "shim/vfork.h"

#include <errno.h>

__thread int vfork_is_child __attribute__((tls_model("initial-exec")));

long vfork_fail(long error);
__attribute__((used)) long vfork_fail(long error)
{
	errno = (int)-error;
	return -1;
}

#if defined(__x86_64__)
/* The return address waits in %rdi, which the kernel preserves, because the child will overwrite the stack. */
__asm__(".text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n"
	"	popq %rdi\n"
	"	movl $58, %eax\n" /* __NR_vfork */
	"	syscall\n"
	"	pushq %rdi\n"
	"	cmpq $-4095, %rax\n"
	"	jae 1f\n"
	"	movq vfork_is_child@gottpoff(%rip), %rcx\n"
	"	xorl %edx, %edx\n"
	"	testq %rax, %rax\n"
	"	sete %dl\n"
	"	movl %edx, %fs:(%rcx)\n"
	"	ret\n"
	"1:	movq %rax, %rdi\n"
	"	jmp vfork_fail\n"
	".size vfork, .-vfork\n");
#endif
