/*
 * The way into a relay (tools/relay/relay.c): for programs that no library can enter, this process hands the kernel's
 * notifications of their connect() calls to a relay process, and then becomes the program.
 */
#pragma once

/* Starts a relay for this process and all that it becomes by exec(3) or starts, which must follow next. The relay takes
 * its settings from the environment, and is no child of this process. `program` is the name under which it counts.
 * 0, or -errno with *step (static storage) the call that was refused ("seccomp", "pidfd_getfd"...): the program's calls
 * go the kernel's way. -EBUSY: a relay of this process's ancestors serves it already. Sets no_new_privs (prctl(2))
 * unless this process may do without. */
int relay_launch(const char *program, const char **step) __attribute__((warn_unused_result));
