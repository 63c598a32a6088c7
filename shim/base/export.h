/* A wrapper that the program's calls are to reach; everything else in the library is hidden (exports.map agrees). */
#pragma once

#define EXPORT __attribute__((visibility("default")))
