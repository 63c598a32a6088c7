/* The version of the command and the library. This is its one place: the Makefile and the packages read it here, and
 * `make lint` compares the manual with it. */
#pragma once

#define HOLDLINE_VERSION "0.1.0"
