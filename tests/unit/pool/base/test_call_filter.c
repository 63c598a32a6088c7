/* Filters of system calls: what they say of a call, and what no filter is. The kernel is asked as well. */
#include "pool/base/call_filter.h"

#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *call_filter_suite(void);

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NUMBER offsetof(struct seccomp_data, nr)
#define FIRST_ARGUMENT offsetof(struct seccomp_data, args)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* In a child with that filter, getppid() with an argument that it does not have. -1: the kernel takes no such filter.
 */
static int ask_kernel(struct sock_filter *program, size_t n, uint64_t argument)
{
	struct sock_fprog filter = {(unsigned short)n, program};
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
			_exit(2);
		_exit(syscall(SYS_getppid, argument) > 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) == 2 ? -1 : WEXITSTATUS(status);
}

static bool ask_us(const struct sock_filter *program, size_t n, uint64_t argument)
{
	const struct seccomp_data call = {.nr = SYS_getppid, .args = {argument}};

	return call_filter_allows(program, (unsigned)n, &call);
}

#define agree(program, argument, expected)                                                     \
	do {                                                                                   \
		ck_assert_int_eq(ask_kernel(program, LENGTH(program), argument), expected);    \
		ck_assert_int_eq(ask_us(program, LENGTH(program), argument), (expected) == 1); \
	} while (0)

START_TEST(by_number)
{
	struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
					BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1), REFUSE, ALLOW};
	const struct seccomp_data other = {.nr = SYS_openat};

	agree(program, 0, 0);
	ck_assert(call_filter_allows(program, LENGTH(program), &other));
}
END_TEST

/* Each operation on the low half of an argument, which is then compared with what it should be. Other calls pass. */
static void compute(unsigned short operation, uint32_t operand, uint32_t argument, uint32_t result)
{
	struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
					BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
					ALLOW,
					BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT),
					BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, operand),
					BPF_STMT(BPF_ALU | operation, operand),
					BPF_STMT(BPF_ST, 3),
					BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
					BPF_STMT(BPF_LD | BPF_W | BPF_IMM, 0),
					BPF_STMT(BPF_MISC | BPF_TXA, 0),
					BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, result, 0, 1),
					ALLOW,
					REFUSE};

	agree(program, argument, 1);
	program[10].k = result + 1;
	agree(program, argument, 0);
}

START_TEST(arithmetic)
{
	compute(BPF_ADD | BPF_K, 3, UINT32_MAX, 2);
	compute(BPF_SUB | BPF_X, 3, 2, UINT32_MAX);
	compute(BPF_MUL | BPF_K, 5, 7, 35);
	compute(BPF_DIV | BPF_X, 5, 17, 3);
	compute(BPF_AND | BPF_K, 6, 3, 2);
	compute(BPF_OR | BPF_X, 6, 3, 7);
	compute(BPF_XOR | BPF_K, 6, 3, 5);
	compute(BPF_LSH | BPF_K, 4, 3, 48);
	compute(BPF_RSH | BPF_X, 4, 48, 3);
	compute(BPF_NEG, 0, 1, UINT32_MAX);
}
END_TEST

START_TEST(jumps)
{
	static const struct {
		unsigned short code;
		uint32_t operand, yes, no;
	} cases[] = {{BPF_JEQ, 7, 7, 8}, {BPF_JGT, 7, 8, 7}, {BPF_JGE, 7, 7, 6}, {BPF_JSET, 6, 4, 9}};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
						BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
						ALLOW,
						BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIRST_ARGUMENT),
						BPF_STMT(BPF_JMP | BPF_JA, 1),
						REFUSE,
						BPF_JUMP(BPF_JMP | cases[i].code | BPF_K, cases[i].operand, 0, 1),
						ALLOW,
						REFUSE};

		agree(program, cases[i].yes, 1);
		agree(program, cases[i].no, 0);
	}
}
END_TEST

START_TEST(no_filters)
{
	struct sock_filter endless[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER)};
	struct sock_filter beyond[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)), ALLOW};
	struct sock_filter odd[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), ALLOW};
	struct sock_filter far[] = {BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), ALLOW};
	struct sock_filter memory[] = {BPF_STMT(BPF_ST, BPF_MEMWORDS), ALLOW};
	struct sock_filter zero[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ALLOW};
	struct sock_filter shift[] = {BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ALLOW};

	agree(endless, 0, -1);
	agree(beyond, 0, -1);
	agree(odd, 0, -1);
	agree(far, 0, -1);
	agree(memory, 0, -1);
	agree(zero, 0, -1);
	agree(shift, 0, -1);
	ck_assert(!ask_us(NULL, 0, 0));
}
END_TEST

START_TEST(milder_verdicts)
{
	struct sock_filter logged[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_LOG)};
	struct sock_filter told[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
	struct sock_filter computed[] = {BPF_STMT(BPF_LD | BPF_W | BPF_IMM, SECCOMP_RET_ALLOW),
					 BPF_STMT(BPF_RET | BPF_A, 0)};

	ck_assert(!ask_us(logged, LENGTH(logged), 0));
	ck_assert(!ask_us(told, LENGTH(told), 0));
	agree(computed, 0, 1);
}
END_TEST

Suite *call_filter_suite(void)
{
	Suite *suite = suite_create("call_filter");
	TCase *tests = tcase_create("call_filter");

	tcase_add_test(tests, by_number);
	tcase_add_test(tests, arithmetic);
	tcase_add_test(tests, jumps);
	tcase_add_test(tests, no_filters);
	tcase_add_test(tests, milder_verdicts);
	suite_add_tcase(suite, tests);
	return suite;
}
