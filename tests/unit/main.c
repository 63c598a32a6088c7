/*
 * Runs every suite below this folder. UNIT_SUITES comes from the Makefile: SUITE(name) for every test_name.c, so that
 * none can be forgotten. CK_RUN_SUITE and CK_RUN_CASE choose some, as usual with Check.
 */
#include <check.h>
#include <stdio.h>

#define SUITE(name) Suite *name##_suite(void);
UNIT_SUITES
#undef SUITE

int main(void)
{
	SRunner *runner = srunner_create(NULL);
	int n_run, n_failed;

#define SUITE(name) srunner_add_suite(runner, name##_suite());
	UNIT_SUITES
#undef SUITE
	srunner_run_all(runner, CK_NORMAL);
	n_run = srunner_ntests_run(runner);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (!n_run)
		fputs("no such test: see CK_RUN_SUITE and CK_RUN_CASE\n", stderr);
	printf("%d passed, %d failed, 0 skipped\n", n_run - n_failed, n_failed);
	return n_failed || !n_run;
}
