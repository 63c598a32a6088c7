/* The questions that memcached is asked at a park and at a lease, and the answers that are due (pool/conn/fence.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/fence.h"

/* Does the server want logins? That answers everything else, too. */
void memcached_fence_settings(struct fence *fence);

/* Is there anything that has not been read? `is_plain`: as in struct fence. */
void memcached_fence_version(struct fence *fence, bool is_plain);

/* For both. */
size_t memcached_fence_write_text(const struct fence *fence, char *bytes);
enum fence_proof memcached_fence_prove_text(struct fence *fence, const char *bytes, size_t length);

/* The same in the binary protocol. */
void memcached_fence_noop(struct fence *fence, uint64_t nonce, bool is_plain);
size_t memcached_fence_write_binary(const struct fence *fence, char *bytes);
enum fence_proof memcached_fence_prove_binary(struct fence *fence, const char *bytes, size_t length);
