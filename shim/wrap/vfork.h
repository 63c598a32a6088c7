/*
 * vfork(2), whose child runs in our memory and on its parent's stack until it executes something. Its wrapper notes in the
 * thread's storage which of the two it has returned to, so that guard_is_home() needs no system call.
 */
#pragma once

#include <stdbool.h>

/* In assembly per architecture, since a function that returns twice can't keep its return address on the stack. Where
 * there is none, vfork is not wrapped and guard_is_home() asks for the pid each time. */
#if defined(__x86_64__)
#define VFORK_IS_SEEN 1
#else
#define VFORK_IS_SEEN 0
#endif

extern __thread int vfork_is_child __attribute__((tls_model("initial-exec")));
