/*
 * For tests: each record that is sealed for the network leaves a line `KEY NONCE` in the file that HOLDLINE_TLS_AUDIT
 * names, where the library was built to be checked (HOLDLINE_CHECKED). No pair may ever come twice. KEY is a name of
 * the key, not the key.
 */
#pragma once

#include <stdint.h>

struct wire;

#ifdef HOLDLINE_CHECKED
void audit_sealed(const struct wire *wire, uint64_t number);
#else
static inline void audit_sealed(const struct wire *wire, uint64_t number)
{
	(void)wire;
	(void)number;
}
#endif
