/*
 * Static probes for bpftrace, perf and systemtap (USDT, sys/sdt.h): a no-op each, and a note in the file, until
 * somebody attaches. Ports are in the host's order, times in ns.
 */
#pragma once

#include <sys/sdt.h>

/* A new connection came to be, after so long. */
#define PROBE_DIAL(fd, port, duration_ns) DTRACE_PROBE3(holdline, dial, fd, port, duration_ns)
/* None did: errno says why. */
#define PROBE_DIAL_FAIL(fd, port, error) DTRACE_PROBE3(holdline, dial_fail, fd, port, error)
/* A kept connection was given out. */
#define PROBE_REUSE(fd, port) DTRACE_PROBE2(holdline, reuse, fd, port)
/* A connection is not kept, or was not used: enum refusal of pool/conn/refusal.h. */
#define PROBE_REFUSE(fd, port, reason) DTRACE_PROBE3(holdline, refuse, fd, port, reason)
/* The program's connection was put away for later. */
#define PROBE_RETURN(fd, port) DTRACE_PROBE2(holdline, return, fd, port)
/* The program closed its socket. */
#define PROBE_CLOSE(fd, port) DTRACE_PROBE2(holdline, close, fd, port)
