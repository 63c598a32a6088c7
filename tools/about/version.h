/* How the command was built and what it finds on this machine, in lines of "what: value". */
#pragma once

/* Prints them on stdout. */
void version_print_verbose(void);
