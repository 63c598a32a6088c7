/*
 * `holdline run` in the place of a program that another one executes: the library there has seen that it cannot enter
 * it (shim/process/exec_relay.h). The program gets the name, the environment and the path that were meant for it.
 */
#pragma once

/* Executes argv[0], which is a path, with the name `name` and the variables ("NAME=VALUE", NULL-terminated) beside our
 * own, and a relay around it if one can be had. Returns only if the program cannot be executed: the exit status, after
 * saying why on stderr as a shell does. */
int run_in_place(const char *name, char **variables, char **argv);
