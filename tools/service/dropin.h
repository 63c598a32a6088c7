/*
 * The drop-in of `holdline enable`: its text, and how it comes into its folder and out of it. Whatever else lies there
 * stays.
 */
#pragma once

#include <stdio.h>

#include "tools/service/judge.h"

struct settings;
struct unit;

struct dropin {
	enum judge_way way;
	const char *library; /* of JUDGE_LIBRARY */
	const char *command; /* of JUDGE_RELAY: the path of `holdline` */
	const struct settings *settings;
};

/* The text of the file. The caller frees *text. 0, -ENOMEM, -ENAMETOOLONG, -EINVAL. */
int dropin_compose(const struct dropin *dropin, const struct unit *unit, char **text)
	__attribute__((warn_unused_result));

/* Puts the text at the path at once, never half of it. The folder is below `root` ("": this system). 0; -EEXIST: a
 * file is there that is not ours; -EXDEV: a link leads out of the root; another -errno. */
int dropin_write(const char *root, const char *folder, const char *text) __attribute__((warn_unused_result));

/* Takes the file away, and the folder if nothing else is in it. 0; -ENOENT; -EEXIST: the file is not ours; -EXDEV. */
int dropin_remove(const char *root, const char *folder) __attribute__((warn_unused_result));

/* True if the file was written by `holdline enable`. */
bool dropin_is_ours(const char *path);
