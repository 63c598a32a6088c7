/* The executable of this process. */
#pragma once

#include <stdint.h>

/* A number for it, by its path. */
uint64_t executable_number(void);

/* The same by the name that it was started by: no system call, and two names may be one executable's. */
uint64_t executable_name_number(void);

/* A number for its first argument, if that is no option: an interpreter's script. 0: there is none. */
uint64_t executable_script_number(void);
