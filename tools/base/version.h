/* The version of the command and the library. */
#pragma once

#define HOLDLINE_VERSION "0.1.0"
