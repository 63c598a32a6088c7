/*
 * The fence of MySQL and MariaDB (pool/conn/fence.h): a SELECT of a number that nobody knows and of what the server
 * runs at each login, then COM_RESET_CONNECTION, and a timeout for a connection that nobody uses. The answer is left
 * with the kernel until a program is shown the greeting for it: see login.h, mysql_read_answer().
 */
#pragma once

#include "pool/conn/fence.h"

struct mysql;

void mysql_fence_begin(const struct mysql *mysql, uint64_t nonce, struct fence *fence);

/* Its length. */
size_t mysql_fence_write(const struct fence *fence, char *bytes);
