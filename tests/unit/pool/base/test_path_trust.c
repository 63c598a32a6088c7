/* Which files and folders may be used: a table of statuses. */
#include "pool/base/path_trust.h"

#include <check.h>

Suite *path_trust_suite(void);

#define USER 1000
#define OTHER 1001

static struct stat of(mode_t mode, uid_t user)
{
	return (struct stat){.st_mode = mode, .st_uid = user, .st_nlink = 1};
}

START_TEST(private_folders)
{
	struct stat own = of(S_IFDIR | 0700, USER), open = of(S_IFDIR | 0710, USER), others = of(S_IFDIR | 0700, OTHER),
		    link = of(S_IFLNK | 0700, USER), roots = of(S_IFDIR | 0700, 0);

	ck_assert(path_trust_is_private(&own, USER));
	ck_assert(!path_trust_is_private(&open, USER));
	ck_assert(!path_trust_is_private(&others, USER));
	ck_assert(!path_trust_is_private(&link, USER));
	ck_assert(!path_trust_is_private(&roots, USER));
}
END_TEST

START_TEST(steady_folders)
{
	struct stat tmp = of(S_IFDIR | S_ISVTX | 0777, 0), no_sticky = of(S_IFDIR | 0777, 0),
		    own = of(S_IFDIR | 0755, USER), group = of(S_IFDIR | 0775, USER),
		    others = of(S_IFDIR | 0700, OTHER), others_sticky = of(S_IFDIR | S_ISVTX | 0777, OTHER),
		    file = of(S_IFREG | 0600, USER);

	ck_assert(path_trust_is_steady(&tmp, USER));
	ck_assert(path_trust_is_steady(&own, USER));
	ck_assert(!path_trust_is_steady(&no_sticky, USER));
	ck_assert(!path_trust_is_steady(&group, USER));
	ck_assert(!path_trust_is_steady(&others, USER));
	ck_assert(!path_trust_is_steady(&others, 0));
	ck_assert(!path_trust_is_steady(&others_sticky, USER));
	ck_assert(!path_trust_is_steady(&file, USER));
}
END_TEST

START_TEST(logs)
{
	struct stat file = of(S_IFREG | 0600, USER), terminal = of(S_IFCHR | 0620, USER),
		    pipe = of(S_IFIFO | 0600, USER), linked = of(S_IFREG | 0600, USER);

	linked.st_nlink = 2;
	ck_assert(path_trust_is_log(&file));
	ck_assert(path_trust_is_log(&terminal));
	ck_assert(!path_trust_is_log(&pipe));
	ck_assert(!path_trust_is_log(&linked));
}
END_TEST

Suite *path_trust_suite(void)
{
	Suite *suite = suite_create("path_trust");
	TCase *tcase = tcase_create("trust");

	tcase_add_test(tcase, private_folders);
	tcase_add_test(tcase, steady_folders);
	tcase_add_test(tcase, logs);
	suite_add_tcase(suite, tcase);
	return suite;
}
