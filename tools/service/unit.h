/*
 * Units of systemd as their files say: the fragment and its drop-ins, in systemd's order of folders (systemd.unit(5)).
 * Only the section [Service] is read. Files, not the manager, are asked: the same works for the root of another system.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct unit_setting {
	char *name, *value; /* a line of the section; the value is as it stands there, continuation lines joined */
};

struct unit {
	const char *root;	 /* "" or the folder of another system's root, as the caller gave it */
	char name[NAME_MAX + 1]; /* of the unit itself, where an alias was asked for */
	char fragment[PATH_MAX]; /* its file */
	size_t n_settings;
	char later[NAME_MAX + 1];      /* a drop-in that comes behind ours and wins over it; "": there is none */
	bool is_environment_cleared;   /* by an Environment= without a value */
	struct unit_setting *settings; /* an empty value has removed the earlier ones of its name, as in systemd */
};

/* Completes a name by ".service" and checks it. 0, -EINVAL, -ENAMETOOLONG. */
int unit_complete_name(const char *given, char name[NAME_MAX + 1]) __attribute__((warn_unused_result));

/* Finds and reads a unit, but not the drop-in of ours. 0; -ENOENT; -ESHUTDOWN: it is masked; another -errno. */
int unit_read(struct unit *unit, const char *root, const char *name) __attribute__((warn_unused_result));
void unit_fini(struct unit *unit);

/* Adds the settings of a text in the format of a unit's file. 0 or -ENOMEM. */
int unit_add_text(struct unit *unit, char *text) __attribute__((warn_unused_result));

/* The next value of a setting from *position on (begin with 0); NULL: there is none. */
const char *unit_next(const struct unit *unit, const char *name, size_t *position);

/* The last value of a setting, NULL if it is not set. */
const char *unit_get(const struct unit *unit, const char *name);

/* True for yes, true, on and 1. */
bool unit_is_true(const char *value);

/* The folder of a unit's drop-ins of the administrator: ROOT/etc/systemd/system/NAME.d. 0 or -ENAMETOOLONG. */
int unit_dropin_folder(const char *root, const char *name, char path[PATH_MAX]) __attribute__((warn_unused_result));

/* systemd applies the drop-ins of all folders by their names: behind all others, in which LD_PRELOAD or ExecStart=
 * would win over ours. The first versions wrote another name. */
#define UNIT_DROPIN "zzz-holdline.conf"
#define UNIT_DROPIN_OF_OLD "holdline.conf"
