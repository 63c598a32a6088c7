/* Memory in which the login of a kept connection goes to other processes (pool/conn/login_memory.h). */
#pragma once

#include <stdbool.h>

struct login;

/* A descriptor of some, the caller's to close; -1: there is none. */
int login_share_make(const struct login *login);

/* Reads the memory that came with a connection. False: it is nothing of ours, or its server is not one whose
 * connections are kept. */
bool login_share_open(int fd, struct login *login) __attribute__((warn_unused_result));
